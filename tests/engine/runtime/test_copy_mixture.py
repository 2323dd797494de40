"""What is copied, against the formula; copying together with healing and the cache."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.config import HealingParams, StopParams
from engine.healing.first_step import heal
from engine.healing.prefix_index import SortedIndex
from engine.prompt.fim import Prompt
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.copy_mixture import Copier, copier
from engine.runtime.token_cache import TokenCache
from engine.runtime.token_names import token_names
from engine.types import CancellationToken, CompletionRequest, FloatArray, IdArray, TokenIds
from tests.fakes import FakeSession, fake_completer, hash_model, toy_fim, toy_tokenizer
from tests.reference.copying import mixed_distribution
from tests.reference.covers import conditional_distribution, total_variation

SIZE, CONTROL = 8, 0
WEIGHTS = (0.2, 0.5, 0.9)
MODEL = hash_model(SIZE)


def a_copier(weights: tuple[float, ...] = WEIGHTS) -> Copier:
    return Copier(weights, np.arange(SIZE) == CONTROL, token_names([b"+"] * SIZE))


def array(ids: list[int]) -> IdArray:
    return np.array(ids, np.int32)


def softmax(row: FloatArray) -> NDArray[np.float64]:
    shifted = np.exp(row.astype(np.float64) - row.max())
    distribution: NDArray[np.float64] = shifted / shifted.sum()
    return distribution


texts = st.lists(st.integers(0, 4), max_size=40)


@given(texts, texts, st.sampled_from([WEIGHTS, (0.5,), (0.0, 0.7)]))
def test_the_law_is_the_mixture(ids: list[int], source: list[int], weights: tuple[float, ...]):
    row = MODEL(tuple(ids))
    before = row.copy()
    mixed = a_copier(weights).mixed(array(ids), row, array(source))
    np.testing.assert_allclose(
        softmax(mixed), mixed_distribution(ids, softmax(row), weights, source, {CONTROL}), atol=1e-6
    )
    np.testing.assert_array_equal(row, before)


@pytest.mark.parametrize(
    ("source", "ids", "length", "copied"),
    [
        ([5, 6, 7], [5, 6], 2, {7: 1.0}),
        ([5, 6, 7], [3, 6], 1, {7: 1.0}),
        ([4, 6, 7, 3, 4, 6, 5], [2, 4, 6], 2, {5: 0.5, 7: 0.5}),
        ([6, 7, 6, 7, 6, 5], [6], 1, {7: 2 / 3, 5: 1 / 3}),
        ([5, 6], [5, 6], 0, {}),  # nothing follows there
        ([5, CONTROL, 6], [5], 0, {}),
        ([CONTROL, 5], [CONTROL], 0, {}),
        ([CONTROL, 5, 6], [CONTROL, 5], 2, {6: 1.0}),
        ([3, 4, 5, 6, 7], [2, 3, 4, 5, 6], 3, {7: 1.0}),  # no more than there are weights
        ([5, 6], [], 0, {}),
        ([], [5], 0, {}),
    ],
)
def test_what_is_copied(source: list[int], ids: list[int], length: int, copied: dict[int, float]):
    found = a_copier().copied(array(ids), array(source))
    if not length:
        assert found is None
        return
    assert found is not None
    assert found.length == length
    assert dict(zip(found.tokens.tolist(), found.shares.tolist(), strict=True)) == pytest.approx(copied)


def test_what_the_model_rules_out_can_be_copied():
    row = np.zeros(SIZE, np.float32)
    row[7] = -np.inf
    assert softmax(a_copier().mixed(array([5, 6]), row, array([5, 6, 7])))[7] == pytest.approx(0.5)


def test_padding_of_the_head_does_not_count():
    ids, source, row = array([5, 6]), array([5, 6, 7]), MODEL((5,))
    padded = np.concatenate([row, np.full(8, 50.0, np.float32)])
    np.testing.assert_array_equal(a_copier().mixed(ids, padded, source)[:SIZE], a_copier().mixed(ids, row, source))


@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=12), min_size=1, max_size=8), st.integers(1, 5))
def test_the_cache_gives_the_same_rows_whatever_was_asked_before(sequences: list[list[int]], chunk: int):
    cache, source = TokenCache(FakeSession(MODEL), chunk=chunk, copier=a_copier()), array([2, 3, 1, 3, 4, 2, 3, 3])
    cache.copy_from(source, array([5]))
    together = cache.rows_after([array(ids) for ids in sequences], lambda: None)
    for ids, row in zip(sequences, together, strict=True):
        expected = a_copier().mixed(array(ids), MODEL(tuple(ids)), source)
        np.testing.assert_allclose(row, expected, rtol=1e-6)
        all_rows, _ = cache.prefill(array(ids), range(len(ids)), lambda: None)
        np.testing.assert_allclose(all_rows[-1], expected, rtol=1e-6)
        assert not row.flags.writeable


def test_the_cache_copies_from_what_it_is_told_and_remembers_rows_as_long_as_that_stays():
    session = FakeSession(MODEL)
    cache = TokenCache(session, copier=a_copier())
    ids, source = array([5, 6]), array([5, 6, 7])
    for text in (source[:0], source, source.copy(), source[:0]):
        before = session.calls
        cache.copy_from(text, array([5]))
        row = cache.row_after(ids, lambda: None)
        np.testing.assert_allclose(row, a_copier().mixed(ids, MODEL((5, 6)), text), rtol=1e-6)
        assert (session.calls == before) == (text is not source and len(text) > 0)


def test_without_weights_nothing_is_forgotten():
    session = FakeSession(MODEL)
    cache = TokenCache(session)
    for text in ([], [5, 6], [5, 7]):
        cache.copy_from(array(text), array([5]))
        np.testing.assert_array_equal(cache.row_after(array([5, 6]), lambda: None), MODEL((5, 6)))
    assert session.calls == 1


@pytest.mark.parametrize("text", ["impo", "import nump", "return s", "num"])
@pytest.mark.parametrize("seed", range(3))
def test_healing_is_exact_for_the_mixed_distribution(text: str, seed: int):
    tokenizer = toy_tokenizer("superword")
    copies = copier((0.3, 0.6, 0.9), tokenizer.vocabulary)
    assert copies is not None
    model = hash_model(tokenizer.vocabulary.size, salt=seed)

    def logits_of(history: TokenIds) -> FloatArray:
        return copies.mixed(array(list(history)), model(history), source)

    context, tail = tokenizer.encode("\nimport numpy as np\nreturn self\nnumber\n"), tokenizer.encode(text)
    prompt, source = Prompt(array([*context, *tail]), tail, "plain"), array(list(context))
    cache = TokenCache(FakeSession(model), copier=copies)
    cache.copy_from(source, array([5]))
    result = heal(
        prompt,
        cache,
        tokenizer,
        SortedIndex(tokenizer.vocabulary),
        HealingParams(mode="exact"),
        Checkpoint(CancellationToken()),
        best_only=False,
    )
    covers = [result.first.cover(index) for index in range(len(result.first.ids))]
    weights = {
        (*tail[: cover.kept - len(context)], *cover.extra, cover.token): float(np.exp(cover.logprob))
        for cover in covers
        if result.is_valid(cover)
    }
    distribution = {sequence: weight / sum(weights.values()) for sequence, weight in weights.items()}
    truth = conditional_distribution(text.encode(), context, logits_of, tokenizer)
    assert total_variation(distribution, truth) <= 5e-6
    assert total_variation(distribution, conditional_distribution(text.encode(), context, model, tokenizer)) > 1e-3


@pytest.mark.parametrize("place", ["in the window", "far above", "far below"])
@pytest.mark.parametrize("slots", [1, 8])
def test_a_name_is_completed_from_anywhere_in_the_document(place: str, slots: int):
    tokenizer = toy_tokenizer("byte-level")
    completer, _ = fake_completer(tokenizer, copying=(0.3, 0.9, 0.99), fim=toy_fim(tokenizer, "spm"), slots=slots)
    line, filler = "x = gizmo(total)\n", "".join(f"n{number} = {number}\n" for number in range(500))
    prefix = {"in the window": line, "far above": line + filler, "far below": filler}[place] + "y = giz"
    suffix = "\n" + filler + line if place == "far below" else ""
    stop = StopParams(max_new_tokens=24)
    (completion,) = completer.complete(CompletionRequest(prefix, suffix, stop=stop)).completions
    assert completion.text.startswith("mo")
    plain, _ = fake_completer(tokenizer, fim=toy_fim(tokenizer, "spm"))
    (without,) = plain.complete(CompletionRequest(prefix, suffix, stop=stop)).completions
    assert not without.text.startswith("mo")


# The text above, the typed text, and what may be copied of what follows it there.
USES = [
    # Python
    ("total_amount = 10", "return total_amount", "its end"),
    ("def send_mail(to, subject):", "send_mail", "its end"),
    ("class InvoiceError(ValueError):", "raise InvoiceError", "its end"),
    ("def send_mail(to, subject):", "send_mail(", "nothing"),
    ("class InvoiceError(ValueError):", "raise InvoiceError(", "nothing"),
    ("y = os.path.join(a)", "x = os.path.join(", "all"),
    ("    total = 10", "    total", "its end"),  # white space is not enough evidence
    ("self.total = 10", "return self.total", "its end"),
    ("x = os.path.join(a)", "y = os.path.join", "all"),
    ("if total is None", "if total", "all"),
    ("for item in items:", "for item in items", "all"),
    ("print(total, end)", "print(total", "all"),
    # TypeScript
    ("const totalAmount = 10;", "return totalAmount", "its end"),
    ("export function sendMail(to: string): void {", "  sendMail", "its end"),
    ("export function sendMail(to: string): void {", "  await sendMail(", "nothing"),
    ("interface Props extends Base {", "let one: Props", "its end"),
    ("this.#total = 10;", "return this.#total", "all"),  # the sign parts the name from the object
    ("for (const item of items) {", "for (const item", "all"),
    ("if (user?.name === null) {", "if (user?.name", "all"),
    # Go
    ("func (s *Server) Start(ctx context.Context) error {", "err := s.Start", "its end"),
    ("func NewServer(name string) *Server {", "s := NewServer(", "nothing"),
    ("total := 10", "return total", "its end"),
    ("type Config struct {", "func load() *Config", "its end"),
    ("if err != nil {", "if err", "all"),
    ("for _, item := range items {", "for _, item := range items", "all"),
    # other alphabets
    ("имя = 1", "return имя", "its end"),
]


@pytest.mark.parametrize(("above", "typed", "copied"), USES)
def test_what_follows_a_name_is_copied_only_where_the_match_began_before_it(above: str, typed: str, copied: str):
    # One token for each character: the match is as long as the texts agree.
    tokenizer = toy_tokenizer("byte-level")
    vocabulary = tokenizer.vocabulary
    copies = copier((0.9,) * 64, vocabulary)
    assert copies is not None
    by_byte = {data: token for token, data in enumerate(vocabulary.token_bytes) if len(data) == 1}
    source, ids = (array([by_byte[bytes([byte])] for byte in text.encode()]) for text in (f"\n{above}\n", f"\n{typed}"))
    found = copies.copied(ids, source)
    if copied == "nothing":
        assert found is None
        return
    assert found is not None
    assert found.shares.sum() == pytest.approx(float(copied == "all"))
    assert found.ending_shares.sum() == pytest.approx(float(copied == "its end"))
    for ending in found.endings:
        assert ending.beginning == -1
        assert set(ending.tokens) >= set(vocabulary.control_ids)
        assert {vocabulary.token_bytes[token][:1] for token in ending.tokens} == {
            b"",
            *(bytes([byte]) for byte in range(128) if not re.fullmatch(r"\w", chr(byte))),
        }


# The tokens of the text above, those of the typed text, other tokens, and with which of all a name ends then.
ENDINGS = [
    # Python
    ("total_|amount = |10", "return |total_", "amount|amount)|amounts|s", "amount|amount = |amount)"),
    ("class |Invoice|Error(|Value", "raise |Invoice", "Error|Error:|Err|Errors(", "Error|Error(|Error:"),
    ("self.|to|tal = ", "return |self.|to", "tal|tal.|ta|t", "tal|tal = |tal."),
    ("if |total_|amount", "if |total_", "amount)", ""),  # all of it is name: it is copied as it is
    ("to|tal = ", "x + |to", "ta|t|tal_|tal(", "tal = |ta|tal("),  # the rest is no token: its longest start
    ("to|tal = ", "x + |to", "al", "tal = "),
    # TypeScript
    ("const |total|Amount: |number", "return |total", "Amount|Amount;|Amounts;", "Amount|Amount: |Amount;"),
    ("function |send|Mail(|to", "await |send", "Mail|Mail)|Mailer", "Mail|Mail(|Mail)"),
    # Go
    ("total|Amount := |10", "return |total", "Amount|Amount, |AmountOf(", "Amount|Amount := |Amount, "),
    ("type |Con|fig struct {", "func load() *|Con", "fig|fig) |figure|fi", "fig|fig struct {|fig) "),
]


@pytest.mark.parametrize(("above", "typed", "others", "ends"), ENDINGS)
def test_the_rest_of_a_name_ends_with_all_tokens_that_end_it(above: str, typed: str, others: str, ends: str):
    pieces = [text.encode().split(b"|") for text in (above, typed, others)]
    tokens = [b"", *dict.fromkeys(piece for part in pieces for piece in part)]
    copies = Copier((0.9, 0.9), np.arange(len(tokens)) == 0, token_names(tokens))
    source, ids = (array([tokens.index(piece) for piece in part]) for part in pieces[:2])
    found = copies.copied(ids, source)
    assert found is not None
    row = np.linspace(0, 1, len(tokens), dtype=np.float32)
    if not ends:
        assert not found.endings
        assert tokens[found.tokens[0]] == pieces[0][2]
        return
    assert not len(found.tokens)
    chosen = [token for token, data in enumerate(tokens) if data in ends.encode().split(b"|")]
    (ending,) = found.endings
    assert sorted({*ending.tokens.tolist(), ending.beginning} - {-1}) == chosen
    model, mixed = softmax(row), softmax(copies.mixed(ids, row, source))
    assert mixed[chosen].sum() == pytest.approx(0.9 + 0.1 * model[chosen].sum(), abs=1e-6)
    np.testing.assert_allclose(mixed[chosen] / mixed[chosen].sum(), model[chosen] / model[chosen].sum(), rtol=1e-5)


# The text above, the typed text, what a completion has written after it, and what is copied then.
END = b"the name ends"
BEYOND = [
    ("def send_mail(to, subject):", "send_mai", "l(to", END),
    ("def send_mail(to, subject):", "send_mai", "l(to, ", b""),
    ("def send_mail(to, subject):", "send_mai", "l(to, sub", b"j"),
    ("class InvoiceError(ValueError):", "raise InvoiceErro", "r(Value", b"E"),
    ("class InvoiceError(ValueError):", "raise InvoiceErro", "r(ValueError", END),
    ("if total is None:", "if tota", "l is", b" "),
    ("for x in range(10):", "y = fo", "o in range", b"("),  # a match that begins after the name at the cursor
    ("function sendMail(to: string) {", "await sendMai", "l", END),
    ("function sendMail(to: string) {", "await sendMai", "l(to: ", b""),
    ("function sendMail(to: string) {", "await sendMai", "l(to: str", b"i"),
    ("if (total === null) {", "if (tota", "l ===", b" "),
    ("func Start(ctx context.Context) error {", "s.Star", "t", END),
    ("func Start(ctx context.Context) error {", "s.Star", "t(ct", b"x"),
    ("if err != nil {", "if er", "r !=", b" "),
]


@pytest.mark.parametrize(("above", "typed", "written", "follows"), BEYOND)
def test_a_match_that_began_at_the_cursors_name_copies_only_names_however_long_it_gets(
    above: str, typed: str, written: str, follows: bytes
):
    vocabulary = toy_tokenizer("byte-level").vocabulary
    copies = copier((0.9,) * 64, vocabulary)
    assert copies is not None
    by_byte = {data: token for token, data in enumerate(vocabulary.token_bytes) if len(data) == 1}
    source, prompt, ids = (
        array([by_byte[bytes([byte])] for byte in text.encode()])
        for text in (f"\n{above}\n", f"\n{typed}", f"\n{typed}{written}")
    )
    found = copies.copied(ids, source, copies.names.last_name(prompt))
    tokens = [] if found is None else [vocabulary.token_bytes[token] for token in found.tokens]
    assert tokens == ([follows] if follows not in (b"", END) else [])
    assert len(found.endings if found else ()) == (follows == END)


def test_where_the_match_began_before_the_name_the_whole_token_is_copied():
    tokens = [b"", b"total_", b"amount = ", b"amount", b"return ", b"print(", b"1", b"\n"]
    copies = Copier((0.9, 0.9), np.arange(len(tokens)) == 0, token_names(tokens))
    source = array([7, 1, 2, 6, 7, 5, 1, 2])  # a line total_amount = 1, then print(total_amount = ...
    at_name = copies.copied(array([4, 1]), source)
    assert at_name is not None
    assert (at_name.tokens.tolist(), at_name.ending_shares.tolist()) == ([], [1.0])
    before = copies.copied(array([5, 1]), source)
    assert before is not None
    assert (before.tokens.tolist(), before.endings) == ([2], ())


@given(st.lists(st.binary(max_size=6), min_size=1, max_size=6, unique=True))
def test_every_token_is_all_name_or_ends_one_rest(data: list[bytes]):
    tokens = list(dict.fromkeys([b"a", b"ab", b"ab(", b"abc", b"_1", b"_1 = ", b"", *data]))
    names = token_names(tokens)
    for token, each in enumerate(tokens):
        name = re.match(rb"[A-Za-z0-9_\x80-\xff]*", each)
        assert name is not None
        if each and name[0] == each:
            assert names.rests[token] == token
            assert not any(token in ending.tokens for ending in names.endings)
            continue
        ending = names.endings[names.rests[token] - len(tokens)]
        assert [token in other.tokens for other in names.endings].count(True) == 1
        assert token in ending.tokens
        fitting = [one for one in tokens if one and name[0].startswith(one)]
        assert (tokens[ending.beginning] if ending.beginning >= 0 else b"") == max(fitting, key=len, default=b"")


PIECES = [
    b"",
    b"a",
    b"b",
    b"ab",
    b"a b",
    b" ",
    b"(",
    b".",
    b"a(",
    b" a",
    b"b = ",
    b"ab(",
    b"ab.",
    b"b.a",
    b"c(",
    b"abc ",
]


@st.composite
def texts_of_names(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """Tokens, a source that repeats some of them, and where the prompt ends."""
    pieces = st.lists(st.integers(0, len(PIECES) - 1), max_size=8)
    ids = draw(pieces) + draw(st.lists(st.integers(1, len(PIECES) - 1), min_size=1, max_size=6))
    source = draw(pieces)
    for start in draw(st.lists(st.integers(0, len(ids) - 1), max_size=3)):
        source += ids[start:] + draw(pieces)
    return ids, source, draw(st.integers(0, len(ids)))


@given(texts_of_names(), st.integers(0, 9), st.lists(st.integers(0, len(PIECES) - 1), max_size=8))
def test_the_law_is_the_mixture_where_there_are_names(
    texts: tuple[list[int], list[int], int], salt: int, forbidden: list[int]
):
    ids, source, prompt = texts
    copies = Copier(WEIGHTS, np.arange(len(PIECES)) == CONTROL, token_names(PIECES))
    row = hash_model(len(PIECES), salt=salt, scale=4.0)(tuple(ids))
    row[forbidden] = -np.inf
    typed = copies.names.last_name(array(ids[:prompt]))
    mixed = softmax(copies.mixed(array(ids), row, array(source), typed))
    assert mixed.sum() == pytest.approx(1.0)
    expected = mixed_distribution(ids, softmax(row), WEIGHTS, source, {CONTROL}, PIECES, prompt)
    np.testing.assert_allclose(mixed, expected, atol=1e-6)


def test_an_ending_that_the_model_rules_out_is_left_to_the_model():
    tokens = [b"", b"to", b"tal = ", b"tal", b"tal(", b"return "]
    copies = Copier((0.9, 0.9), np.arange(len(tokens)) == 0, token_names(tokens))
    row = np.array([0, 1, -np.inf, -np.inf, -np.inf, 0], np.float32)
    np.testing.assert_allclose(softmax(copies.mixed(array([5, 1]), row, array([1, 2]))), softmax(row), atol=1e-6)
    row[4] = -30.0  # hardly possible
    mixed = softmax(copies.mixed(array([5, 1]), row, array([1, 2])))
    assert mixed[4] == pytest.approx(0.9)
    assert mixed[2] == mixed[3] == 0.0


def test_a_name_that_ends_there_and_goes_on_elsewhere():
    vocabulary = toy_tokenizer("byte-level").vocabulary
    copies = copier((0.8,) * 16, vocabulary)
    assert copies is not None
    by_byte = {data: token for token, data in enumerate(vocabulary.token_bytes) if len(data) == 1}
    text = "x = gizmo\ny = giz(1)\nz = giz + 1"
    source, ids = (array([by_byte[bytes([byte])] for byte in part.encode()]) for part in (text, "return giz"))
    row = np.zeros(vocabulary.size, np.float32)
    mixed, each = softmax(copies.mixed(ids, row, source)), 0.2 / vocabulary.size
    assert mixed[by_byte[b"m"]] == pytest.approx(0.8 / 3 + each)
    assert mixed[by_byte[b"a"]] == pytest.approx(each)
    found = copies.copied(ids, source)
    assert found is not None
    (ending,) = found.endings
    assert mixed[by_byte[b"("]] == mixed[by_byte[b"="]] == pytest.approx(1.6 / 3 / len(ending.tokens) + each)


def test_control_tokens_are_the_vocabularys():
    vocabulary = toy_tokenizer("superword").vocabulary
    made = copier((0.1, 0.2), vocabulary)
    assert made is not None
    assert made.weights == (0.1, 0.2)
    assert set(np.flatnonzero(made.control).tolist()) == set(vocabulary.control_ids)


@pytest.mark.parametrize("weights", [(), (0.0, 0.0)])
def test_a_model_without_weights_copies_nothing(weights: tuple[float, ...]):
    assert copier(weights, toy_tokenizer("superword").vocabulary) is None
