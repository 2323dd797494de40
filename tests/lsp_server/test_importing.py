import gc
import subprocess
import sys

import pytest

from lsp_server.importing import lasting_imports

NEW = "a module that nobody has imported"


@pytest.fixture(autouse=True)
def _thawed():
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    assert gc.get_threshold() == before


def test_what_was_imported_is_not_looked_at_again():
    frozen = gc.get_freeze_count()
    with lasting_imports(NEW):
        kept = [[number] for number in range(1000)]
    assert gc.get_freeze_count() - frozen > 1000
    assert not any(kept[0] is found for found in gc.get_objects())


def test_no_full_collection_runs_meanwhile_but_young_ones_do():
    generations: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            generations.append(info["generation"])

    gc.callbacks.append(note)
    try:
        with lasting_imports(NEW):
            # Enough for several full collections, if they were allowed.
            kept = [[number] for number in range(500_000)]
    finally:
        gc.callbacks.remove(note)
    assert kept
    assert 0 in generations
    assert 2 not in generations


def test_a_module_that_is_there_already_changes_nothing():
    frozen, thresholds = gc.get_freeze_count(), gc.get_threshold()
    with lasting_imports("gc"):
        assert gc.get_threshold() == thresholds
    assert gc.get_freeze_count() == frozen


def test_a_failed_import_leaves_collections_as_they_were():
    frozen, thresholds = gc.get_freeze_count(), gc.get_threshold()
    with pytest.raises(ImportError), lasting_imports(NEW):
        raise ImportError(NEW)
    assert gc.get_threshold() == thresholds
    assert gc.get_freeze_count() == frozen


SERVE = """
import gc, sys
from lsp_server import cli

allowed = []

class Watch:
    def find_spec(self, name, path, target=None):
        if name in ("engine.completer", "lsprotocol.types"):
            allowed.append(gc.get_threshold()[2] < 1000)

sys.meta_path.insert(0, Watch())
cli.main(["serve"])
print(len(allowed), any(allowed), gc.get_freeze_count() > 10_000, gc.isenabled(), gc.get_threshold()[2] < 1000)
"""
"""A server whose client leaves at once. It says, on what is standard error for a server, how many modules were watched,
and whether full collections were allowed while they were imported, and at the end.
"""


def test_the_server_imports_its_modules_for_good():
    done = subprocess.run(
        [sys.executable, "-c", SERVE], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stderr.splitlines()[-1].split() == ["2", "False", "True", "True", "True"], done.stderr
