"""The pages: their links and the files that they name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*-client/README.md")])
NAMED = re.compile(r"`((?:engine|lsp_server|onnx_export|benchmarks|tests|tools)/[\w/.]+)`")


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=_page_id)
def test_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(_anchor, headings), link


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in ("CHANGELOG.md", "log.md")], ids=_page_id)
def test_files_that_are_named_are_there(page: Path):
    for name in NAMED.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


def test_the_glossary_is_short():
    glossary = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Words")[2]
    assert 10 <= len(re.findall(r"^\| [a-z]", glossary, re.MULTILINE)) - 1 <= 20
