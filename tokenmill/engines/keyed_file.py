"""Narrow rows on disk, found again by key: what a barrier moves between tasks.

An Arrow IPC file, uncompressed and read through the page cache. Each batch is sorted by the column `key`
(uint64 or int32), so a reader finds a range of keys by binary search in each batch. The writer gathers rows until
they make a run of RUN_BYTES, so that a reader's ranges are long; it needs no knowledge of how the keys will be divided.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from tokenmill.manifests.hashing_file import HashingFile

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


def read_keys(path: Path, low: int, high: int) -> Iterator[pa.RecordBatch]:
    """The rows of `path` with low <= key < high, run by run; memory-mapped."""
    with pa.memory_map(str(path)) as file:
        reader = pa.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            keys = batch["key"].to_numpy()
            first = int(np.searchsorted(keys, np.array(low, keys.dtype), side="left"))
            # `high` may be one beyond what the type holds: then the rest belongs to the range.
            beyond = high > np.iinfo(keys.dtype).max
            last = len(keys) if beyond else int(np.searchsorted(keys, np.array(high, keys.dtype), side="left"))
            if last > first:
                yield batch.slice(first, last - first)


def key_range(number: int, of: int) -> tuple[int, int]:
    """The `number`-th of `of` equal ranges of uint64 keys, as [low, high)."""
    return (number << 64) // of, ((number + 1) << 64) // of
