"""Rows come back by key, whole and in order, however the keys are divided."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.engines import keyed_file
from tokenmill.engines.keyed_file import KeyedFile, OrderedFile, key_range, read_keys
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


@settings(deadline=None)
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


@pytest.mark.parametrize("dtype", [np.uint64, np.int32])
@pytest.mark.parametrize("spread", [1, 2**10, 2**31 - 1])
def test_an_ordered_file_gives_each_range_whole(tmp_path, monkeypatch, dtype, spread):
    monkeypatch.setattr(keyed_file, "PIECE_BYTES", 200)
    rng = np.random.default_rng(3)
    top = spread * 2**33 if dtype == np.uint64 else spread
    keys = np.sort(rng.integers(0, top, 2000, dtype=np.uint64)).astype(dtype)
    file = HashingFile(tmp_path / "f")
    schema = pa.schema([("key", pa.from_numpy_dtype(dtype)), ("n", pa.int64())])
    ordered = OrderedFile(file, schema)
    for part in np.array_split(np.arange(2000), 7):
        shuffled = rng.permutation(part)
        ordered.write([pa.record_batch([pa.array(keys[shuffled]), pa.array(shuffled)], schema=schema)])
    ordered.close()
    file.close()
    third = top // 3
    for low, high in [(0, 1), (0, top), (third, third + 1), (third, top // 2), (top - 1, top), (top // 9, top)]:
        for place in (tmp_path / "f", pa.memory_map(str(tmp_path / "f"))):
            got = [n for batch in read_keys(place, low, high) for n in batch["n"].to_pylist()]
            assert sorted(got) == [n for n in range(2000) if low <= int(keys[n]) < high]


def test_of_an_ordered_file_few_batches_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(keyed_file, "PIECE_BYTES", 400)
    rng = np.random.default_rng(4)
    keys = np.sort(rng.integers(0, 2**64, 20_000, dtype=np.uint64))
    file = HashingFile(tmp_path / "f")
    schema = pa.schema([("key", pa.uint64())])
    ordered = OrderedFile(file, schema)
    ordered.write([pa.record_batch([pa.array(keys)], schema=schema)])
    ordered.close()
    file.close()
    size = (tmp_path / "f").stat().st_size
    read = Reads((tmp_path / "f").open("rb"))
    low, high = key_range(77, 200)
    got = sum(batch.num_rows for batch in read_keys(pa.PythonFile(read, mode="r"), low, high))
    assert got == ((keys >= low) & (keys < high)).sum()
    assert read.bytes < size / 5  # the footer, which knows each batch, and some batches around 1/200 of the rows


class Reads:
    """A file that counts what is read of it."""

    def __init__(self, file):
        self._file = file
        self.bytes = 0
        self.closed = False

    def read(self, n=-1):
        data = self._file.read(n)
        self.bytes += len(data)
        return data

    def __getattr__(self, name):
        return getattr(self._file, name)
