"""The manifest: what is written is read back; everything else is refused in one helpful line."""

import copy
import dataclasses
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ManifestError, ModelFolderError
from engine.model_folder.known_hashes import sha256_of
from engine.model_folder.manifest import (
    MANIFEST_NAME,
    ControlIds,
    FimTemplates,
    Manifest,
    dump_manifest,
    load_manifest,
    parse_manifest,
)
from tests.fakes import make_manifest

FIM = FimTemplates(
    templates={"psm": (1, "prefix", 2, "suffix", 3), "spm": (1, 2, "suffix", 3, "prefix")}, default="spm"
)
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete model folder, although its files have no meaningful content."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph" * 1000)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "sub").mkdir()
    (folder / "sub" / "weights.bin").write_bytes(b"")
    files = {name: sha256_of(folder / name) for name in ("model.onnx", "tokenizer.json", "sub/weights.bin")}
    write(folder, dataclasses.replace(make_manifest(8, fim=FIM, begin=7), files=files, licence="Apache-2.0"))
    return folder


def write(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST_NAME).write_text(dump_manifest(manifest), encoding="utf-8")


def raw_manifest() -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(dump_manifest(make_manifest(8, fim=FIM)))
    return raw


def assert_refused(folder: Path, *parts: str, kind: type[ModelFolderError] = ManifestError) -> None:
    with pytest.raises(kind) as caught:
        load_manifest(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert any(advice in message for advice in ("export", "copy", "give a folder", "do not use"))
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    "manifest",
    [
        make_manifest(8),
        make_manifest(8, fim=FIM, begin=5, end=(0, 3)),
        dataclasses.replace(make_manifest(9), control=ControlIds(None, (0,), pad=0), name="Ünïcode ▁", licence="MIT"),
        dataclasses.replace(make_manifest(8), copying=(0.0, 0.25)),
    ],
    ids=["plain", "fim", "unicode", "copying"],
)
def test_what_is_dumped_is_parsed_back_equal(manifest):
    assert parse_manifest(json.loads(dump_manifest(manifest))) == manifest


def test_a_complete_folder_loads(folder):
    manifest = load_manifest(folder)
    assert manifest.fim == FIM
    assert manifest.fim.control_ids == {1, 2, 3}
    assert manifest.control == ControlIds(begin=7, end=(0,))
    assert manifest.licence == "Apache-2.0"


def test_sha256_reads_long_files_in_blocks(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"")
    assert sha256_of(path) == EMPTY_SHA256
    path.write_bytes(b"a" * ((1 << 20) + 1))
    longer = sha256_of(path)
    path.write_bytes(b"a" * (1 << 20) + b"b")
    assert longer != sha256_of(path) != EMPTY_SHA256


def test_no_folder(tmp_path):
    assert_refused(tmp_path / "absent", "absent", kind=ModelFolderError)


def test_a_folder_without_a_manifest(tmp_path):
    assert_refused(tmp_path, MANIFEST_NAME, "midtoken export", kind=ModelFolderError)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_manifest(folder, share):
    path = folder / MANIFEST_NAME
    text = path.read_text()
    path.write_text(text[: int(len(text) * share)])
    assert_refused(folder, MANIFEST_NAME, "JSON")


@pytest.mark.parametrize(
    "data", [b"\xff\xfe", b"[" * 100_000, b"[1, 2]\n", b'"text"', b"null"], ids=lambda d: repr(d[:6])
)
def test_a_file_that_is_no_manifest(folder, data):
    (folder / MANIFEST_NAME).write_bytes(data)
    assert_refused(folder, MANIFEST_NAME)


def required_fields(raw: dict[str, Any], path: tuple[str, ...] = ()):
    for name, value in raw.items():
        if path == () and name in ("fim", "repository", "copying", "reading_file", "licence", "training_data"):
            continue
        if path in (("graph",), ("files",)) or (*path, name) in {
            ("control", "begin"),
            ("control", "pad"),
            ("vocabulary", "tied"),
            ("vocabulary", "untrained"),
        }:
            continue  # these have defaults, or their names are data
        yield (*path, name)
        if isinstance(value, dict):
            yield from required_fields(value, (*path, name))


@pytest.mark.parametrize("path", list(required_fields(raw_manifest())), ids=".".join)
def test_a_missing_field_is_named(path):
    raw = raw_manifest()
    holder = raw
    for name in path[:-1]:
        holder = holder[name]
    del holder[path[-1]]
    with pytest.raises(ManifestError) as caught:
        parse_manifest(raw, "m.json")
    assert str(caught.value) == f"m.json: field {path[-1]!r} is missing; export the model again"


BROKEN = {
    "another format": (("format",), 2, "format 2 is not 1"),
    "a format as text": (("format",), "1", "format '1'"),
    "name is a number": (("name",), 7, "name"),
    "unknown precision": (("precision",), "int2", "precision"),
    "no context": (("context_length",), 0, "context_length"),
    "a fraction of context": (("context_length",), 2.5, "context_length"),
    "context is true": (("context_length",), True, "context_length"),
    "graph is a list": (("graph",), [], "graph"),
    "an unknown graph name": (("graph", "input_embeddings"), "x", "input_embeddings"),
    "a graph name is a number": (("graph", "input_ids"), 3, "input_ids"),
    "a graph name is nothing": (("graph", "logits"), None, "logits"),
    "past without a layer": (("graph", "past_key"), "past.key", "past_key"),
    "past with two layers": (("graph", "past_value"), "past.{}.{}", "past_value"),
    "present with a field": (("graph", "present_key"), "present.{layer}.key", "present_key"),
    "layers": (("key_value", "layers"), -1, "layers"),
    "cache type": (("key_value", "dtype"), "int8", "dtype"),
    "shared is text": (("key_value", "shared"), "no", "shared"),
    "an end id below zero": (("control", "end"), [-1], "control.end"),
    "no end id": (("control", "end"), [], "control.end"),
    "end is a number": (("control", "end"), 3, "control.end"),
    "begin is text": (("control", "begin"), "<s>", "begin"),
    "head is text": (("vocabulary", "head"), "8", "head"),
    "an unknown size": (("vocabulary", "lips"), 8, "lips"),
    "files is a list": (("files",), ["model.onnx"], "files"),
    "a hash is a number": (("files", "model.onnx"), 5, "model.onnx"),
    "no hash of the model": (("files",), {"tokenizer.json": EMPTY_SHA256}, "model.onnx"),
    "no hash of the tokenizer": (("files",), {"model.onnx": EMPTY_SHA256}, "tokenizer.json"),
    "no hash of the second graph": (("reading_file",), "../reading.onnx", "'../reading.onnx'"),
    "the second graph is a number": (("reading_file",), 3, "reading_file"),
    "model file is a list": (("model_file",), ["model.onnx"], "model_file"),
    "an unknown order": (("fim", "templates", "mps"), [1, "prefix", "suffix"], "mps"),
    "a template without suffix": (("fim", "templates", "psm"), [1, "prefix", 2], "suffix"),
    "a template with two prefixes": (("fim", "templates", "psm"), ["prefix", "prefix", "suffix"], "once"),
    "control text in a template": (("fim", "templates", "psm"), ["<P>", "prefix", "suffix"], "once"),
    "a template is text": (("fim", "templates", "psm"), "prefix suffix", "psm"),
    "a template id below zero": (("fim", "templates", "psm"), [-4, "prefix", "suffix"], "fim"),
    "no template": (("fim",), {"templates": {}, "default": "psm"}, "psm"),
    "default without a template": (("fim", "default"), "mps", "default"),
    "default is a list": (("fim", "default"), [], "default"),
    "copying is a number": (("copying",), 0.5, "copying must be a list of at most 8 numbers"),
    "copying too much": (("copying",), [0.1] * 9, "copying must be a list of at most 8 numbers"),
    "copying alone": (("copying",), [0.1, 1.0], "copying holds 1.0"),
    "copying less than nothing": (("copying",), [-0.1], "copying holds -0.1"),
    "copying text": (("copying",), ["0.1"], "copying holds '0.1'"),
    "copying no number": (("copying",), [math.nan], "copying holds nan"),
    "licence is a list": (("licence",), ["MIT"], "licence"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_field_is_named(case):
    path, value, named = BROKEN[case]
    raw = copy.deepcopy(raw_manifest())
    holder = raw
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    with pytest.raises(ManifestError) as caught:
        parse_manifest(raw)
    message = str(caught.value)
    assert message.startswith(MANIFEST_NAME)
    assert named in message
    assert message.endswith("export the model again")
    assert "\n" not in message


def with_file(folder: Path, name: str, digest: str = EMPTY_SHA256) -> None:
    manifest = load_manifest(folder)
    write(folder, dataclasses.replace(manifest, files={**manifest.files, name: digest}))


def test_an_altered_file(folder):
    (folder / "model.onnx").write_bytes(b"graph" * 1000 + b"!")
    assert_refused(folder, "model.onnx", "SHA-256")


def test_a_truncated_file(folder):
    (folder / "model.onnx").write_bytes(b"graph" * 999)
    assert_refused(folder, "model.onnx", "SHA-256")


def test_an_absent_file(folder):
    (folder / "sub" / "weights.bin").unlink()
    assert_refused(folder, "weights.bin")


@pytest.mark.parametrize("name", ["", ".", "sub"])
def test_a_folder_in_place_of_a_file(folder, name):
    with_file(folder, name)
    assert_refused(folder, "is not a regular file")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.parametrize("name", [MANIFEST_NAME, "model.onnx"])
def test_a_pipe_in_place_of_a_file_is_not_opened(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert_refused(folder, "is not a regular file")


def changed(*path: str, to: object) -> dict[str, Any]:
    raw = raw_manifest()
    place = raw
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return raw


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("key_value", "layers"), 10**9, "1 to 1024"),
        (("key_value", "heads"), 10**9, "1 to 4096"),
        (("key_value", "head_size"), 10**4000, "1 to 4096"),
        (("context_length",), 1 << 40, "context_length is"),
        (("vocabulary", "head"), 1 << 40, "head is"),
        (("files",), {f"{number}.bin": "" for number in range(65)}, "at most 64"),
        (("fim", "templates", "psm"), ["prefix", "suffix", *range(63)], "fim template"),
        (("name",), "x" * 201, "200 printable"),
        (("name",), "a\x1b[2Jb", "200 printable"),
        (("architecture",), "two\nlines", "200 printable"),
        (("model_file",), "model.ort", "model_file is 'model.ort'; it must end with .onnx"),
        (("reading_file",), "reading.ort", "reading_file is 'reading.ort'; it must end with .onnx"),
        (("precision",), "x" * 10**6, "precision is"),
    ],
    ids=str,
)
def test_bounds_that_are_checked_before_anything_is_made(path, value, says):
    with pytest.raises(ManifestError, match=says) as caught:
        parse_manifest(changed(*path, to=value))
    assert len(str(caught.value)) < 300


def test_a_manifest_of_megabytes_is_not_read(folder):
    with (folder / MANIFEST_NAME).open("ab") as stream:
        stream.truncate(1 << 40)  # a sparse file: it takes no space on the disk
    assert_refused(folder, "at most 4194304 are read")


@pytest.mark.parametrize("name", ["../outside.bin", "sub/../../outside.bin", "{absolute}", "../model-2/outside.bin"])
def test_a_path_outside_the_folder(folder, name):
    # The content agrees with the hash; only the place is wrong.
    (folder.parent / "outside.bin").write_bytes(b"")
    (folder.parent / "model-2").mkdir()
    (folder.parent / "model-2" / "outside.bin").write_bytes(b"")
    with_file(folder, name.format(absolute=folder.parent / "outside.bin"))
    assert_refused(folder, "outside", "do not use")


def test_an_absolute_path_into_the_folder(folder):
    # It would break as soon as the folder is copied.
    with_file(folder, str(folder / "sub" / "weights.bin"))
    assert_refused(folder, "weights.bin")


def test_a_link_out_of_the_folder(folder):
    (folder.parent / "secret").write_bytes(b"")
    (folder / "link.bin").symlink_to(folder.parent / "secret")
    with_file(folder, "link.bin")
    assert_refused(folder, "link.bin", "do not use")


def test_a_linked_folder_out_of_the_folder(folder):
    (folder / "linked").symlink_to(folder.parent)
    (folder.parent / "secret").write_bytes(b"")
    with_file(folder, "linked/secret")
    assert_refused(folder, "secret", "do not use")


def test_a_link_inside_the_folder_is_fine(folder):
    (folder / "link.bin").symlink_to(folder / "sub" / "weights.bin")
    with_file(folder, "link.bin")
    load_manifest(folder)


def test_a_link_to_itself(folder):
    (folder / "loop.bin").symlink_to(folder / "loop.bin")
    with_file(folder, "loop.bin")
    assert_refused(folder, "loop.bin")


def test_a_model_folder_may_itself_be_a_link(folder):
    link = folder.parent / "link"
    link.symlink_to(folder)
    load_manifest(link)


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "x" * 5000, "\ud800"], ids=["nul", "newline", "long", "surrogate"])
def test_a_name_that_no_file_can_have(folder, name):
    manifest = load_manifest(folder)
    raw = json.loads(dump_manifest(manifest))
    raw["files"][name] = EMPTY_SHA256
    (folder / MANIFEST_NAME).write_text(json.dumps(raw))
    assert_refused(folder)
