"""More documents than seats: what a document had read comes back with it, and nothing else changes."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import BatchingCompleter, CancellationToken, Cancelled, CompletionRequest, StopParams
from engine.runtime import places
from engine.text.tokenizer import Tokenizer
from engine.types import TokenIds
from tests.engine.batching.sessions import Caller, WatchedSession, wait_until
from tests.engine.batching.test_batching_completer import batching
from tests.engine.batching.users import MODEL, TOKENIZER, alone, check_users, requests, said
from tests.fakes import fake_completer
from tests.lsp_server.commands.command_line import make_model_folder

ENOUGH = 1 << 30
TEXT = "class abcd: (ab) " * 4


def parking(*, seats: int = 1, parked_bytes: int = ENOUGH) -> tuple[BatchingCompleter, WatchedSession]:
    model, _ = fake_completer(TOKENIZER, MODEL)
    session = WatchedSession(MODEL, slots=seats)
    return BatchingCompleter(model, session, parked_bytes=parked_bytes), session


@pytest.fixture(autouse=True)
def any_place_is_worth_a_copy(monkeypatch):
    monkeypatch.setattr(places, "MOST_LEAST_TOKENS", 4)


def asked(text: str, tokens: int = 4) -> CompletionRequest:
    return CompletionRequest(text, stop=StopParams(max_new_tokens=tokens))


@settings(max_examples=15, deadline=None)
@given(
    users=st.lists(st.lists(requests, min_size=1, max_size=3), min_size=2, max_size=7),
    seats=st.integers(1, 3),
    limit=st.sampled_from([0, 300, 1000, ENOUGH]),
    cancelled_at=st.lists(st.integers(1, 30), max_size=3),
)
def test_answers_are_those_of_a_version_that_reads_anew(users, seats, limit, cancelled_at):
    completer, session = parking(seats=seats, parked_bytes=limit)

    def is_bounded() -> None:
        assert completer.statistics.parked_bytes <= limit

    check_users(completer, session, users, cancelled_at, which=-1, after_each=is_bounded)
    assert completer.statistics.restored_tokens == session.restored


def test_a_document_that_comes_again_is_not_read_again():
    completer, session = parking()
    for document in "ab":
        completer.complete(asked(TEXT + document), document=document)
    session.reset_counts()
    for document in "ab":
        found = completer.complete(asked(TEXT + document + "c"), document=document)
        assert found.reused_tokens > found.prompt_tokens // 2
        assert found.sharing.parked == 1
        assert 0 < found.sharing.restored_tokens <= found.reused_tokens
    assert session.tokens < session.restored
    statistics = completer.statistics
    assert (statistics.parked, statistics.restored_tokens) == (3, session.restored)
    assert statistics.parked_bytes > 0
    assert statistics.cache_share > 0.2


def test_of_more_documents_than_there_is_memory_for_those_used_last_are_kept():
    completer, _ = parking(parked_bytes=3 * 80 * 10)
    for document in "abcd":
        completer.complete(asked(TEXT + document), document=document)
    restored = dict.fromkeys("abc", 0)
    for document in "cba":
        found = completer.complete(asked(TEXT + document), document=document)
        restored[document] = found.sharing.restored_tokens
    assert restored["c"] > 0
    assert restored["a"] == 0


def test_nobody_gets_what_another_document_has_read():
    """Not even the time of an answer tells that somebody else wrote the same."""
    for parked_bytes in (0, ENOUGH):
        completer, _ = parking(parked_bytes=parked_bytes)
        completer.complete(asked(TEXT), document="a")
        assert completer.complete(asked(TEXT), document="b").reused_tokens == 0
        assert completer.complete(asked(TEXT), document="c").reused_tokens == 0


def test_nobody_is_spared_the_work_of_encoding_what_another_document_has(monkeypatch):
    encode, lengths = Tokenizer._encode_text, list[int]()

    def spy(self: Tokenizer, text: str) -> TokenIds:
        lengths.append(len(text))
        return encode(self, text)

    monkeypatch.setattr(Tokenizer, "_encode_text", spy)
    completer, _ = parking()

    def encoded(document: str) -> int:
        lengths.clear()
        completer.complete(asked(f"{TEXT}\nab"), document=document)
        return sum(lengths)

    first = encoded("a")
    assert encoded("a") < first - len(TEXT) // 2
    assert encoded("b") == first


def test_the_document_of_a_request_that_was_cancelled_is_parked_all_the_same():
    completer, session = parking()
    cancel = CancellationToken()
    session.gate.clear()
    gone = Caller(lambda: completer.complete(asked(TEXT), cancel, document="a"))
    wait_until(lambda: bool(session.log))
    cancel.cancel()
    with pytest.raises(Cancelled):
        gone.result()
    session.gate.set()
    completer.complete(asked(TEXT + "a"), document="a")
    assert said(completer.complete(asked("(cd) " * 9), document="b")) == said(alone().complete(asked("(cd) " * 9)))
    assert completer.complete(asked(TEXT + "a"), document="a").sharing.restored_tokens > 0


def test_where_memory_runs_out_as_a_document_is_parked_nothing_is_kept(monkeypatch):
    completer, session = parking()
    completer.complete(asked(TEXT), document="a")

    def no_memory(slot: int, end: int) -> object:
        raise MemoryError

    monkeypatch.setattr(session, "save", no_memory)
    found = completer.complete(asked("(cd) " * 9), document="b")
    assert said(found) == said(alone().complete(asked("(cd) " * 9)))
    assert completer.statistics.parked_bytes == completer.statistics.parked == 0


def test_a_seat_whose_keys_and_values_are_lost_goes_to_the_next_document_all_the_same():
    completer, session = parking()
    completer.complete(asked(TEXT), document="a")
    session._context_length = 128  # as after a pass that ran out of memory
    found = completer.complete(asked("(cd) " * 9), document="b")
    assert said(found) == said(alone().complete(asked("(cd) " * 9)))
    assert completer.statistics.parked == 0


def test_while_others_write_a_document_comes_back_right():
    """Their joint passes write idle rows into the seat between them; what is restored must not lie there."""
    completer, session = parking(seats=3)
    session.gate.clear()
    first = [Caller(partial(completer.complete, asked(TEXT + d, 1), document=d)) for d in "abc"]
    session.gate.set()
    for caller in first:
        caller.result()
    completer.complete(asked("(cd) " * 3, 1), document="d")  # parks one of them
    callers = [Caller(partial(completer.complete, asked(TEXT + d + "x", 12), document=d)) for d in "abc"]
    for caller, document in zip(callers, "abc", strict=True):
        assert said(caller.result()) == said(alone().complete(asked(TEXT + document + "x", 12)))


def test_a_single_seat_without_parking_keeps_nothing():
    completer, _ = batching(seats=1)
    for document in "aba":
        completer.complete(asked(TEXT + document), document=document)
    assert completer.statistics.parked == completer.statistics.restored_tokens == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_model_folder(folder)
    return folder


def test_with_a_real_graph_parked_documents_go_on_bit_for_bit(folder):
    """The same passes over the same tokens, whether keys and values were copied meanwhile or not."""
    texts = [f"def {name}(a):\n    return {name}" for name in ("one", "two", "three", "four", "five")]
    kept = BatchingCompleter.load(folder, device="cpu", threads=1, seats=5)
    parked = BatchingCompleter.load(folder, device="cpu", threads=1, seats=2, parked_mb=1)
    for turn in range(3):
        for text in texts:
            request = asked(text + ".a" * turn, 8)
            expected = kept.complete(request, document=text)
            found = parked.complete(request, document=text)
            assert found.completions == expected.completions
            assert (found.prompt_tokens, found.reused_tokens) == (expected.prompt_tokens, expected.reused_tokens)
    assert parked.statistics.parked >= 13
    assert parked.statistics.restored_tokens > 0
    assert kept.statistics.parked == 0
