"""Narrow rows on disk, found again by key: what a barrier moves between tasks.

An Arrow IPC file, uncompressed and read through the page cache. Each batch is sorted by the column `key`
(uint64 or int32), so a reader finds a range of keys by binary search in each batch. The writer gathers rows until
they make a run of RUN_BYTES, so that a reader's ranges are long; it needs no knowledge of how the keys will be divided.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from tokenmill.manifests.hashing_file import HashingFile

ORDERED = {b"tokenmill.keys": b"ordered"}  # in a file's schema: no batch begins below the end of the one before
PIECE_BYTES = 1 << 20
RUN_BYTES = 32 << 20  # of rows sorted at once: a thousandth of it is still 32 kB, a read worth its seek


class KeyedFile:
    """Writes batches of one schema in runs sorted by `key` (stable: rows of one key keep their order).

    Memory: RUN_BYTES and a batch, twice while a run is sorted.
    """

    def __init__(self, file: HashingFile, schema: pa.Schema) -> None:
        self._writer = pa.ipc.new_file(file, schema)
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            self._waiting.append(batch.select(self._schema.names))
            self._waiting_bytes += batch.nbytes
            if self._waiting_bytes >= RUN_BYTES:
                self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            run = pa.concat_batches(self._waiting)
            self._waiting, self._waiting_bytes = [], 0
            order = np.argsort(run["key"].to_numpy(), kind="stable")
            self._writer.write_batch(run.take(pa.array(order)))


class OrderedFile:
    """Rows with keys that ascend from batch to batch, in batches of PIECE_BYTES: a range is some whole ones."""

    def __init__(self, file: HashingFile, schema: pa.Schema) -> None:
        self._writer = pa.ipc.new_file(file, schema.with_metadata(ORDERED))
        self._schema = schema

    def write(self, batches: list[pa.RecordBatch]) -> None:
        """All rows of one range of keys, above those before. Memory: them, twice."""
        run = pa.concat_batches([batch.select(self._schema.names) for batch in batches])
        run = run.take(pa.array(np.argsort(run["key"].to_numpy(), kind="stable")))
        rows = max(1, run.num_rows * PIECE_BYTES // max(1, run.nbytes))
        for start in range(0, run.num_rows, rows):
            self._writer.write_batch(run.slice(start, rows))

    def close(self) -> None:
        self._writer.close()


class KeyedReader:
    """Finds ranges of keys in a file of either kind; a path is memory-mapped, a file is read where they are."""

    def __init__(self, place: Path | pa.NativeFile) -> None:
        self._file = pa.memory_map(str(place)) if isinstance(place, Path) else place
        self._reader = pa.ipc.open_file(self._file)
        metadata = self._reader.schema.metadata or {}
        self._ordered = ORDERED.items() <= metadata.items()

    def between(self, low: int, high: int) -> Iterator[pa.RecordBatch]:
        """The rows with low <= key < high, batch by batch."""
        reader = self._reader
        for number in range(_first_that_reaches(reader, low) if self._ordered else 0, reader.num_record_batches):
            batch = reader.get_batch(number)
            keys = batch["key"].to_numpy()
            if self._ordered and len(keys) and int(keys[0]) >= high:
                return
            first = int(np.searchsorted(keys, np.array(low, keys.dtype), side="left"))
            # `high` may be one beyond what the type holds: then the rest belongs to the range.
            beyond = high > np.iinfo(keys.dtype).max
            last = len(keys) if beyond else int(np.searchsorted(keys, np.array(high, keys.dtype), side="left"))
            if last > first:
                yield batch.slice(first, last - first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_keys(place: Path | pa.NativeFile, low: int, high: int) -> Iterator[pa.RecordBatch]:
    """The rows of one file with low <= key < high."""
    with KeyedReader(place) as reader:
        yield from reader.between(low, high)


def _first_that_reaches(reader: pa.ipc.RecordBatchFileReader, low: int) -> int:
    """The first batch of an ordered file whose last key is `low` or above.

    Keys are spread evenly, so it is looked for first where it would then be: a batch may be a request.
    """
    n: int = reader.num_record_batches
    if n == 0:
        return 0

    def last_key(number: int) -> int:
        return int(reader.get_batch(number)["key"][-1].as_py())

    def reaches(number: int) -> bool:
        return last_key(number) >= low

    dtype = reader.schema.field("key").type.to_pandas_dtype()
    top = int(np.iinfo(dtype).max) if dtype == np.uint64 else last_key(n - 1) + 1
    below, above = -1, n  # `below` does not reach, `above` does
    probe, step = min(n - 1, low * n // max(1, top)), 1
    while above - below > 1:
        if reaches(probe):
            above, probe = probe, max(below + 1, probe - step)
        else:
            below, probe = probe, min(above - 1, probe + step)
        step *= 2
        if not below < probe < above:
            probe = (below + above) // 2
    return above


def key_range(number: int, of: int) -> tuple[int, int]:
    """The `number`-th of `of` equal ranges of uint64 keys, as [low, high)."""
    return (number << 64) // of, ((number + 1) << 64) // of
