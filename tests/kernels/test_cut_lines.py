"""Lines leave a text, and what is left reads as if they had never been there."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels import cut_lines_reference, line_spans_reference
from tokenmill.kernels.cut_lines import cut_lines

Span = tuple[int, int, int]  # row, start, stop


def cut(texts: list[str | None], spans: list[Span], skipped: int = 0) -> list[str | None]:
    array = pa.array(["before\nü", *texts][1 - skipped :], pa.large_string())[skipped:]
    columns = np.array(spans, np.int64).reshape(-1, 3).T
    result = cut_lines(array, *(np.ascontiguousarray(column) for column in columns))
    result.validate(full=True)
    return result.to_pylist()


def places(text: str, paragraphs: bool = False) -> list[tuple[int, int]]:
    found = line_spans_reference.line_spans(text, paragraphs=paragraphs, chars_at_least=1)
    return [(start, stop) for start, stop, *_ in found]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param("a\nX\nb", "a\nb", id="a line and its newline"),
        pytest.param("X\na", "a", id="the first"),
        pytest.param("a\nX", "a", id="the last, and the newline before it"),
        pytest.param("a\nX\n", "a\n", id="the last, and its own newline"),
        pytest.param("X", "", id="all"),
        pytest.param("X\nX\n", "", id="all, twice"),
        pytest.param("a\n\nX\n\nb", "a\n\nb", id="blank lines are not doubled"),
        pytest.param("a\n\nX\n \n\t\nX\n\nb", "a\n\nb", id="whatever their white space"),
        pytest.param("X\n\n\nb", "b", id="no text begins with a blank line"),
        pytest.param("\nX\nb", "\nb", id="unless it did"),
        pytest.param("a\nX\n\n\nb", "a\n\n\nb", id="those that were double stay so"),
        pytest.param("a\n\nX\n", "a\n", id="nor do texts end in more of them"),
        pytest.param("a\r\nX\r\n\r\nb\r\n", "a\r\n\r\nb\r\n", id="CRLF"),
        pytest.param("a\r\n\r\nX\r\n\r\nb\r\n", "a\r\n\r\nb\r\n", id="CRLF and blank lines"),
        pytest.param("a\r\nX", "a", id="CRLF and the last line"),
        pytest.param("a\r\n\r\nX\r\n", "a\r\n", id="CRLF, the last line and a blank one"),
        pytest.param(" \u3000X \né", "é", id="white space around a line goes with it"),
    ],
)
def test_what_is_left(text: str, left: str) -> None:
    spans = [(start, stop) for start, stop in places(text) if text.encode()[start:stop] == b"X"]
    assert cut([text], [(0, *span) for span in spans]) == [left]
    assert cut_lines_reference.cut_lines(text, spans) == left


def test_a_span_over_several_lines_cuts_them_all() -> None:
    text = "a\n\nX\nX X\r\nX\n\nb"
    assert places(text, paragraphs=True)[1] == (3, 11)
    assert cut([text], [(0, 3, 11)]) == ["a\n\nb"]


def test_other_rows_stay_as_they_are() -> None:
    assert cut([None, "a\nb", "\n\n", "a\nb"], [(3, 0, 1)]) == [None, "a\nb", "\n\n", "b"]
    assert cut([None], []) == [None]


@pytest.mark.parametrize("span", [(0, 0, 4), (0, -1, 1), (0, 1, 1), (1, 0, 1), (-1, 0, 1)])
def test_refuses_spans_outside_of_their_text(span: Span) -> None:
    with pytest.raises(ValueError, match=r"is not within text 0|spans name rows outside 0\.\.0"):
        cut(["a\nb"], [span])


PIECES = ["\n", "\n", "\n", "\r\n", "\r", " ", "\u3000", "a", "bc", "é", "😀"]


@settings(deadline=None, max_examples=500)  # the first call compiles
@given(
    st.lists(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), max_size=4),
    st.booleans(),
    st.randoms(use_true_random=False),
    st.integers(0, 1),
)
def test_equals_the_plain_definition(texts: list[str], paragraphs: bool, rng: object, skipped: int) -> None:
    chosen = [[span for span in places(t, paragraphs) if rng.random() < 0.5] for t in texts]  # type: ignore[attr-defined]
    want = [cut_lines_reference.cut_lines(t, spans) for t, spans in zip(texts, chosen, strict=True)]
    assert cut(texts, [(row, *span) for row, spans in enumerate(chosen) for span in spans], skipped) == want


def test_a_text_of_100_kb() -> None:
    assert cut(["one\ntwo\n" * 12_500], [(0, at, at + 3) for at in range(0, 100_000, 8)]) == ["two\n" * 12_500]
    assert cut(["a" * 100_000], [(0, 0, 100_000)]) == [""]
