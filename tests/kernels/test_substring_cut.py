"""What is left after a cut reads on: no character is cut, no two words are glued, paragraphs stay apart."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.substring_cut import Cut, readable_rest
from tokenmill.kernels.substring_cut_reference import cut_reference
from tokenmill.kernels.substring_units_reference import tokens_of

PIECES = [*"ab. -\n", "\n\n", "é", "中", "か", "\u0301", "ก", "่", "\u3000", "\u00a0", "😀", "\r\n"]
TEXT = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def cut(texts: list[str | None], spans: list[list[tuple[int, int]]]) -> Cut:
    spans_of = np.cumsum([0, *map(len, spans)]).astype(np.int64)
    places = np.array([place for some in spans for place in sorted(some)], np.int64).reshape(-1, 2)
    return readable_rest(pa.array(texts, pa.large_string()), spans_of, places[:, 0].copy(), places[:, 1].copy())


def without(text: str, *pieces: str) -> str:
    """The text without the first place of each of the pieces."""
    data = text.encode()
    starts = [data.index(piece.encode()) for piece in pieces]
    found = cut([text], [[(s, s + len(p.encode())) for s, p in zip(starts, pieces, strict=True)]])
    found.texts.validate(full=True)
    return found.texts[0].as_py()


@pytest.mark.parametrize(
    ("text", "pieces", "left"),
    [
        pytest.param("one two three", ["two"], "one\nthree", id="a line break: they never stood together"),
        pytest.param("one.\n\ntwo three", ["two"], "one.\n\nthree", id="the paragraph's beginning"),
        pytest.param("one two.\n\nthree", ["two."], "one\n\nthree", id="the paragraph's end"),
        pytest.param("one\n  two\n\n    three", ["two"], "one\n\n    three", id="more line feeds, and its indentation"),
        pytest.param("one\n    two\n  end", ["two"], "one\n  end", id="the indentation of what follows"),
        pytest.param("one\n\n    two\n  end", ["two"], "one\n\n  end", id="line feeds of the left, then that"),
        pytest.param("one\n    two three", ["two"], "one\n    three", id="of what follows in the same line"),
        pytest.param("one  \ntwo \nthree", ["two"], "one  \nthree", id="white space that ends a kept line stays"),
        pytest.param("one two  \n\nthree", ["two"], "one\n\nthree", id="that of a cut line goes"),
        pytest.param("one two\r\n\r\nthree", ["two"], "one\r\n\r\nthree", id="carriage returns"),
        pytest.param("one two three", ["one"], "two three", id="at the beginning"),
        pytest.param("one two three\n", ["three"], "one two", id="at the end, with its white space"),
        pytest.param("  one two", ["one two"], "", id="all of it"),
        pytest.param("one two  three four", ["two", "three"], "one\nfour", id="white space between two spans goes"),
        pytest.param("one two three", ["one", "three"], "two", id="two spans with a word between"),
        pytest.param("one-two-three", ["-two-"], "one\nthree", id="two words are not glued"),
        pytest.param("one(two)three", ["two"], "one(\n)three", id="nor others"),
        pytest.param("日本語文", ["本語"], "日\n文", id="Han has no spaces"),
        pytest.param("한국 - 어", [" - "], "한국\n어", id="the white space at a span's ends is around it"),
        pytest.param("one   two", ["   "], "one   two", id="white space alone is no span"),
        pytest.param("日.\u0301x", ["."], "日\n\u0301x", id="a mark does not move to another letter"),
    ],
)
def test_what_is_left(text: str, pieces: list[str], left: str) -> None:
    assert without(text, *pieces) == left


@settings(deadline=None, max_examples=500)  # the first call compiles
@given(st.lists(st.tuples(TEXT, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=4)), max_size=4))
def test_equals_the_plain_definition_for_spans_that_cut_characters(
    given_: list[tuple[str, list[tuple[int, int]]]],
) -> None:
    texts, spans = [], []
    for text, places in given_:
        size = len(text.encode())
        texts.append(text)
        spans.append([(min(start, size), min(start + length, size)) for start, length in places])
    found = cut([None, *texts], [[], *spans])
    found.texts.validate(full=True)
    want = [cut_reference(text, places) for text, places in zip(texts, spans, strict=True)]
    assert found.texts.to_pylist() == [None, *want]
    assert found.chars_left.tolist() == [0, *map(len, want)]
    assert found.chars_before.tolist() == [0, *map(len, texts)]
    assert [not cut for cut in found.is_cut] == [True, *(a == b for a, b in zip(texts, want, strict=True))]


@settings(deadline=None, max_examples=300)
@given(TEXT, st.data())
def test_the_tokens_left_are_those_that_no_span_holds(text: str, data: st.DataObject) -> None:
    tokens, encoded = tokens_of(text), text.encode()
    gone = data.draw(st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens)))
    spans = [place for place, goes in zip(tokens, gone, strict=True) if goes]
    stay = [encoded[begin:end] for (begin, end), goes in zip(tokens, gone, strict=True) if not goes]
    left = cut([text], [spans]).texts[0].as_py()
    assert [left.encode()[begin:end] for begin, end in tokens_of(left)] == stay


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20)), max_size=3))
def test_broken_utf8_stays_inside_its_text(data: bytes, places: list[tuple[int, int]]) -> None:
    texts = pa.array([b"before", data, b"\xbf\xbf"], pa.large_binary()).view(pa.large_string())
    spans = sorted((min(s, len(data)), min(s + n, len(data))) for s, n in places)
    starts, stops = (np.array([span[k] for span in spans], np.int64) for k in (0, 1))
    found = readable_rest(texts, np.array([0, 0, len(spans), len(spans)]), starts, stops)
    before, left, behind = found.texts.cast(pa.large_binary()).to_pylist()
    assert (before, behind) == (b"before", b"\xbf\xbf")
    assert len(left) <= len(data) + len(spans)


def test_a_span_outside_its_text_is_refused() -> None:
    with pytest.raises(ValueError, match=r"span 2\.\.9 of a text of 3 bytes"):
        cut(["abc"], [[(2, 9)]])


def test_a_sliced_array_is_cut_where_it_stands() -> None:
    texts = pa.array(["skipped", "one two three", "left alone"], pa.large_string()).slice(1)
    found = readable_rest(texts, np.array([0, 1, 1]), np.array([4]), np.array([7]))
    assert found.texts.to_pylist() == ["one\nthree", "left alone"]
    assert found.is_cut.tolist() == [True, False]
