"""Every filter has its golden cases, in a file of its name; ``all`` is the whole loop."""

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from lsp_server.filters import FILTERS, Draft, Filter, shown
from lsp_server.filters.block import without_lines_of_no_block
from lsp_server.filters.closers import without_doubled_closers
from lsp_server.filters.definitions import without_second_definitions
from lsp_server.filters.errors import without_errors
from lsp_server.filters.indentation import in_own_style
from lsp_server.filters.loops import without_loops
from lsp_server.filters.names import without_unknown_names
from lsp_server.filters.neighbours import without_neighbours
from lsp_server.filters.openers import without_dangling_openers
from lsp_server.filters.rest_of_line import without_rest_of_line
from lsp_server.filters.white_space import without_idle_space
from lsp_server.filters.word import within_a_known_word
from tests.lsp_server.golden import GOLDEN, Case, read_cases

FOLDER = GOLDEN / "filters"
BY_NAME: Mapping[str, tuple[Filter, ...]] = MappingProxyType(
    {
        "rest_of_line": (without_rest_of_line,),
        "word": (within_a_known_word,),
        "block": (without_lines_of_no_block,),
        "definitions": (without_second_definitions,),
        "errors": (without_errors,),
        "names": (without_unknown_names,),
        "openers": (without_dangling_openers,),
        "closers": (without_doubled_closers,),
        "indentation": (in_own_style,),
        "neighbours": (without_neighbours,),
        "loops": (without_loops,),
        "white_space": (without_idle_space,),
        "all": FILTERS,
    }
)
CASES = [
    pytest.param(BY_NAME[path.stem], case, id=f"{path.stem}: {case.name}")
    for path in sorted(FOLDER.glob("*.txt"))
    for case in read_cases(path)
]


def draft(case: Case, text: str) -> Draft:
    code, sure = case.code, case.options.get("sure")
    along = () if sure is None else ((len(case.model), math.log(float(sure))),)
    elsewhere = (frozenset(case.options.get("elsewhere", "").split()),)
    return Draft(text, code.prefix, code.suffix, code.syntax, code.state, along=along, elsewhere=elsewhere)


@pytest.mark.parametrize(("filters", "case"), CASES)
def test_golden(filters, case):
    assert shown(draft(case, case.model), filters) == case.expected


@pytest.mark.parametrize(("filters", "case"), CASES)
def test_a_filter_has_nothing_to_say_about_its_own_work(filters, case):
    text = shown(draft(case, case.model), filters)
    assert not text or shown(draft(case, text), filters) == text


@pytest.mark.parametrize("name", BY_NAME)
def test_a_filter_is_shown_where_it_acts_and_where_it_does_not(name):
    unchanged = [case.model == case.expected for case in read_cases(FOLDER / f"{name}.txt")]
    assert set(unchanged) == {True, False}


def test_every_filter_has_a_golden_file_and_is_in_the_loop():
    sources = Path(__file__).parents[3] / "lsp_server" / "filters"
    names = {path.stem for path in sources.glob("*.py")} - {"__init__", "draft"}
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(BY_NAME) == names | {"all"}
    assert {filters for name, (filters, *_) in BY_NAME.items() if name != "all"} == set(FILTERS)
