import re
from dataclasses import fields
from pathlib import Path

import pytest

from engine import RequestError
from lsp_server.team.config import (
    Autoscale,
    Limits,
    ModelConfig,
    TeamConfig,
    TokenConfig,
    check_exposed,
    is_loopback,
    read_config,
    read_file,
)
from lsp_server.team.protocol import Bounds

PAGE = Path(__file__).parents[3] / "docs" / "team.md"

LEAST = "tokens: [{name: alice, file: /run/secrets/alice}]\nmodels: [{name: bundled, replicas: 1}]\n"
DIGEST = "ab" * 32


def read(tmp_path: Path, text: str) -> TeamConfig:
    path = tmp_path / "midtoken-team.yaml"
    path.write_text(text)
    return read_file(path)


def test_the_least_file(tmp_path):
    config = read(tmp_path, LEAST)
    (model,), (token,) = config.models, config.tokens
    assert (model.name, model.model, model.replicas, model.autoscale) == ("bundled", "bundled", 1, None)
    assert (token.name, token.file) == ("alice", Path("/run/secrets/alice"))
    assert (config.host, config.port) == ("127.0.0.1", 8440)


def test_the_same_settings_in_a_file_of_serve(tmp_path):
    inside = "".join(f"      {line}\n" for line in LEAST.splitlines())
    text = f"applications:\n  - import_path: lsp_server.team.application:build\n    args:\n{inside}"
    assert read(tmp_path, text) == read(tmp_path, LEAST)


def test_the_table_of_the_page_has_every_member():
    rows = re.findall(r"^\| (`models\[\]\.name`.*?)\n\n", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    cells = [row.removeprefix("| ").split(" | ")[0] for row in rows[0].splitlines()]
    told: dict[str, list[str]] = {}
    for cell in cells:  # such as `limits.body_bytes`, `body_s`
        names = re.findall("`([^`]+)`", cell)
        where, _, first = names[0].rpartition(".")
        told.setdefault(where, []).extend([first, *names[1:]])
    of = {"models[]": (ModelConfig,), "tokens[]": (TokenConfig,), "limits": (Limits, Bounds), "": (TeamConfig,)}
    known = {where: {each.name for kind in kinds for each in fields(kind)} for where, kinds in of.items()}
    known["limits"].remove("bounds")  # they are members of `limits`
    known[""] -= {"models", "tokens", "limits"}
    assert {where: sorted(names) for where, names in told.items()} == {
        where: sorted(names) for where, names in known.items()
    }


def test_a_whole_file_comes_through_the_arguments_of_an_application(tmp_path):
    config = read(
        tmp_path,
        f"""
models:
  - {{name: seven, model: /models/seven, autoscale: {{min: 1, max: 4}}, gpus: 0.5, device: cuda, concurrent: 4}}
  - {{name: small, replicas: 2, threads: 1, context_tokens: 512, waiting: 0, memory_mb: 64, parked_mb: 16}}
tokens:
  - {{name: a, sha256: {DIGEST}, models: [small], requests_per_second: 2, concurrent: 1}}
  - {{name: b, environment: TOKEN_OF_B}}
limits: {{body_bytes: 100000, body_s: 2, max_new_tokens: 32}}
""",
    )
    assert config.models[0].autoscale == Autoscale(1, 4, 4.0)
    assert config.limits.bounds.max_new_tokens == 32
    assert config.models[1].threads == 1
    assert config.tokens[1].environment == "TOKEN_OF_B"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be an object, but is null"),
        ("models: []", "models is empty"),
        ("models: [{}]", "name is missing"),
        ("models: [{name: ../../etc}]", "is no name that clients can say"),
        ("models: [{name: a, model: ''}]", "neither a name"),
        ("models: [{name: a}, {name: a}]", "'a' is there twice"),
        ("models: [{name: a, replicas: 0}]", "replicas is 0"),
        ("models: [{name: a, replicas: 1, autoscale: {max: 2}}]", "replicas and autoscale"),
        ("models: [{name: a, autoscale: {min: 3, max: 2}}]", "max is 2; it must be from 3"),
        ("models: [{name: a, device: tpu}]", "device is 'tpu'; it must be one of auto, cpu"),
        ("models: [{name: a, gpu: 1}]", "has no 'gpu'"),
        ("model: [{name: a}]", "has no 'model'"),
        ("models: [{name: a}]\ntokens: [{name: t}]", "exactly one of file, sha256 and environment"),
        ("models: [{name: a}]\ntokens: [{name: t, sha256: abc}]", "64 hexadecimal digits"),
        ("models: [{name: a}]\ntokens: [{name: t, file: x, models: [b]}]", "no model of this file"),
        ("models: [{name: a}]\nlimits: {body_bytes: 1}", "body_bytes is 1"),
        ("models: [{name: a}]\nport: 70000", "port is 70000"),
        ("models: [", "is no YAML, line 1"),
        ("models: !!python/object/apply:os.getcwd []", "is no YAML"),
        ("[" * 10_000, "is no YAML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(RequestError) as raised:
        read(tmp_path, text)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(RequestError, match=r"cannot read .*name the file with --config"):
        read_file(tmp_path / "nothing")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RequestError, match="is not UTF-8"):
        read_file(tmp_path / "binary")


class TestExposed:
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost", "127.3.2.1"])
    def test_loopback_needs_nothing(self, host):
        check_exposed(read_config({"models": [{"name": "a"}], "host": host}))

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org", "10.0.0.1", ""])
    def test_any_other_host_needs_tokens_and_tls(self, host, tmp_path):
        said = {"models": [{"name": "a"}], "host": host or " "}
        assert not is_loopback(host)
        with pytest.raises(RequestError, match="give tokens"):
            check_exposed(read_config(said))
        said["tokens"] = [{"name": "t", "sha256": DIGEST}]
        with pytest.raises(RequestError, match="in the clear"):
            check_exposed(read_config(said))
        check_exposed(read_config({**said, "proxy": True}))
        with pytest.raises(RequestError, match="go together"):
            check_exposed(read_config({**said, "key": "k"}))
        with pytest.raises(RequestError, match="is no file"):
            check_exposed(read_config({**said, "key": "k", "certificate": "c"}))
        for name in ("key", "certificate"):
            (tmp_path / name).write_text("")
            said[name] = str(tmp_path / name)
        check_exposed(read_config(said))
