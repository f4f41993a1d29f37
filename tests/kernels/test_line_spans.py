"""Lines and paragraphs of texts: where they are, and which of them are equal."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels import line_spans_reference
from tokenmill.kernels.line_spans import line_spans
from tokenmill.kernels.line_spans_reference import SPACES
from tokenmill.kernels.unicode_classes import CLASSES, SPACE

Found = list[tuple[int, int, int, int, int]]  # row, start, stop, hash


def spans(texts: list[str | None], *, paragraphs: bool, chars_at_least: int = 1, skipped: int = 0) -> Found:
    array = pa.array(["before\nü", *texts][1 - skipped :], pa.large_string())[skipped:]
    found = line_spans(array, paragraphs=paragraphs, chars_at_least=chars_at_least)
    columns = (found.rows, found.starts, found.stops, found.hashes[:, 0], found.hashes[:, 1])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def pieces(text: str, *, paragraphs: bool, chars_at_least: int = 1) -> list[str]:
    data = text.encode()
    found = spans([text], paragraphs=paragraphs, chars_at_least=chars_at_least)
    return [data[start:stop].decode() for _, start, stop, *_ in found]


@pytest.mark.parametrize(
    ("text", "lines", "paragraphs"),
    [
        pytest.param("a\nb\n\nc", ["a", "b", "c"], ["a\nb", "c"], id="plain"),
        pytest.param("a\r\nb\r\n\r\nc\r\n", ["a", "b", "c"], ["a\r\nb", "c"], id="CRLF"),
        pytest.param("  a b \t\n\n\u3000é\u00a0\u2029\n", ["a b", "é"], ["a b", "é"], id="white space at the ends"),
        pytest.param("a\n \u3000 \nb", ["a", "b"], ["a", "b"], id="a line of white space is blank"),
        pytest.param("\n\n\n", [], [], id="newlines alone"),
        pytest.param("", [], [], id="empty"),
        pytest.param("a\rb\u2028c\x0bd", ["a\rb\u2028c\x0bd"], ["a\rb\u2028c\x0bd"], id="only LF ends a line"),
        pytest.param("😀", ["😀"], ["😀"], id="emoji"),
    ],
)
def test_where_they_are(text: str, lines: list[str], paragraphs: list[str]) -> None:
    assert pieces(text, paragraphs=False) == lines
    assert pieces(text, paragraphs=True) == paragraphs


def test_short_ones_are_left_out_by_their_characters() -> None:
    assert pieces("abc\näöü\nab\n 中文 ", paragraphs=False, chars_at_least=3) == ["abc", "äöü"]
    assert pieces("ab\ncd\n\nabc\n\nabcd", paragraphs=True, chars_at_least=4) == ["ab\ncd", "abcd"]


def test_equal_ones_have_one_hash_whatever_stands_around_them() -> None:
    hashes = [found[3:] for found in spans(["x\n same \r\nsame", "same", "Same"], paragraphs=False)]
    assert hashes[1] == hashes[2] == hashes[3]
    assert len(set(hashes)) == 3
    unix, windows, joined = (spans([t], paragraphs=True)[0][3:] for t in ("a\nb", " a\r\n b ", "ab"))
    assert unix == windows != joined


def test_nulls_have_none() -> None:
    assert [row for row, *_ in spans([None, "a", None, "b"], paragraphs=False)] == [1, 3]
    assert spans([], paragraphs=True) == []


def test_the_reference_knows_all_white_space() -> None:
    assert [chr(c) for c in range(0x110000) if CLASSES[c] & SPACE] == list(SPACES)


PIECES = [
    "\n",
    "\n",
    "\r\n",
    " ",
    "\t",
    "\u3000",
    "\u00a0",
    "\u0085",
    "a",
    "bc",
    "é",
    "中",
    "😀",
    "\0",
    "\x1c",
    "\u2028",
]
TEXT = st.text(max_size=20) | st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@settings(deadline=None, max_examples=300)  # the first call compiles
@given(st.lists(st.none() | TEXT, max_size=4), st.booleans(), st.integers(0, 3), st.integers(0, 1))
def test_equals_the_plain_definition(
    texts: list[str | None], paragraphs: bool, chars_at_least: int, skipped: int
) -> None:
    want = [
        (row, *span)
        for row, text in enumerate(texts)
        for span in line_spans_reference.line_spans(text, paragraphs=paragraphs, chars_at_least=chars_at_least)
    ]
    assert spans(texts, paragraphs=paragraphs, chars_at_least=chars_at_least, skipped=skipped) == want


@pytest.mark.parametrize("paragraphs", [False, True])
@pytest.mark.parametrize("piece", ["word ", "\n", "é\n", " ", "🐟\n\n", "\u3000"])
def test_a_text_of_100_kb(piece: str, paragraphs: bool) -> None:
    text = piece * (100_000 // len(piece.encode()))
    want = line_spans_reference.line_spans(text, paragraphs=paragraphs, chars_at_least=1)
    assert spans([text], paragraphs=paragraphs) == [(0, *span) for span in want]
