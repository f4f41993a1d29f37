"""One of each set of equal texts stays, chosen by the documents alone."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.core.barrier import ADDRESS, VERDICTS
from tokenmill.core.errors import DataError
from tokenmill.dedup.exact import ExactDedup

STEP = ExactDedup()
Document = tuple[str | None, int, int]  # text, priority, id


def emitted(documents: list[Document], shards: int = 1) -> pa.Table:
    """What an engine hands to `decide`: document i is row i // shards of shard i % shards."""
    batch = pa.record_batch(
        [
            pa.array([f"{number:032x}" for _, _, number in documents], pa.string()),
            pa.array([text for text, _, _ in documents], pa.large_string()),
            pa.array([priority for _, priority, _ in documents], pa.int32()),
        ],
        schema=STEP.reads,
    )
    rows = pa.Table.from_batches([STEP.emit(batch)])
    at = range(len(documents))
    for field, values in zip(ADDRESS, ([i % shards for i in at], [i // shards for i in at]), strict=True):
        rows = rows.append_column(field, pa.array(values, field.type))
    return rows


def removed(documents: list[Document]) -> dict[int, int]:
    """Removed document -> the one kept for it, by their places in the list."""
    table, _ = STEP.decide(emitted(documents))
    return dict(zip(table["row"].to_pylist(), table["keeper_row"].to_pylist(), strict=True))


def test_equal_texts_leave_one() -> None:
    assert removed([("a", 0, 1), ("b", 0, 2), ("a", 0, 3), ("a ", 0, 4)]) == {2: 0}


@pytest.mark.parametrize(
    ("documents", "stays"),
    [
        pytest.param([("x", 1, 1), ("x", 0, 9)], 1, id="the preferred source, whatever the id"),
        pytest.param([("x", 0, 9), ("x", 0, 1)], 1, id="then the smaller id"),
        pytest.param([("x", 0, 1 << 64), ("x", 0, (1 << 64) - 1)], 1, id="ids compare as a whole"),
        pytest.param([("x", 0, 5), ("x", 0, 5)], 0, id="then the address"),
        pytest.param([("x", -1, 5), ("x", 0, 5)], 0, id="a priority below zero is preferred still"),
    ],
)
def test_who_stays(documents: list[Document], stays: int) -> None:
    assert removed(documents) == {1 - stays: stays}


def test_the_shard_comes_before_the_row() -> None:
    rows = emitted([("x", 0, 5)] * 4, shards=2)  # addresses 0:0, 1:0, 0:1, 1:1
    table, _ = STEP.decide(rows)
    assert list(zip(table["shard"].to_pylist(), table["row"].to_pylist(), strict=True)) == [(0, 1), (1, 0), (1, 1)]
    assert set(zip(table["keeper_shard"].to_pylist(), table["keeper_row"].to_pylist(), strict=True)) == {(0, 0)}


def test_empty_texts_are_equal_and_null_ones_are_not_compared() -> None:
    assert removed([("", 0, 1), (None, 0, 2), ("", 0, 3), (None, 0, 4)]) == {2: 0}


def test_the_verdict_names_keeper_and_similarity() -> None:
    table, counts = STEP.decide(emitted([("a", 0, 2), ("a", 0, 1), ("b", 0, 7), ("b", 0, 8), ("b", 0, 9)]))
    assert table.schema == VERDICTS
    assert table["keeper"].to_pylist() == [f"{n:032x}" for n in (1, 7, 7)]
    assert table["similarity"].to_pylist() == [1.0] * 3
    assert counts == {"sets": 2}


def test_equal_keys_with_other_texts_are_no_duplicates() -> None:
    """The key is half of the content hash; only the whole of it decides."""
    rows = emitted([("a", 0, 1), ("b", 0, 2), ("a", 0, 3)])
    content = [value[:8] for value in rows["content"].to_pylist()]
    assert [int.from_bytes(value, "big") for value in content] == rows["key"].to_pylist()
    met = rows.set_column(0, "key", pa.array([7, 7, 7], pa.uint64()))
    assert STEP.decide(met)[0]["row"].to_pylist() == [2]


documents = st.lists(
    st.tuples(st.none() | st.sampled_from(["", "a", "b", "c\0", "😀"]), st.integers(-1, 1), st.integers(0, 3)),
    max_size=20,
)


@settings(deadline=None)  # the first call compiles
@given(documents, st.randoms(use_true_random=False), st.integers(1, 3))
def test_equals_a_dictionary_in_any_order_of_rows_and_chunks(
    found: list[Document], rng: random.Random, shards: int
) -> None:
    best: dict[str, tuple[int, int, int, int]] = {}
    for i, (text, priority, number) in enumerate(found):
        if text is not None:
            rank = (priority, number, i % shards, i // shards)
            best[text] = min(best.get(text, rank), rank)
    want = sorted(
        (i % shards, i // shards, f"{best[text][1]:032x}", *best[text][2:], 1.0)
        for i, (text, priority, number) in enumerate(found)
        if text is not None and best[text] != (priority, number, i % shards, i // shards)
    )
    rows = emitted(found, shards)
    order = rng.sample(range(len(found)), len(found))
    shuffled = pa.concat_tables([rows.take([i]) for i in order]) if order else rows.schema.empty_table()
    table, _ = STEP.decide(shuffled)
    assert [tuple(row.values()) for row in table.to_pylist()] == want


def test_a_hundred_thousand_copies_leave_one() -> None:
    rows = emitted([("same", 0, 1)]).take(pa.array(np.zeros(100_000, np.int64)))
    rows = rows.set_column(rows.column_names.index("row"), "row", pa.array(np.arange(100_000)[::-1]))
    table, _ = STEP.decide(rows)
    assert table["row"].to_pylist() == list(range(1, 100_000))
    assert set(table["keeper_row"].to_pylist()) == {0}


def test_an_id_that_is_none_is_an_error_that_names_it() -> None:
    batch = pa.record_batch(
        [["record-7"], pa.array(["x"], pa.large_string()), pa.array([0], pa.int32())], schema=STEP.reads
    )
    with pytest.raises(DataError, match="exact_dedup: 'record-7'"):
        STEP.emit(batch)
