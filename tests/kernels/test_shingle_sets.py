"""Sets of shingles are the sorted, distinct shingles of the plain definition, and their overlap is exact."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.minhash import UNITS, Unit, coefficients, signatures
from tokenmill.kernels.shingle_sets import _slots, _sort_distinct, shingle_sets
from tokenmill.kernels.shingle_sets_reference import shingle_set_of

PIECES = ["the", "cat", "Sat", "größer", "1", "中", " ", "  ", "\n", "a a a a a a a a ", "😀"]
TEXTS = st.none() | st.text() | st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join)
LARGEST = 2**64 - 1


@settings(deadline=None, max_examples=200)  # the first call compiles
@given(st.lists(TEXTS, max_size=6), st.integers(0, 3), st.integers(1, 9), st.sampled_from(UNITS))
def test_equals_the_plain_definition(texts: list[str | None], start: int, length: int, unit: Unit) -> None:
    values, offsets = shingle_sets(pa.array(texts, pa.large_string()).slice(start), length, unit)
    assert values.dtype == np.uint64
    assert offsets.dtype == np.int64
    assert len(offsets) == len(texts[start:]) + 1
    found = [values[a:b].tolist() for a, b in zip(offsets, offsets[1:], strict=False)]
    assert found == [shingle_set_of(text, length, unit) for text in texts[start:]]
    assert len(values) == offsets[-1]


@pytest.mark.parametrize("unit", UNITS)
def test_long_texts_between_short_ones_grow_the_scratch(unit: Unit) -> None:
    texts = ["a b", " ".join(f"w{i % 3000}" for i in range(20_000)), None, " ".join(map(str, range(40_000))), "a b"]
    values, offsets = shingle_sets(pa.array(texts, pa.large_string()), 2, unit)
    found = [values[a:b].tolist() for a, b in zip(offsets, offsets[1:], strict=False)]
    assert found == [shingle_set_of(text, 2, unit) for text in texts]


def test_signatures_are_the_minima_over_the_low_halves_of_the_set() -> None:
    texts = pa.array(["the cat sat on the mat, the cat sat on the hat"], pa.large_string())
    values, _ = shingle_sets(texts, 5, "characters")
    found, _ = signatures(texts, 7, 5, 1, "characters")
    a, b = coefficients(7, 1)
    assert found[0].tolist() == [(m * values.astype(np.uint32) + i).min() for m, i in zip(a, b, strict=True)]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, LARGEST) | st.sampled_from([0, 1, 2, LARGEST - 1, LARGEST]), max_size=50))
def test_hashes_that_crowd_at_either_end_are_sorted_too(hashes: list[int]) -> None:
    given_ = np.array(hashes, np.uint64)
    table, values = np.empty(_slots(len(hashes)) + len(hashes), np.uint64), np.empty(len(hashes) + 1, np.uint64)
    end = _sort_distinct(given_, table, values, 0)
    assert values[:end].tolist() == sorted(set(hashes))


def test_a_thousand_neighbours_run_into_the_spare_slots() -> None:
    crowd = np.arange(LARGEST - 999, LARGEST, dtype=np.uint64)
    crowd = np.concatenate((crowd[::-1], crowd))
    table, values = np.empty(_slots(len(crowd)) + len(crowd), np.uint64), np.empty(len(crowd) + 1, np.uint64)
    end = _sort_distinct(crowd, table, values, 0)
    assert values[:end].tolist() == sorted({*crowd.tolist()})


@pytest.mark.parametrize(
    ("length", "unit", "message"),
    [pytest.param(0, "words", "at least 1", id="length"), pytest.param(5, "lines", "one of", id="unit")],
)
def test_what_makes_no_sense_is_refused(length: int, unit: Unit, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shingle_sets(pa.array(["a"], pa.large_string()), length, unit)
