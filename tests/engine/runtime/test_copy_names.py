"""What is copied of a name and of what follows it: golden cases, and names against the slow reference."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runtime.copy_mixture import Copier, copier
from engine.runtime.token_names import token_names
from engine.types import IdArray
from tests.engine.runtime.test_copy_mixture import CONTROL, WEIGHTS, array, softmax
from tests.fakes import hash_model, toy_tokenizer
from tests.reference.copying import mixed_distribution

VOCABULARY = toy_tokenizer("byte-level").vocabulary
BY_BYTE = {data: token for token, data in enumerate(VOCABULARY.token_bytes) if len(data) == 1}


def by_bytes(text: str) -> IdArray:
    """One token for each byte, so that a match is as long as the texts agree."""
    return array([BY_BYTE[bytes([byte])] for byte in text.encode()])


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
    copies = copier((0.9,) * 64, VOCABULARY)
    assert copies is not None
    found = copies.copied(by_bytes(f"\n{typed}"), by_bytes(f"\n{above}\n"))
    if copied == "nothing":
        assert found is None
        return
    assert found is not None
    assert found.shares.sum() == pytest.approx(float(copied == "all"))
    assert found.ending_shares.sum() == pytest.approx(float(copied == "its end"))
    for ending in found.endings:
        assert ending.beginning == -1
        assert set(ending.tokens) >= set(VOCABULARY.control_ids)
        assert {VOCABULARY.token_bytes[token][:1] for token in ending.tokens} == {
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
    copies = copier((0.9,) * 64, VOCABULARY)
    assert copies is not None
    source, prompt, ids = map(by_bytes, (f"\n{above}\n", f"\n{typed}", f"\n{typed}{written}"))
    found = copies.copied(ids, source, copies.names.last_name(prompt))
    tokens = [] if found is None else [VOCABULARY.token_bytes[token] for token in found.tokens]
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
    copies = copier((0.8,) * 16, VOCABULARY)
    assert copies is not None
    source, ids = by_bytes("x = gizmo\ny = giz(1)\nz = giz + 1"), by_bytes("return giz")
    row = np.zeros(VOCABULARY.size, np.float32)
    mixed, each = softmax(copies.mixed(ids, row, source)), 0.2 / VOCABULARY.size
    assert mixed[BY_BYTE[b"m"]] == pytest.approx(0.8 / 3 + each)
    assert mixed[BY_BYTE[b"a"]] == pytest.approx(each)
    found = copies.copied(ids, source)
    assert found is not None
    (ending,) = found.endings
    assert mixed[BY_BYTE[b"("]] == mixed[BY_BYTE[b"="]] == pytest.approx(1.6 / 3 / len(ending.tokens) + each)
