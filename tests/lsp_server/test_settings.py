from pathlib import Path

import pytest

from lsp_server.settings import NAMES, SECRETS, Settings, read_client, read_environment, resolve


def client(**raw: object) -> tuple[Settings, tuple[str, ...]]:
    values, problems = read_client(raw)
    return resolve(values), problems


EVERY_SETTING = {
    "model": "/models/a",
    "device": "cpu",
    "threads": 2,
    "healing": "off",
    "maxSurpriseBits": 30,
    "maxNewTokens": 8,
    "budgetMs": 250,
    "debounceMs": 0,
    "multiLine": True,
    "minConfidence": 0.5,
    "strategy": "sample",
    "temperature": 0.4,
    "topP": 0.9,
    "languages": ["python"],
    "exclude": ["*.md"],
    "crossFileContext": True,
    "readAhead": False,
    "effort": "low",
    "cacheMb": 64,
    "speculation": "off",
    "remote.url": "https://team.example:8440/",
    "remote.tokenFile": "/run/token",
    "remote.sendPath": True,
    "trace": "verbose",
}


def test_every_setting_of_the_interface_is_read():
    assert set(EVERY_SETTING) == set(NAMES)
    settings, problems = client(**EVERY_SETTING)
    assert problems == ()
    assert settings == Settings(
        model=Path("/models/a"),
        device="cpu",
        threads=2,
        healing="off",
        max_surprise_bits=30,
        max_new_tokens=8,
        budget_ms=250,
        debounce_ms=0,
        multi_line=True,
        min_confidence=0.5,
        strategy="sample",
        temperature=0.4,
        top_p=0.9,
        languages=("python",),
        exclude=("*.md",),
        cross_file_context=True,
        read_ahead=False,
        effort="low",
        cache_mb=64,
        speculation="off",
        remote_url="https://team.example:8440",
        remote_token_file=Path("/run/token"),
        remote_send_path=True,
        trace="verbose",
    )


def test_every_setting_is_read_from_the_environment():
    environment = {
        "MIDTOKEN_MODEL": "/models/a",
        "MIDTOKEN_DEVICE": "cpu",
        "MIDTOKEN_THREADS": "2",
        "MIDTOKEN_HEALING": "off",
        "MIDTOKEN_MAX_SURPRISE_BITS": "30",
        "MIDTOKEN_MAX_NEW_TOKENS": "8",
        "MIDTOKEN_BUDGET_MS": "250",
        "MIDTOKEN_DEBOUNCE_MS": "0",
        "MIDTOKEN_MULTI_LINE": "1",
        "MIDTOKEN_MIN_CONFIDENCE": "0.25",
        "MIDTOKEN_STRATEGY": "sample",
        "MIDTOKEN_TEMPERATURE": "0.4",
        "MIDTOKEN_TOP_P": ".9",
        "MIDTOKEN_LANGUAGES": "python, rust",
        "MIDTOKEN_EXCLUDE": "*.md",
        "MIDTOKEN_CROSS_FILE_CONTEXT": "Yes",
        "MIDTOKEN_READ_AHEAD": "0",
        "MIDTOKEN_EFFORT": "high",
        "MIDTOKEN_CACHE_MB": "64",
        "MIDTOKEN_SPECULATION": "off",
        "MIDTOKEN_REMOTE_URL": "http://127.0.0.1:8440",
        "MIDTOKEN_REMOTE_TOKEN_FILE": "/run/token",
        "MIDTOKEN_REMOTE_SEND_PATH": "yes",
        "MIDTOKEN_TRACE": "off",
        "PATH": "/bin",
    }
    values, problems = read_environment(environment)
    assert problems == ()
    assert set(values) == set(NAMES.values())
    settings = resolve(values)
    assert (settings.max_new_tokens, settings.top_p, settings.multi_line) == (8, 0.9, True)
    assert (settings.languages, settings.healing, settings.trace) == (("python", "rust"), "off", "off")


def test_settings_of_a_group_may_come_together():
    grouped = {"remote": {"url": "https://team.example", "sendPath": True, "port": 1}}
    settings, problems = client(**grouped)
    assert settings == Settings(remote_url="https://team.example", remote_send_path=True)
    assert problems == ("unknown setting 'remote.port'; it is ignored",)
    assert client(remote=3)[1] == ("unknown setting 'remote'; it is ignored",)


@pytest.mark.parametrize(
    "url",
    [
        "team.example",
        "ftp://team.example",
        "http://team.example",
        "http://10.0.0.1:8440",
        "https://user:secret@team.example",
        "https://team.example/?a=b",
        "https://team.example:99999",
        "https://",
        "https://team.example/a b",
        "https://team.example/\r\nX: y",
        "http://127.0.0.1.example.org",
    ],
)
def test_addresses_of_a_service_that_cannot_be_used(url):
    settings, problems = client(**{"remote.url": url})
    assert settings == Settings()
    assert len(problems) == 1
    assert "secret" not in problems[0]


def test_nothing_and_null_and_empty_mean_the_default():
    assert client() == (Settings(), ())
    assert client(model=None, temperature=None) == (Settings(), ())
    assert client(model="") == (Settings(), ())
    assert read_client(None) == ({}, ())
    assert read_environment({"MIDTOKEN_MODEL": "", "MIDTOKEN_BUDGET_MS": " "}) == ({}, ())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", 3),
        ("model", "./relative"),
        ("model", " name "),
        ("model", "models\\relative"),
        ("model", "a\nb"),
        ("device", "tpu"),
        ("device", 1),
        ("healing", "maybe"),
        ("healing", "native"),
        ("healing", True),
        ("maxNewTokens", 0),
        ("maxNewTokens", 1.5),
        ("maxNewTokens", True),
        pytest.param("maxNewTokens", 10**400, id="huge"),
        ("budgetMs", 0),
        ("budgetMs", 60_001),
        ("debounceMs", -1),
        ("debounceMs", "40"),
        ("multiLine", 1),
        ("multiLine", "true"),
        ("multiLine", "sometimes"),
        ("minConfidence", 1.5),
        ("minConfidence", "high"),
        ("strategy", "luck"),
        ("temperature", float("nan")),
        ("temperature", -1),
        ("topP", 0),
        ("topP", 1.01),
        ("languages", "python"),
        ("languages", [1]),
        ("exclude", {"*.md": True}),
        ("crossFileContext", []),
        ("readAhead", "yes"),
        ("cacheMb", -1),
        ("cacheMb", 65_537),
        ("cacheMb", 0.5),
        ("speculation", "always"),
        ("speculation", True),
        ("trace", "loud"),
        ("trace", {"server": 1}),
    ],
)
def test_a_malformed_setting_is_named_and_left_out(name, value):
    settings, problems = client(**{name: value})
    assert getattr(settings, NAMES[name]) == getattr(Settings(), NAMES[name])
    assert any(repr(name) in problem for problem in problems)


@pytest.mark.parametrize("text", ["many", "1.5", "0", "nan"])
def test_a_malformed_variable_is_named_and_left_out(text):
    values, problems = read_environment({"MIDTOKEN_MAX_NEW_TOKENS": text})
    assert values == {}
    assert len(problems) == 1
    assert "MIDTOKEN_MAX_NEW_TOKENS" in problems[0]


def test_unknown_names_are_reported():
    assert "'colour'" in client(colour="red")[1][0]
    assert "'MIDTOKEN_COLOUR'" in read_environment({"MIDTOKEN_COLOUR": "red"})[1][0]
    assert "not an object" in read_client([1])[1][0]


def test_the_client_stands_over_the_environment_and_that_over_the_default():
    environment, _ = read_environment({"MIDTOKEN_BUDGET_MS": "300", "MIDTOKEN_TRACE": "messages"})
    values, _ = read_client({"budgetMs": 200})
    settings = resolve(values, environment)
    assert (settings.budget_ms, settings.trace, settings.device) == (200, "messages", "auto")


def test_a_malformed_value_leaves_the_next_layers():
    environment, _ = read_environment({"MIDTOKEN_BUDGET_MS": "300"})
    values, problems = read_client({"budgetMs": "soon"})
    assert len(problems) == 1
    assert resolve(values, environment).budget_ms == 300


def test_a_temperature_alone_asks_for_sampling():
    assert client(temperature=0.5)[0].strategy == "sample"
    assert client(temperature=0)[0].strategy == "greedy"
    assert client(temperature=0.5, strategy="greedy")[0].strategy == "greedy"


def test_a_folder_may_begin_with_the_home_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert client(model="~/m")[0].model == tmp_path / "m"


def test_trace_is_also_read_where_the_reference_client_keeps_it():
    assert client(trace={"server": "messages"})[0].trace == "messages"
    assert client(trace={})[0].trace == "off"


def test_secrets_are_excluded_from_the_start():
    assert Settings().exclude == SECRETS
