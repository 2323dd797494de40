import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.runtime.ort import TELEMETRY_OFF

WAYS_IN = {
    "the Python API": "from engine import Completer; Completer.load()",
    "the command line": "from lsp_server.cli import main; main(['complete', '--prefix-file', 'a.py'])",
    "the benchmarks": "from benchmarks.tables import machine; machine()",
}


@pytest.mark.parametrize("program", WAYS_IN.values(), ids=WAYS_IN.keys())
def test_every_way_in_leaves_nothing_behind(program: str, tmp_path: Path) -> None:
    homes = {name: tmp_path / name for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR")}
    for folder in homes.values():
        folder.mkdir()
    (tmp_path / "a.py").write_text("import o")
    environment = {name: value for name, value in os.environ.items() if name != TELEMETRY_OFF}
    environment |= {name: str(folder) for name, folder in homes.items()}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, capture_output=True)
    written = [path for folder in homes.values() for path in folder.rglob("*") if path.is_file()]
    assert [path for path in written if "prefix-index" not in str(path)] == []
