"""The extension's package.json beside what it must agree with: the server's settings, the version, its own files."""

import json
import math
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lsp_server.settings import NAMES, SECTION, Settings, read_client

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "vscode-client"
MANIFEST: dict[str, Any] = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
CONTRIBUTED: dict[str, Any] = MANIFEST["contributes"]
PROPERTIES: dict[str, dict[str, Any]] = {
    key.removeprefix(f"{SECTION}."): value for key, value in CONTRIBUTED["configuration"]["properties"].items()
}
OF_THE_EXTENSION = ("enabled", "completionList", "server.python", "server.command", "server.package")
MIRRORED = [name for name in PROPERTIES if name not in OF_THE_EXTENSION]


def problems(name: str, value: object) -> tuple[str, ...]:
    return read_client({name: value})[1]


def types(declared: dict[str, Any]) -> set[str]:
    """The types without null, which means that a setting is not set."""
    kinds = declared["type"]
    return {kinds} if isinstance(kinds, str) else set(kinds) - {"null"}


def test_the_settings_are_those_of_the_server_and_a_few_of_the_extension():
    assert set(PROPERTIES) == {*NAMES, *OF_THE_EXTENSION}


def test_every_setting_is_described():
    for name, declared in PROPERTIES.items():
        assert declared.get("description") or declared.get("markdownDescription"), name
        assert len(declared.get("enumDescriptions", ())) == len(declared.get("enum", ())), name


@pytest.mark.parametrize("name", MIRRORED)
def test_the_declared_default_is_the_one_of_the_server(name: str):
    values, reported = read_client({name: PROPERTIES[name]["default"]})
    assert reported == ()
    assert replace(Settings(), **values) == Settings()


@pytest.mark.parametrize("name", MIRRORED)
def test_the_declared_range_is_the_one_of_the_server(name: str):
    declared = PROPERTIES[name]
    kinds = types(declared)
    step = 1 if "integer" in kinds else 1e-6
    if "minimum" in declared:
        assert not problems(name, declared["minimum"])
        assert problems(name, declared["minimum"] - step)
    if "exclusiveMinimum" in declared:
        assert not problems(name, declared["exclusiveMinimum"] + step)
        assert problems(name, declared["exclusiveMinimum"])
    if "maximum" in declared:
        assert not problems(name, declared["maximum"])
        assert problems(name, declared["maximum"] + max(step, math.ulp(declared["maximum"])))
    if kinds & {"integer", "number"}:
        assert "maximum" in declared or math.isinf(getattr(Settings(), NAMES[name]))
        assert {"minimum", "exclusiveMinimum"} & set(declared)


@pytest.mark.parametrize("name", [name for name in MIRRORED if "enum" in PROPERTIES[name]])
def test_the_declared_choices_are_those_of_the_server(name: str):
    choices = PROPERTIES[name]["enum"]
    assert all(not problems(name, choice) for choice in choices)
    (reported,) = problems(name, "no such choice")
    told = reported.partition("must be ")[2].removeprefix("one of ").partition(";")[0]
    assert told.replace(" or ", ", ").split(", ") == [
        choice if isinstance(choice, str) else str(choice).lower() for choice in choices
    ]


@pytest.mark.parametrize("name", MIRRORED)
def test_the_declared_type_is_the_one_of_the_server(name: str):
    kinds = types(PROPERTIES[name])
    texts = {"model": "/models/a", "remote.url": "https://team.example", "remote.tokenFile": "/run/token"}
    text = texts.get(name, PROPERTIES[name].get("enum", ["x"])[0])
    examples = {"string": text, "array": ["x"], "boolean": True, "integer": 1, "number": 0.5}
    for kind, example in examples.items():
        fits = kind in kinds or (kind == "integer" and "number" in kinds)
        assert bool(problems(name, example)) != fits, (name, kind)


def test_programs_and_models_are_not_taken_from_a_workspace_that_is_not_trusted():
    restricted = MANIFEST["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"]
    assert set(restricted) == {
        f"{SECTION}.{name}" for name in (*OF_THE_EXTENSION, "model") if "." in name or name == "model"
    }
    for name in restricted:
        assert PROPERTIES[name.removeprefix(f"{SECTION}.")]["scope"] == "machine-overridable"


def test_no_workspace_can_name_where_text_is_sent():
    remote = [declared for name, declared in PROPERTIES.items() if name.startswith("remote.")]
    assert {declared["scope"] for declared in remote} == {"machine"}
    assert len(remote) == 3


def test_the_extension_starts_with_languages_and_with_nothing_else():
    events = MANIFEST["activationEvents"]
    assert all(event.startswith("onLanguage:") for event in events)
    assert "onLanguage:python" in events
    assert len(set(events)) == len(events)


def test_keys_are_guarded_and_name_commands_that_there_are():
    commands = {command["command"] for command in CONTRIBUTED["commands"]}
    assert all(name.startswith(f"{SECTION}.") for name in commands)
    for binding in CONTRIBUTED["keybindings"]:
        assert binding["command"] in commands
        assert "editorTextFocus" in binding["when"]
        assert "midtoken.active" in binding["when"]
    assert {item["command"] for item in CONTRIBUTED["menus"]["commandPalette"]} <= commands


def test_the_walkthrough_has_its_pictures():
    for walkthrough in CONTRIBUTED["walkthroughs"]:
        for step in walkthrough["steps"]:
            assert (EXTENSION / step["media"]["svg"]).is_file()
            assert step["media"]["altText"]


def test_extension_and_server_have_the_same_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert MANIFEST["version"] == project["version"]
