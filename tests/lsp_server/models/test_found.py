"""Models of other programs: the layout of each store, its environment variables, and possible damage."""

import os
from pathlib import Path

import pytest

from lsp_server.models.entries import Findings
from lsp_server.models.found import find_models, hugging_face, llama_cpp, lm_studio, ollama
from lsp_server.models.found.folders import files_below
from lsp_server.models.found.gguf_files import is_gguf_name, model_name
from tests.lsp_server.models.fake_machine import GGUF, machine_at, put_file, put_manifest, put_ollama, put_repository


def rows(findings: Findings) -> list[tuple[str, str, str]]:
    return sorted((found.name, found.source, found.kind) for found in findings.found)


def problems(findings: Findings) -> dict[str, str]:
    return {found.name: found.problem for found in findings.found}


def test_a_machine_without_any_store_has_nothing(tmp_path: Path):
    for platform in ("linux", "darwin", "win32"):
        assert find_models(machine_at(tmp_path, platform)) == Findings()


# Ollama


def test_ollama_names_are_those_that_it_lists(tmp_path: Path):
    root = tmp_path / "home/.ollama/models"
    blob = put_ollama(root, "qwen2.5-coder:0.5b", licence="\n   Apache License\n  Version 2.0\n")
    put_ollama(root, "me/mine:latest")
    put_ollama(root, "org/repository:Q4_K_M", host="hf.co")
    findings = ollama.find(machine_at(tmp_path))
    assert rows(findings) == [
        ("hf.co/org/repository:Q4_K_M", "ollama", "gguf"),
        ("me/mine:latest", "ollama", "gguf"),
        ("qwen2.5-coder:0.5b", "ollama", "gguf"),
    ]
    found = next(found for found in findings.found if found.name == "qwen2.5-coder:0.5b")
    assert found.path == blob
    assert found.licence == "Apache License"
    assert set(problems(findings).values()) == {""}


def test_ollama_roots(tmp_path: Path):
    own, service = tmp_path / "home/.ollama/models", tmp_path / "root/usr/share/ollama/.ollama/models"
    assert ollama.roots(machine_at(tmp_path)) == (own, service)
    assert ollama.roots(machine_at(tmp_path, "darwin")) == (own,)
    assert ollama.roots(machine_at(tmp_path, OLLAMA_MODELS="/big/disk")) == (Path("/big/disk"), service)
    assert ollama.roots(machine_at(tmp_path, "win32", OLLAMA_MODELS="~/m"))[0] == tmp_path / "home/m"
    put_ollama(service, "a:1")
    assert rows(ollama.find(machine_at(tmp_path))) == [("a:1", "ollama", "gguf")]


def test_an_ollama_manifest_without_its_blob(tmp_path: Path):
    put_ollama(tmp_path / "home/.ollama/models", "lost:7b", None)
    problem = problems(ollama.find(machine_at(tmp_path)))["lost:7b"]
    assert "which is gone; pull it again: ollama pull lost:7b" in problem


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ([], "lists no layers"),
        ({"layers": ["x"]}, "lists no layers"),
        ({"layers": []}, "0 files of weights"),
        ({"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../x"}]}, "no SHA-256"),
        ({"layers": [{"mediaType": "application/vnd.ollama.image.model"}]}, "no SHA-256"),
        (
            {"layers": [{"mediaType": "application/vnd.ollama.image.adapter", "digest": "sha256:" + "0" * 64}]},
            "an adapter",
        ),
        ("x" * ((1 << 20) + 1), "more than"),
    ],
)
def test_an_ollama_manifest_that_is_not_as_it_should_be(tmp_path: Path, raw: object, reason: str):
    root = tmp_path / "home/.ollama/models"
    put_manifest(root, "library/odd", "1", raw)
    problem = problems(ollama.find(machine_at(tmp_path)))["odd:1"]
    assert reason in problem
    assert "\n" not in problem
    assert str(root) in problem


def test_an_ollama_blob_that_is_a_link_out_of_the_store(tmp_path: Path):
    root = tmp_path / "home/.ollama/models"
    blob = put_ollama(root, "a:1")
    blob.unlink()
    blob.symlink_to(put_file(tmp_path / "secret"))
    assert "a link that leaves" in problems(ollama.find(machine_at(tmp_path)))["a:1"]
    blob.unlink()
    blob.symlink_to(blob)
    assert "cannot be read" in problems(ollama.find(machine_at(tmp_path)))["a:1"]


def test_a_store_that_is_itself_a_link_is_the_users_choice(tmp_path: Path):
    put_ollama(tmp_path / "disk/models", "a:1")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.ollama").symlink_to(tmp_path / "disk")
    assert problems(ollama.find(machine_at(tmp_path))) == {"a:1": ""}


# LM Studio


def test_lm_studio(tmp_path: Path):
    root = tmp_path / "home/.lmstudio/models"
    put_file(root / "publisher/Model-GGUF/Model-Q4_K_M.gguf")
    put_file(root / "publisher/Model-GGUF/readme.md")
    put_file(tmp_path / "home/.cache/lm-studio/models/publisher/old/old-Q8_0.gguf")
    assert rows(lm_studio.find(machine_at(tmp_path))) == [
        ("Model-Q4_K_M", "lm-studio", "gguf"),
        ("old-Q8_0", "lm-studio", "gguf"),
    ]


def test_lm_studio_folders_that_the_user_chose(tmp_path: Path):
    home = put_file(tmp_path / "elsewhere/settings.json", b'{"downloadsFolder": "%s"}' % bytes(tmp_path / "big")).parent
    put_file(tmp_path / "home/.lmstudio-home-pointer", bytes(home))
    put_file(tmp_path / "big/p/m/chosen.gguf")
    put_file(home / "models/p/m/usual.gguf")
    assert {name for name, _, _ in rows(lm_studio.find(machine_at(tmp_path)))} == {"chosen", "usual"}


@pytest.mark.parametrize("text", [b"", b"\xff", b"relative", b"x" * (2 << 20)])
def test_lm_studio_pointers_that_lead_nowhere(tmp_path: Path, text: bytes):
    put_file(tmp_path / "home/.lmstudio-home-pointer", text)
    put_file(tmp_path / "home/.lmstudio/settings.json", text)
    put_file(tmp_path / "home/.lmstudio/models/p/m/usual.gguf")
    assert {name for name, _, _ in rows(lm_studio.find(machine_at(tmp_path)))} == {"usual"}


def test_links_out_of_lm_studio_are_named_and_not_read(tmp_path: Path):
    root = tmp_path / "home/.lmstudio/models/p/m"
    root.mkdir(parents=True)
    (root / "link.gguf").symlink_to(put_file(tmp_path / "elsewhere.gguf"))
    (root / "broken.gguf").symlink_to(tmp_path / "nothing.gguf")
    os.mkfifo(root / "pipe.gguf")
    found = problems(lm_studio.find(machine_at(tmp_path)))
    assert "a link that leaves" in found["link"]
    assert "a file that is gone" in found["broken"]
    assert "no regular file" in found["pipe"]


# llama.cpp


def test_llama_cpp_roots(tmp_path: Path):
    home = tmp_path / "home"
    assert llama_cpp.flat_root(machine_at(tmp_path)) == home / ".cache/llama.cpp"
    assert llama_cpp.flat_root(machine_at(tmp_path, XDG_CACHE_HOME="/c")) == Path("/c/llama.cpp")
    assert llama_cpp.flat_root(machine_at(tmp_path, "darwin")) == home / "Library/Caches/llama.cpp"
    assert llama_cpp.flat_root(machine_at(tmp_path, "win32", LOCALAPPDATA="/local")) == Path("/local/llama.cpp")
    assert llama_cpp.flat_root(machine_at(tmp_path, "win32")) == home / "AppData/Local/llama.cpp"
    assert llama_cpp.flat_root(machine_at(tmp_path, LLAMA_CACHE="/l")) == Path("/l")


def test_llama_cpp_old_and_new(tmp_path: Path):
    cache = tmp_path / "cache-of-llama"
    put_file(cache / "org_repository_model-q4_0.gguf")
    put_file(cache / "org_repository_model-q4_0.gguf.json", b"{}")
    put_repository(cache, "org/new", {"new-Q4_K_M.gguf": GGUF})
    put_repository(tmp_path / "home/.cache/huggingface/hub", "org/hub", {"hub.gguf": GGUF})
    assert rows(find_models(machine_at(tmp_path, LLAMA_CACHE=str(cache)))) == [
        ("hub", "hugging-face", "gguf"),
        ("new-Q4_K_M", "llama.cpp", "gguf"),
        ("org_repository_model-q4_0", "llama.cpp", "gguf"),
    ]


# The Hugging Face hub


@pytest.mark.parametrize(
    ("environment", "root"),
    [
        ({}, "home/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "~/xdg"}, "home/xdg/huggingface/hub"),
        ({"HF_HOME": "~/hf", "XDG_CACHE_HOME": "~/xdg"}, "home/hf/hub"),
        ({"HUGGINGFACE_HUB_CACHE": "~/old", "HF_HOME": "~/hf"}, "home/old"),
        ({"HF_HUB_CACHE": "~/new", "HUGGINGFACE_HUB_CACHE": "~/old"}, "home/new"),
        ({"HF_HUB_CACHE": "  "}, "home/.cache/huggingface/hub"),
    ],
)
def test_hub_roots(tmp_path: Path, environment: dict[str, str], root: str):
    assert hugging_face.roots(machine_at(tmp_path, **environment)) == ((tmp_path / root, "hugging-face"),)


CARD = b"---\nlanguage: en\nlicense: other\nlicense_name: 'deepseek'\n---\nlicense: not this\n"


def test_the_hub_has_files_checkpoints_and_graphs(tmp_path: Path):
    root = tmp_path / "home/.cache/huggingface/hub"
    put_repository(root, "org/files", {"a-Q4_0.gguf": GGUF, "Q8/b-Q8_0.gguf": GGUF, "README.md": CARD})
    put_repository(root, "org/checkpoint", {"config.json": b"{}", "model.safetensors": b"1", "tokenizer.json": b"{}"})
    put_repository(root, "org/pickled", {"config.json": b"{}", "pytorch_model.bin": b"1"})
    put_repository(root, "org/graph", {"config.json": b"{}", "onnx/model_q4.onnx": b"1", "x.safetensors": b"2"})
    put_repository(root, "org/only-a-tokenizer", {"config.json": b"{}", "tokenizer.json": b"{}"})
    put_file(root / "datasets--org--data/snapshots/c/x.gguf")
    put_file(root / "version.txt")
    findings = hugging_face.find(machine_at(tmp_path))
    assert rows(findings) == [
        ("a-Q4_0", "hugging-face", "gguf"),
        ("b-Q8_0", "hugging-face", "gguf"),
        ("org/checkpoint", "hugging-face", "checkpoint"),
        ("org/graph", "hugging-face", "onnx"),
        ("org/pickled", "hugging-face", "checkpoint"),
    ]
    assert set(problems(findings).values()) == {""}
    assert {found.licence for found in findings.found if found.kind == "gguf"} == {"deepseek"}


def test_the_commit_of_main_counts_else_the_last(tmp_path: Path):
    root = tmp_path / "home/.cache/huggingface/hub"
    put_repository(root, "org/x", {"new.gguf": GGUF}, "bbb")
    put_repository(root, "org/x", {"old.gguf": GGUF}, "aaa", main=False)
    assert [found.name for found in hugging_face.find(machine_at(tmp_path)).found] == ["new"]
    for content in (b"../../..", b"gone", b"\xff\x00", b".."):
        put_file(root / "models--org--x/refs/main", content)
        os.utime(root / "models--org--x/snapshots/aaa", (2e9, 2e9))
        assert [found.name for found in hugging_face.find(machine_at(tmp_path)).found] == ["old"]


def test_links_out_of_the_hub_are_named_and_not_read(tmp_path: Path):
    root = tmp_path / "home/.cache/huggingface/hub"
    snapshot = put_repository(root, "org/x", {"a.gguf": GGUF, "config.json": b"{}", "model.safetensors": b"1"})
    (snapshot / "a.gguf").unlink()
    (snapshot / "a.gguf").symlink_to(put_file(tmp_path / "secret.gguf"))
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to(tmp_path / "gone.json")
    (snapshot / "README.md").symlink_to(put_file(tmp_path / "secret.md", CARD))
    found = {one.name: one for one in hugging_face.find(machine_at(tmp_path)).found}
    assert "a link that leaves" in found["a"].problem
    assert "config.json: it is a link to a file that is gone" in found["org/x"].problem
    assert found["a"].licence == ""


def test_a_snapshot_that_is_a_link_out_of_the_hub_is_not_entered(tmp_path: Path):
    root = tmp_path / "home/.cache/huggingface/hub"
    snapshot = put_repository(root, "org/x", {"a.gguf": GGUF})
    outside = snapshot.rename(tmp_path / "outside")
    snapshot.symlink_to(outside)
    assert hugging_face.find(machine_at(tmp_path)).found == ()


# All of them


def test_stores_that_cannot_be_read_are_said_in_one_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def scandir(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lsp_server.models.found.folders.os.scandir", scandir)
    notes = find_models(machine_at(tmp_path)).notes
    assert len(notes) == 6
    assert all("cannot be read (Permission denied)" in note for note in notes)


def test_names_of_files():
    assert is_gguf_name("x.gguf")
    assert is_gguf_name("X.GGUF")
    assert is_gguf_name("x-00001-of-00003.gguf")
    assert not is_gguf_name("x-00002-of-00003.gguf")
    assert not is_gguf_name("._x.gguf")
    assert not is_gguf_name("x.gguf.json")
    assert model_name(Path("x-00001-of-00003.gguf")) == "x"
    assert model_name(Path("qwen2.5-coder.Q4_K_M.gguf")) == "qwen2.5-coder.Q4_K_M"


def test_folders_behind_links_are_not_entered(tmp_path: Path):
    put_file(tmp_path / "a/b/c.gguf")
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")
    put_file(tmp_path / "a/b/c/d/e/f.gguf")
    assert [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path / "a", 2)] == ["a/b/c.gguf"]
