"""Users who ask at once, and the answers that each would get alone."""

from collections.abc import Callable, Sequence
from functools import partial

from hypothesis import strategies as st

from engine import (
    BatchingCompleter,
    CancellationToken,
    Cancelled,
    CompletionRequest,
    CompletionResult,
    SamplingParams,
    StopParams,
)
from engine.completer import Completer
from tests.engine.batching.sessions import Caller, WatchedSession
from tests.fakes import fake_completer, hash_model, readable, toy_tokenizer, without

TOKENIZER = toy_tokenizer("byte-level")
_SIZE = TOKENIZER.vocabulary.size
# Every row depends on all tokens before it, so a wrong token anywhere is noticed.
MODEL = without(hash_model(_SIZE, order=1000), set(range(_SIZE)) - set(readable(TOKENIZER, lines=False)))
SAMPLINGS = (
    SamplingParams(),
    SamplingParams("sample", seed=3),
    SamplingParams("beam", beam_width=2),
    SamplingParams("kl", seed=5),
)


def alone() -> Completer:
    return fake_completer(TOKENIZER, MODEL, slots=1)[0]


def said(result: CompletionResult) -> list[tuple[str, str, int]]:
    return [(completion.text, completion.stop, completion.tokens) for completion in result.completions]


requests = st.builds(
    lambda prefix, sampling, tokens, healing: CompletionRequest(
        prefix, sampling=sampling, stop=StopParams(max_new_tokens=tokens)
    ),
    st.text("abcde (.", min_size=1, max_size=60),
    st.sampled_from(SAMPLINGS),
    st.integers(1, 8),
    st.none(),
)


def check_users(
    completer: BatchingCompleter,
    session: WatchedSession,
    users: Sequence[Sequence[CompletionRequest]],
    cancelled_at: Sequence[int],
    *,
    which: int,
    after_each: Callable[[], None] = lambda: None,
) -> None:
    """Let each user ask for one request after the other, all users at once, each for a document of its own.

    After each number of passes in ``cancelled_at``, the request with the index ``which`` of one user is cancelled. All
    others must get the answer that they get alone. ``after_each`` runs after each request.
    """
    tokens = [[CancellationToken() for _ in asked] for asked in users]
    left = dict(zip(cancelled_at, (row[which] for row in tokens), strict=False))

    def call_off(_: float) -> None:
        if session.calls in left:
            left[session.calls].cancel()

    session.seconds_per_call, session.sleep = 1.0, call_off

    def work(user: int) -> list[list[tuple[str, str, int]] | None]:
        found: list[list[tuple[str, str, int]] | None] = []
        for request, cancel in zip(users[user], tokens[user], strict=True):
            try:
                found.append(said(completer.complete(request, cancel, document=f"document {user}")))
            except Cancelled:
                found.append(None)
            after_each()
        return found

    callers = [Caller(partial(work, user)) for user in range(len(users))]
    for caller, asked, cancels in zip(callers, users, tokens, strict=True):
        for request, cancel, found in zip(asked, cancels, caller.result(), strict=True):
            if found is None:
                assert cancel.cancelled
            else:
                assert found == said(alone().complete(request))
