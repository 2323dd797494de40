"""When the second graph is used: measured by a clock of the test, kept, and read back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.loading import BUNDLED_MODEL
from engine.model_folder.manifest import Manifest, read_manifest
from engine.runtime.reading_graph import TRIED_ROWS, keep_rows, known_rows, measured_rows

Seconds = Callable[[int], float]
"""What a pass over so many tokens takes."""


@pytest.fixture(scope="module", name="manifest")
def _manifest() -> Manifest:
    return read_manifest(BUNDLED_MODEL)


@pytest.mark.parametrize(
    ("narrow_s", "reading_s", "expected"),
    [
        (lambda rows: rows, lambda rows: rows / 2, TRIED_ROWS[0]),
        (lambda rows: rows, lambda rows: 8 + rows / 2, TRIED_ROWS[1]),
        (lambda rows: rows, lambda rows: rows, 0),
        (lambda rows: rows, lambda rows: 0.95 * rows, 0),
    ],
)
def test_it_is_used_from_the_first_size_at_which_it_is_clearly_faster(
    narrow_s: Seconds, reading_s: Seconds, expected: int
) -> None:
    now = 0.0

    def takes(seconds: Seconds) -> Callable[[int], None]:
        def run(rows: int) -> None:
            nonlocal now
            now += seconds(rows)

        return run

    assert measured_rows(takes(narrow_s), takes(reading_s), lambda: now) == expected


@pytest.mark.parametrize("rows", [0, *TRIED_ROWS])
def test_what_was_measured_is_kept_for_these_files_and_threads(tmp_path: Path, manifest: Manifest, rows: int) -> None:
    assert known_rows(manifest, 2, tmp_path / "reading") is None
    keep_rows(rows, manifest, 2, tmp_path / "reading")
    assert known_rows(manifest, 2, tmp_path / "reading") == rows
    assert known_rows(manifest, 1, tmp_path / "reading") is None
    other = replace(manifest, files=dict.fromkeys(manifest.files, "0" * 64))
    assert known_rows(other, 2, tmp_path / "reading") is None


@pytest.mark.parametrize("content", ["", "7", "-8", "8 8", "nan", "\xff", "9" * 5000])
def test_a_damaged_note_is_measured_again(tmp_path: Path, manifest: Manifest, content: str) -> None:
    keep_rows(8, manifest, None, tmp_path)
    (note,) = tmp_path.iterdir()
    note.write_text(content, encoding="utf-8")
    assert known_rows(manifest, None, tmp_path) is None


def test_without_a_folder_nothing_is_kept(tmp_path: Path, manifest: Manifest) -> None:
    keep_rows(8, manifest, None, None)
    assert known_rows(manifest, None, None) is None
    (tmp_path / "file").write_text("")
    keep_rows(8, manifest, None, tmp_path / "file")
    assert known_rows(manifest, None, tmp_path / "file") is None
