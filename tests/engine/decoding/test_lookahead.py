"""Strategies that look ahead, on models whose forks are known: which branch wins, and what looking ahead costs."""

from typing import Any

import numpy as np
import pytest

from engine.completer import Completer
from engine.config import SamplingParams, StopParams
from engine.decoding.candidates import Decoder
from engine.decoding.lookahead import BranchQuadrant, ChaoticPoint, ForkTest, LookAhead
from engine.decoding.ranking import write_ranked
from engine.decoding.second_view import SecondView, matching_row
from engine.decoding.strategies import meets_line_start, strategy_for
from engine.errors import Cancelled, RequestError
from engine.healing.first_step import Healed
from engine.healing.k_step import Cover, CoverGroup, FirstStep
from engine.runtime.checkpoint import BudgetExceeded
from engine.sampling import Chooser, History, build_chooser
from engine.types import CancellationToken, CompletionRequest, FloatArray, Snippet, TokenIds
from tests.engine.decoders import END, PROMPT, logs, plain_covers, scene_of
from tests.fakes import LogitsOf, fake_completer, hash_model, scripted_model, table_model, toy_tokenizer

GREEDY = Chooser((), None)
SED = SamplingParams("sed")
A, B, C = 1, 2, 3


def forked(history: TokenIds) -> FloatArray:
    """After the prompt A is a little ahead of B. After A everything is possible; after B the rest is certain."""
    written = history[len(PROMPT) :]
    if not written:
        return logs(0.05, 0.48, 0.42, 0.05)
    return logs(0.22, 0.28, 0.25, 0.25) if written[0] == A else logs(0.01, 0.01, 0.01, 0.97)


def look_ahead(params: SamplingParams, decoder) -> LookAhead:
    fork: ForkTest = ChaoticPoint(params.sed_ratio)
    if params.strategy == "entropy-gate":
        fork = BranchQuadrant(params.gate_entropy_bits, params.gate_varentropy_bits)
    return LookAhead(decoder, params, fork, build_chooser(params))


def next_of(params: SamplingParams, model=forked, *, length: int = 8) -> tuple[int, int]:
    decoder, session = scene_of(model, 4, length)
    decoder.cache.prefill(decoder.prompt, (len(PROMPT) - 1,), lambda: None)
    session.reset_counts()
    token = look_ahead(params, decoder).next_token(model(PROMPT), History(decoder.prompt, []))
    return token, session.calls


def test_at_a_chaotic_point_the_surer_branch_wins():
    token, calls = next_of(SED)
    assert token == B
    assert calls == SED.sed_tokens - 1  # both branches in one batch


def test_away_from_one_nothing_is_looked_at():
    assert next_of(SamplingParams("sed", sed_ratio=0.95)) == (A, 0)


def test_a_look_of_one_token_is_greedy():
    assert next_of(SamplingParams("sed", sed_tokens=1)) == (A, 0)


def test_a_look_ends_where_the_completion_does():
    token, calls = next_of(SamplingParams("sed", sed_tokens=6), length=3)
    assert token == B
    assert calls == 2


def test_the_gate_looks_ahead_in_its_branch_quadrant_only():
    def model(history: TokenIds) -> FloatArray:
        return forked(history)

    row = model(PROMPT)
    params = SamplingParams("entropy-gate", gate_entropy_bits=8.0, gate_varentropy_bits=0.0, seed=0)
    token, calls = next_of(params, model)
    assert (token, calls) == (B, params.sed_tokens - 1)
    calm = SamplingParams("entropy-gate", gate_entropy_bits=8.0, gate_varentropy_bits=100.0, seed=0)
    assert next_of(calm, model) == (int(np.argmax(row)), 0)


def test_the_healed_first_step_is_looked_at_too():
    decoder, _ = scene_of(forked, 4, 8)
    covers = plain_covers(forked)
    healed = Healed(FirstStep((group_of(forked),), 0.0), 0, 0.0, lambda cover: True)
    assert [cover.token for cover in look_ahead(SED, decoder).first(covers)] == [B, A, *(c.token for c in covers[2:])]

    def first_of(params: SamplingParams, count: int) -> list[int]:
        strategy = strategy_for(params, count)
        return [cover.token for cover in strategy.covers(strategy.run(decoder, healed, ()))]

    assert first_of(SED, 1) == [B]
    assert first_of(SED, 2) == [B, A]
    assert first_of(SamplingParams("sed", sed_ratio=0.95), 1) == [A]


def group_of(model) -> CoverGroup:
    covers = plain_covers(model)
    ids = np.array([cover.token for cover in covers], np.int32)
    return CoverGroup(len(PROMPT), (), 0, ids, np.array([cover.logprob for cover in covers], np.float32))


def test_without_time_for_a_look_the_first_choice_stays():
    decoder, _ = scene_of(forked, 4, 8, deadline=0.0)
    covers = plain_covers(forked)
    assert look_ahead(SED, decoder).first(covers) == covers
    with pytest.raises(BudgetExceeded):
        look_ahead(SED, decoder).next_token(forked(PROMPT), History(decoder.prompt, []))


def test_a_look_can_be_cancelled():
    cancel = CancellationToken()
    decoder, session = scene_of(forked, 4, 8, cancel=cancel)
    session.cancel_at = (2, cancel)
    with pytest.raises(Cancelled):
        look_ahead(SED, decoder).next_token(forked(PROMPT), History(decoder.prompt, []))
    assert session.calls == 2


def three_tokens_after(*first: float) -> LogitsOf:
    """Three tokens, then the end. ``first`` are the probabilities of the first token; what follows "b" is the most
    certain.
    """

    def model(history: TokenIds) -> FloatArray:
        written = history[len(PROMPT) :]
        if not written:
            return logs(*first)
        if len(written) == 3:
            return logs(0.97, 0.01, 0.01, 0.01)
        return logs(0.05, 0.05, 0.1, 0.8) if written[0] == B else logs(0.05, 0.05, 0.4, 0.5)

    return model


def branches_of(model: LogitsOf) -> tuple[Decoder, Healed, list[Cover]]:
    decoder, _ = scene_of(model, 4, 8)
    covers = [cover for cover in plain_covers(model) if cover.token != END]
    return decoder, Healed(FirstStep((group_of(model),), 0.0), 0, 0.0, lambda cover: True), covers


def test_branches_are_ranked_by_the_mean_gap():
    decoder, healed, covers = branches_of(three_tokens_after(0.05, 0.45, 0.4, 0.1))
    ranked = write_ranked(decoder, healed, covers, [GREEDY] * len(covers))
    # Gaps: a 0.05 then 0.1, 0.1, 0.96; b -0.05 then 0.7, 0.7, 0.96; c -0.35 then 0.1, 0.1, 0.96.
    assert [candidate.tracker.text for candidate in ranked] == ["bcc", "acc", "ccc"]
    assert all(candidate.tracker.ended == "end" for candidate in ranked)


def test_the_first_choice_stays_in_front_and_the_others_are_ranked_by_confidence():
    decoder, healed, covers = branches_of(three_tokens_after(0.05, 0.45, 0.2, 0.3))
    assert [cover.token for cover in covers] == [A, C, B]

    def written(count: int) -> list[str]:
        strategy = strategy_for(SamplingParams(), count)
        *_, last = strategy.write(strategy.run(decoder, healed, ()), covers[:count])
        return [candidate.tracker.text for candidate in last]

    # By the sum of log-probabilities, the branch of "c" would come before that of "b".
    assert written(3) == ["acc", "bcc", "ccc"]
    assert written(2) == ["acc", "ccc"]
    assert written(1) == ["acc"]


def test_a_line_has_just_begun_after_a_break_and_white_space():
    tokenizer = toy_tokenizer("byte-level")
    decoder, _ = scene_of(hash_model(4), 4, 8)
    decoder = type(decoder)(**{
        name: getattr(decoder, name) for name in ("cache", "prompt", "ends", "stop", "checkpoint")
    }, vocabulary=tokenizer.vocabulary, line_prefix="    ")  # fmt: skip
    began = meets_line_start(decoder)
    cases = {
        "": True,
        "  ": True,
        "x": False,
        "x\n": True,
        "x\n   \t": True,
        "x\ny": False,
        "x\n\n": True,
        "x  ": False,
    }
    for text, expected in cases.items():
        assert began(tokenizer.encode(text)) is expected, text


def test_the_second_view_follows_with_the_same_tokens_after_its_own_prompt():
    model = hash_model(5)
    decoder, _ = scene_of(model, 5, 8)
    second = np.array([4, 1], np.int32)  # another start, the same last token
    view = SecondView(decoder.cache.sibling(), second, decoder, 1, None)
    assert view(History(decoder.prompt, [])) is None
    row = view(History(decoder.prompt, [2, 3]))
    assert row is not None
    np.testing.assert_array_equal(row, model((4, 1, 2, 3)))
    off_the_tail = view(History(np.array([1, 2, 3, 3], np.int32), [2]))
    assert off_the_tail is not None
    np.testing.assert_array_equal(off_the_tail, model((4, 3, 3, 2)))


def test_covers_of_two_prompts_match_by_what_they_write():
    def first(base: int, extra: TokenIds, shift: float) -> FirstStep:
        ids = np.array([1, 2], np.int32)
        groups = (
            CoverGroup(base + 1, (), 1, ids, np.array([shift, -1], np.float32)),
            CoverGroup(base, extra, 2, ids, np.array([-2, -3], np.float32)),
        )
        return FirstStep(groups if base == 4 else groups[::-1], 0.0)

    row = matching_row(first(4, (7,), -0.5), 4, first(2, (7,), -0.25), 2)
    assert row is not None
    assert row.tolist() == [-0.25, -1, -2, -3]
    assert matching_row(first(4, (7,), -0.5), 4, first(2, (8,), -0.25), 2) is None


# --- whole requests --------------------------------------------------------------------------------------------------


def texts(completer: Completer, prefix: str, params: SamplingParams, count: int = 1, **fields: Any) -> list[str]:
    request = CompletionRequest(
        prefix,
        max_completions=count,
        sampling=params,
        stop=StopParams(max_new_tokens=6),
        **fields,
    )
    return [completion.text for completion in completer.complete(request).completions]


@pytest.mark.parametrize(
    "strategy", ["sample", "edt", "adapt", "kl", "entropy-gate", "sed", "beam", "best-first", "branch"]
)
def test_every_strategy_is_determined_by_its_seed_and_streams_what_it_completes(strategy):
    tokenizer = toy_tokenizer("byte-level")
    completer, _ = fake_completer(tokenizer, hash_model(tokenizer.vocabulary.size, salt=8))
    params = SamplingParams(strategy, seed=11)
    for prefix in ("import nump", "def f(self):\n    ret", "x"):
        once = texts(completer, prefix, params)
        assert once == texts(completer, prefix, params)
        request = CompletionRequest(prefix, sampling=params, stop=StopParams(max_new_tokens=6))
        assert "".join(completer.stream(request)) == "".join(once)
        several = texts(completer, prefix, params, 3)
        assert len(set(several)) == len(several)


@pytest.mark.parametrize("strategy", ["sed", "beam", "best-first", "branch", "edt", "kl"])
def test_a_model_that_is_sure_is_followed_by_every_strategy(strategy):
    tokenizer = toy_tokenizer("byte-level")
    end = min(tokenizer.vocabulary.control_ids)
    completer, _ = fake_completer(tokenizer, scripted_model(tokenizer, "import numpy as np\n", end=end))
    assert texts(completer, "import nump", SamplingParams(strategy, seed=1))[0].startswith("y as ")


def test_candidates_of_branching_begin_with_different_tokens():
    tokenizer = toy_tokenizer("byte-level")
    completer, _ = fake_completer(tokenizer, hash_model(tokenizer.vocabulary.size, salt=9))
    found = texts(completer, "import n", SamplingParams("branch", branches=5), 5)
    assert len(found) >= 2


def test_kl_compares_with_the_model_without_the_context():
    tokenizer = toy_tokenizer("byte-level")
    size = tokenizer.vocabulary.size
    # Everything is certain if the last byte of the context is visible, and nothing is certain without it.
    completer, session = fake_completer(tokenizer, hash_model(size, order=2))
    same = texts(completer, "x = na", SamplingParams("kl", seed=5), extra_context=(Snippet("me\n"),))
    # The model looks back two tokens only. The context changes nothing, so this is plain sampling.
    assert same == texts(completer, "x = na", SamplingParams("sample", seed=5), extra_context=(Snippet("me\n"),))
    sure, _ = fake_completer(tokenizer, table_model(size, {}, floor=0.0))
    assert texts(sure, "x = na", SamplingParams("kl", seed=5), extra_context=(Snippet("me\n"),))
    assert session.calls > 0


@pytest.mark.parametrize("count", [1, 3, 6])
def test_kl_runs_both_prompts_as_one_batch_and_says_what_it_says_one_by_one(count):
    tokenizer = toy_tokenizer("byte-level")
    model = hash_model(tokenizer.vocabulary.size, salt=3, order=1000)
    together, session = fake_completer(tokenizer, model)
    alone, one_slot = fake_completer(tokenizer, model, slots=1)
    params = SamplingParams("kl", seed=5)
    for prefix in ("x = na", "x = nam", "def f(self):\n    ret"):
        found = texts(together, prefix, params, count, extra_context=(Snippet("me = 1\n"),))
        assert found == texts(alone, prefix, params, count, extra_context=(Snippet("me = 1\n"),))
        assert found
    # The prompts are in the cache up to the ends of their last lines. After that each token is one pass over both, or
    # two passes if six candidates and their companions are more than eight sequences.
    session.reset_counts()
    texts(together, "def f(self):\n    retu", params, count, extra_context=(Snippet("me = 1\n"),))
    assert session.calls <= 6 + 6 * (2 if count == 6 else 1)
    assert one_slot.calls > 0


def test_bat_says_what_the_folder_lacks():
    pytest.importorskip("highspy")
    tokenizer = toy_tokenizer("byte-level")
    completer, _ = fake_completer(tokenizer)
    with pytest.raises(
        RequestError, match=r"^bat needs output_basis\.npy, which the model folder does not hold; export"
    ):
        texts(completer, "x", SamplingParams("sample", bat=3e-4, seed=0))
    # Greedy decoding draws nothing, so it does not use the file.
    assert texts(completer, "x", SamplingParams(bat=3e-4)) is not None


def test_an_n_gram_of_the_prompt_is_not_begun_by_a_cover():
    tokenizer = toy_tokenizer("byte-level")
    completer, session = fake_completer(tokenizer, hash_model(tokenizer.vocabulary.size, salt=2))
    request = CompletionRequest(
        "name = na", sampling=SamplingParams(no_repeat_ngram=1), stop=StopParams(max_new_tokens=6)
    )
    completer.complete(request)
    written = session.written
    assert len(set(written[-5:])) == len(written[-5:])


def test_a_branch_that_ends_with_its_cover_has_nothing_else_to_be_ranked_by():
    decoder, _ = scene_of(forked, 4, 1)
    cover = Cover(len(PROMPT), (), END, 0, -1.0)
    healed = Healed(FirstStep((group_of(forked),), 0.0), 0, 0.0, lambda cover: True)
    (candidate,) = write_ranked(decoder, healed, [cover], [GREEDY])
    assert (candidate.tokens, candidate.logprob, candidate.tracker.text) == ([], 0.0, "")
