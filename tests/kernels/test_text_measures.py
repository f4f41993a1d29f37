"""The measuring kernels give what the plain reference gives, on any text and any Arrow array."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels import text_measures_reference as reference
from tokenmill.kernels.text_measures import (
    LINE_MEASURES,
    TEXT_MEASURES,
    keep_c4_lines,
    measure_lines,
    measure_text,
)

# What the rules look at, so that short random texts meet them often.
PIECES = [
    *"aBé中1٣１ .,!?…•'’-~/:=<_@#{}[]😀。\t\n\r\v\x00\x1c\x85\u2028\u3000\u0301",
    *("the", "and", "e.g.", "U.S.", "end.Next", "..", "...", "--", "\n\n", "\r\n", "[1]", "[٣]", "[edit]", "[[1]2]"),
    *("[citation needed]", "javascript", "JAVA[1]SCRIPT", "Lorem ipsum", "terms of use", "privacy policy"),
    *("cookie policy", "uses cookies", "use of cookies", "use cookies", "İ", "\ufeff", " one two three. Four five! "),
]
mixed = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
few_words = st.lists(st.sampled_from(["a", "b", " ", " ", "\n", "."]), max_size=80).map("".join)  # much repeated
any_text = st.text(max_size=60)

AWKWARD = [
    "",
    "\x00",
    "\x00\n\x00\x00",
    "\n",
    "\n\n\n",
    "\r\n\r\n",
    " \t \u3000",
    "no trailing newline",
    "trailing newline\n",
    "\n\nleading ones",
    "  stripped \n\nstripped\n\n stripped ",
    "one\r\ntwo\r\n\r\none\r\n",
    "a " * 50,
    "." * 1000,
    "-" * 999 + ".",
    "😀" * 300,
    "'" * 100 + "a" + "'" * 100,
    "a!" * 300 + "!" * 300,
    "w" * 1000 + " b c. d",
    "w" * 1001 + " b c. d",
    "x" * 100_000,
    "word " * 20_000,
    "".join(chr(c) for c in range(0x20, 0x3000)),
    "[" * 500 + "1" * 500,
    "[1]" * 200 + " a b c",
    "\U0010ffff\ue000\u0378",
]


def assert_equal_to_the_reference(texts: list[str | None]) -> None:
    array = pa.array(texts, pa.large_string())
    for columns, schema, plain in (
        (measure_text(array), TEXT_MEASURES, reference.measure_text),
        (measure_lines(array), LINE_MEASURES, reference.measure_lines),
    ):
        table = pa.RecordBatch.from_arrays(columns, schema=schema)
        table.validate(full=True)
        assert table.to_pylist() == [dict.fromkeys(schema.names) if t is None else plain(t) for t in texts]
    kept = keep_c4_lines(array)
    kept.validate(full=True)
    assert kept.to_pylist() == [None if t is None else reference.keep_c4_lines(t) for t in texts]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.none() | mixed | few_words | any_text, max_size=6))
def test_equal_to_the_reference_on_random_text(texts: list[str | None]) -> None:
    assert_equal_to_the_reference(texts)


def test_equal_to_the_reference_on_awkward_text() -> None:
    assert_equal_to_the_reference([*AWKWARD, None])


def test_no_documents_give_empty_columns() -> None:
    assert_equal_to_the_reference([])


def test_a_document_is_measured_alike_beside_any_other_and_in_any_slice() -> None:
    texts: list[str | None] = [None, *AWKWARD[:20], None, *AWKWARD[20:]]
    array = pa.array(texts, pa.large_string())
    whole = [column.to_pylist() for column in measure_text(array)]
    for start, length in ((0, 3), (1, 1), (5, 12), (20, 4), (len(texts), 0)):
        part = array.slice(start, length)
        assert [c.to_pylist() for c in measure_text(part)] == [c[start : start + length] for c in whole]
        assert keep_c4_lines(part).to_pylist() == keep_c4_lines(array).to_pylist()[start : start + length]


def test_text_behind_a_null_is_not_measured() -> None:
    array = pa.array(["one two three.", "kept as it is"], pa.large_string())
    masked = pa.Array.from_buffers(pa.large_string(), 2, [pa.py_buffer(b"\x02"), *array.buffers()[1:]])
    assert masked.to_pylist() == [None, "kept as it is"]
    assert [column[0].as_py() for column in measure_text(masked)] == [None] * len(TEXT_MEASURES)
    assert keep_c4_lines(masked).to_pylist() == [None, "kept as it is"]


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param("a", id="one endless word"),
        pytest.param("a ", id="one word again and again"),
        pytest.param("!", id="symbols"),
        pytest.param("😀", id="emoji"),
        pytest.param("\n", id="newlines"),
        pytest.param("a\n", id="short lines"),
        pytest.param("[", id="brackets"),
        pytest.param("a#", id="symbols inside a word"),
        pytest.param(". ", id="full stops"),
    ],
)
def test_time_is_linear_on_hostile_text(unit: str) -> None:
    """Half a million characters: anything quadratic would take minutes."""
    text = unit * (500_000 // len(unit))
    array = pa.array([text], pa.large_string())
    measures = dict(zip(TEXT_MEASURES.names, (c[0].as_py() for c in measure_text(array)), strict=True))
    assert measures["chars"] == len(text)
    assert all(np.isfinite(value) for value in measures.values())
    assert keep_c4_lines(array).to_pylist() == [text.strip() if " " in unit else ""]  # else no line has three words
    assert len(measure_lines(array)[0]) == 1
