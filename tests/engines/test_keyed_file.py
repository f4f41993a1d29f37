"""Rows come back by key, whole and in order, however the keys are divided."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmill.engines.keyed_file import KeyedFile, key_range, read_keys
from tokenmill.manifests.hashing_file import HashingFile

KEYS = st.lists(
    st.lists(st.sampled_from([0, 1, 2**32, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1), max_size=6), max_size=4
)


def write(path: Path, batches: list[list[int]]) -> list[tuple[int, int]]:
    rows, schema = [], pa.schema([("key", pa.uint64()), ("n", pa.int64())])
    with HashingFile(path) as file:
        keyed = KeyedFile(file, schema)
        for keys in batches:
            numbers = range(len(rows), len(rows) + len(keys))
            rows += list(zip(keys, numbers, strict=True))
            keyed.write(
                pa.RecordBatch.from_arrays([pa.array(keys, pa.uint64()), pa.array(numbers, pa.int64())], schema=schema)
            )
        keyed.close()
    return rows


@given(batches=KEYS, of=st.integers(1, 5))
def test_the_ranges_together_give_every_row_once(tmp_path_factory, batches, of):
    path = tmp_path_factory.mktemp("keyed") / "f.arrow"
    rows = write(path, batches)
    found = [
        (key, n)
        for number in range(of)
        for batch in read_keys(path, *key_range(number, of))
        for key, n in zip(batch["key"].to_pylist(), batch["n"].to_pylist(), strict=True)
    ]
    assert sorted(found) == sorted(rows)


def test_rows_of_one_key_keep_their_order(tmp_path):
    write(tmp_path / "f.arrow", [[5, 1, 5, 5]])
    (batch,) = read_keys(tmp_path / "f.arrow", 5, 6)
    assert batch["n"].to_pylist() == [0, 2, 3]


@pytest.mark.parametrize("of", [1, 2, 3, 1000])
def test_ranges_meet_without_gap_or_overlap(of):
    ranges = [key_range(n, of) for n in range(of)]
    assert ranges[0][0] == 0 and ranges[-1][1] == 2**64
    assert all(left[1] == right[0] for left, right in pairwise(ranges))


def test_a_signed_key_works_too(tmp_path):
    schema = pa.schema([("key", pa.int32())])
    with HashingFile(tmp_path / "f") as file:
        keyed = KeyedFile(file, schema)
        keyed.write(pa.record_batch([pa.array(np.array([3, 1, 2, 1], np.int32))], schema=schema))
        keyed.close()
    assert [b["key"].to_pylist() for b in read_keys(tmp_path / "f", 1, 2)] == [[1, 1]]
