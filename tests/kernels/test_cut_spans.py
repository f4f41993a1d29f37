"""Stretches of bytes leave texts; everything around them stays, and no character is broken."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels import cut_spans_reference
from tokenmill.kernels.cut_spans import cut_spans

Span = tuple[int, int, int]  # row, start, stop


def cut(texts: list[str | None], spans: list[Span], skipped: int = 0) -> list[str | None]:
    """By the kernel, out of an array that begins `skipped` texts later in its buffers."""
    array = pa.array(["before, ü", *texts][1 - skipped :], pa.large_string())[skipped:]
    columns = np.array(spans, np.int64).reshape(-1, 3).T
    result = cut_spans(array, *(np.ascontiguousarray(column) for column in columns))
    result.validate(full=True)
    return result.to_pylist()


@pytest.mark.parametrize(
    ("text", "spans", "left"),
    [
        pytest.param("one two three", [(4, 8)], "one three", id="in the middle"),
        pytest.param("one two three", [(0, 4), (7, 13)], "two", id="at both ends"),
        pytest.param("abcdef", [(0, 2), (2, 4)], "ef", id="two that touch"),
        pytest.param("abc", [(0, 3)], "", id="all of it"),
        pytest.param("abc", [(1, 1)], "abc", id="nothing of it"),
        pytest.param("é😀中", [(2, 6)], "é中", id="places are bytes"),
        pytest.param("", [(0, 0)], "", id="nothing of nothing"),
    ],
)
def test_what_is_left(text: str, spans: list[tuple[int, int]], left: str) -> None:
    assert cut([text], [(0, *span) for span in spans]) == [left]


def test_rows_without_spans_and_nulls_stay_as_they_are() -> None:
    assert cut(["abc", None, "", "abc", "😀"], [(0, 0, 1), (3, 2, 3)]) == ["bc", None, "", "ab", "😀"]
    assert cut([None], []) == [None]
    assert cut([], []) == []


@pytest.mark.parametrize(
    "spans",
    [
        pytest.param([(0, 1, 2)], id="begins within a character"),
        pytest.param([(0, 0, 1)], id="ends within a character"),
        pytest.param([(0, 2, 9)], id="ends behind the text"),
        pytest.param([(0, -1, 2)], id="begins before it"),
        pytest.param([(0, 3, 2)], id="ends before it begins"),
        pytest.param([(0, 0, 3), (0, 2, 4)], id="overlap"),
        pytest.param([(0, 2, 3), (0, 0, 2)], id="not in order"),
        pytest.param([(1, 0, 0)], id="in a null"),
        pytest.param([(2, 0, 1)], id="in a row that is not there"),
        pytest.param([(-1, 0, 1)], id="in a row before the first"),
    ],
)
def test_refuses_spans_that_are_wrong(spans: list[Span]) -> None:
    with pytest.raises(ValueError, match=r"want spans within a text|spans name rows"):
        cut(["éabcd", None], spans)


@st.composite
def texts_and_spans(draw: st.DrawFn) -> tuple[list[str | None], list[Span]]:
    texts = draw(st.lists(st.none() | st.text(max_size=12), max_size=6))
    spans = []
    for row, text in enumerate(texts):
        if text is not None:
            places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
            sizes = [len(text[:place].encode()) for place in places]
            spans += [(row, start, stop) for start, stop in zip(sizes[::2], sizes[1::2], strict=False)]
    return texts, spans


@settings(deadline=None)  # the first call compiles
@given(texts_and_spans(), st.integers(0, 1))
def test_equals_the_plain_definition(given: tuple[list[str | None], list[Span]], skipped: int) -> None:
    assert cut(*given, skipped) == cut_spans_reference.cut_spans(*given)


def test_a_text_of_100_kb_may_lose_every_second_word() -> None:
    text = "word beta " * 10_000
    assert cut([text, "x"], [(0, at, at + 5) for at in range(0, 100_000, 10)]) == ["beta " * 10_000, "x"]
