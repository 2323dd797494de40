"""Drafts of a small model with another vocabulary: encoded again, never in the way, given up after an error."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.completer import Completer
from engine.config import StopParams
from engine.drafting.draft import NO_DRAFT
from engine.drafting.experience import Asking
from engine.drafting.model_drafts import FIRST_SHARES, PREFIX_CHARACTERS, ModelDrafts, SmallModel, grade_of
from engine.errors import Cancelled, DeviceError, ModelFolderError
from engine.prompt.fim import Prompt
from engine.text.tokenizer import Tokenizer
from engine.types import CancellationToken, CompletionRequest, CompletionResult
from tests.fakes import FakeSession, control_ids, fake_completer, readable_model, scripted_model, toy_tokenizer
from tests.strategies import code_text

LARGE = toy_tokenizer("byte-level")
SMALL = toy_tokenizer("superword")
SCRIPT = "def run(self):\n    import numpy as np\n    self.port = 123\n    return self.name\n"
BEGUN = "def run(self):\n    "
STOP = StopParams(max_new_tokens=40, lines="multi")


class Refusing:
    """A small model that fails in one way or another."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    def complete(self, request: CompletionRequest, cancel: CancellationToken | None = None) -> CompletionResult:
        self.asked += 1
        raise self.error


def small_completer(text: str = SCRIPT, tokenizer: Tokenizer = SMALL) -> Completer:
    end, *_ = control_ids(tokenizer)
    return fake_completer(tokenizer, scripted_model(tokenizer, text, end=end))[0]


def drafts_of(small: SmallModel, prefix: str, settled: int = 0) -> tuple[ModelDrafts, np.ndarray]:
    ids = np.array(LARGE.encode(prefix), np.int32)
    prompt = Prompt(ids, tuple(ids[settled:].tolist()), "plain")
    return ModelDrafts(small, LARGE, CompletionRequest(prefix, stop=STOP), prompt, CancellationToken()), ids


def ready(small: SmallModel) -> SmallModel:
    small.ready()
    small.wait()
    assert small.ready()
    return small


def test_its_text_is_encoded_anew():
    drafts, ids = drafts_of(ready(SmallModel(small_completer)), BEGUN)
    draft = drafts.propose(ids)
    text = LARGE.decode_bytes(draft.tokens).decode()
    assert SCRIPT[len(BEGUN) :].startswith(text)
    assert text.startswith("import")
    assert tuple(draft.tokens) == LARGE.encode_inside(text)
    assert [grade % 2 for grade in draft.grades] == [0] * (len(draft.tokens) - 1) + [1]


def test_it_goes_on_from_wherever_a_token_of_the_large_model_ends():
    """At most places: the small model heals with the fast mode, which is not exact."""
    small = ready(SmallModel(small_completer))
    right = 0
    for end in range(1, len(SCRIPT)):
        drafts, ids = drafts_of(small, SCRIPT[:end])
        right += SCRIPT[end:].startswith(LARGE.decode_bytes(drafts.propose(ids).tokens).decode() or "nothing")
    assert right > 0.5 * len(SCRIPT)


@given(code_text(), st.integers(0, 5))
def test_no_text_is_too_strange(text: str, settled: int):
    """Invalid bytes and the empty text are among the cases."""
    drafts, ids = drafts_of(ready(SmallModel(small_completer)), text + "x", settled)
    for end in range(max(1, settled), len(ids) + 1):
        drafts.propose(ids[:end])


def test_no_more_is_read_than_pays():
    asked: list[CompletionRequest] = []

    class Listening:
        def complete(self, request: CompletionRequest, cancel: CancellationToken | None = None) -> CompletionResult:
            asked.append(request)
            return small_completer().complete(request, cancel)

    for more in range(0, 40, 7):
        text = "".join(f"x{number} = {number}\n" for number in range(1000 + more))
        drafts, ids = drafts_of(ready(SmallModel(Listening)), text, len(LARGE.encode(text)) - 3)
        drafts.propose(ids)
    assert all(PREFIX_CHARACTERS - 600 <= len(request.prefix) <= PREFIX_CHARACTERS + 600 for request in asked)
    assert all(request.speculation == "off" for request in asked)
    starts = {request.prefix[:20] for request in asked}
    assert len(starts) < len(asked)


@pytest.mark.parametrize("error", [DeviceError("no memory"), ModelFolderError("gone")])
def test_a_small_model_that_fails_is_asked_no_more(error: Exception):
    refusing = Refusing(error)
    small = ready(SmallModel(lambda: refusing))
    drafts, ids = drafts_of(small, "import nump")
    assert drafts.propose(ids) == NO_DRAFT
    assert drafts.propose(ids) == NO_DRAFT
    assert refusing.asked == 1
    assert not small.ready()


def test_one_that_cannot_be_loaded_is_tried_once():
    tried = []

    def load() -> Completer:
        tried.append(1)
        raise ModelFolderError("no such folder")

    small = SmallModel(load)
    for _ in range(3):
        assert not small.ready()
        small.wait()
    assert len(tried) == 1


def test_a_cancellation_reaches_it():
    drafts, ids = drafts_of(ready(SmallModel(lambda: Refusing(Cancelled("enough")))), "import nump")
    with pytest.raises(Cancelled):
        drafts.propose(ids)


def test_every_grade_has_a_first_share():
    grades = {grade_of(each / 20, is_last=last) for each in range(21) for last in (False, True)}
    assert grades == set(range(len(FIRST_SHARES)))


def test_what_does_not_pay_is_tried_now_and_then():
    asking = Asking()
    assert asking.pays(1.0)
    for _ in range(100):
        asking.note(0.8)
    asked = [asking.pays(1.0) for _ in range(640)]
    assert sum(asked) == 10
    for _ in range(100):
        asking.note(1.6)
    assert asking.pays(1.2)
    assert not asking.pays(2.0)


class Slow:
    """A clock on which a pass of the large model takes 60 ms, each further row 3 ms, and the small model no time."""

    def __init__(self, session: FakeSession) -> None:
        self.session = session

    def __call__(self) -> float:
        return 0.057 * self.session.calls + 0.003 * self.session.tokens


def pair(text: str, small_text: str) -> tuple[Completer, FakeSession]:
    """A completer whose model knows ``text``, and a small one beside it."""
    end, *_ = control_ids(LARGE)
    completer, session = fake_completer(LARGE, scripted_model(LARGE, text, end=end), context_length=512)
    completer._drafters._clock = Slow(session)
    completer._drafters._begun = True
    completer._drafters._small = ready(SmallModel(lambda: small_completer(small_text)))
    return completer, session


def test_a_small_model_that_knows_the_text_saves_passes():
    request = CompletionRequest(BEGUN, stop=STOP, speculation="auto")
    completer, session = pair(SCRIPT, SCRIPT)
    expected = completer.complete(replace(request, speculation="off"))
    session.reset_counts()
    completer._cache.forget_rows()
    plain = completer.complete(replace(request, speculation="off"))
    passes, text = session.calls, plain.completions[0].text
    session.reset_counts()
    completer._cache.forget_rows()
    result = completer.complete(request)
    assert result.completions == expected.completions
    assert len(text) > 30
    assert session.calls < 0.6 * passes
    assert result.drafts.model_accepted > 5


def test_one_that_is_wrong_changes_nothing_and_is_left_alone():
    completer, session = fake_completer(LARGE, readable_model(LARGE, 3), context_length=512)
    plain, _ = fake_completer(LARGE, readable_model(LARGE, 3), context_length=512)
    completer._drafters._clock = Slow(session)
    completer._drafters._begun = True
    completer._drafters._small = ready(SmallModel(small_completer))
    drafted = []
    for number in range(12):
        request = CompletionRequest(f"x{number} = import nu", stop=STOP, speculation="auto")
        result = completer.complete(request)
        assert result.completions == plain.complete(replace(request, speculation="off")).completions
        drafted.append(result.drafts.model_drafted)
    assert sum(drafted[-4:]) < 12


def test_a_fast_model_never_loads_the_small_one():
    completer, _ = pair(SCRIPT, SCRIPT)
    completer._drafters._clock = lambda: 0.0
    small = completer._drafters._small = SmallModel(small_completer)
    for typed in ("import nu", "import num"):
        completer.complete(CompletionRequest(typed, stop=STOP, speculation="auto"))
    small.wait()
    assert small._loading is None


def test_the_second_request_begins_to_load_it_and_waits_for_nothing():
    completer, _ = pair(SCRIPT, SCRIPT)
    may_load = threading.Event()

    def load() -> Completer:
        assert may_load.wait(60)
        return small_completer()

    small = completer._drafters._small = SmallModel(load)
    completer._drafters._begun = False
    completer.complete(CompletionRequest(BEGUN, stop=STOP, speculation="auto"))
    assert small._loading is None
    completer._cache.forget_rows()  # a row that is remembered needs no draft
    result = completer.complete(CompletionRequest(BEGUN + "im", stop=STOP, speculation="auto"))
    assert result.drafts.model_drafted == 0
    assert small._loading is not None
    may_load.set()
    small.wait()
    completer._cache.forget_rows()
    assert completer.complete(CompletionRequest(BEGUN, stop=STOP, speculation="auto")).drafts.model_drafted > 0
