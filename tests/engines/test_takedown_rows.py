"""Streams of rows are merged, numbered and thinned out however they are cut into batches."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from tokenmill.engines.takedown_rows import merged, numbered, without

TEXT = pa.schema([("text", pa.string())])
NUMBERED = pa.schema([*TEXT, ("row", pa.int64())])


def cut(rng: np.random.Generator, table: pa.Table) -> Iterator[pa.RecordBatch]:
    """Batches of 0 to 3 rows."""
    start = 0
    while start < table.num_rows:
        length = int(rng.integers(0, 4))
        part = table.slice(start, length).combine_chunks()
        yield part.to_batches()[0] if part.num_rows else pa.RecordBatch.from_pylist([], table.schema)
        start += length


def rows_of(rows: list[int], mark: str) -> pa.Table:
    return pa.table({"text": [f"{mark}{row}" for row in rows], "row": rows}, schema=NUMBERED)


def together(batches: Iterator[pa.RecordBatch]) -> list[str]:
    return [text for batch in batches for text in batch["text"].to_pylist()]


@pytest.mark.parametrize("seed", range(30))
def test_two_ascending_streams_become_one(seed):
    rng = np.random.default_rng(seed)
    side = rng.integers(0, 3, int(rng.integers(0, 20)))  # of each row: the one, the other, or both
    one = [n for n in range(len(side)) if side[n] != 1]
    other = [n for n in range(len(side)) if side[n] != 0]
    expected = [t for n in range(len(side)) for t in (["a%d"], ["b%d"], ["a%d", "b%d"])[side[n]] for t in [t % n]]
    assert together(merged(cut(rng, rows_of(one, "a")), cut(rng, rows_of(other, "b")))) == expected


def test_a_stream_may_be_empty():
    some = rows_of([3, 5], "a").to_batches()
    assert together(merged(iter(some), iter(()))) == together(merged(iter(()), iter(some))) == ["a3", "a5"]
    assert together(merged(iter(()), iter(()))) == []


def test_rows_are_numbered_and_taken_out_by_place():
    rng = np.random.default_rng(1)
    table = pa.table({"text": list("abcdef")}, schema=TEXT)
    with_rows = list(numbered(cut(rng, table), np.array([1, 4, 5, 7, 8, 9]), NUMBERED))
    assert [n for b in with_rows for n in b["row"].to_pylist()] == [1, 4, 5, 7, 8, 9]
    assert together(without(cut(rng, table), np.array([0, 3, 4]))) == ["b", "c", "f"]
