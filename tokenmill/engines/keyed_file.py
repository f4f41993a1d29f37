"""Narrow rows on disk, found again by key: what a barrier moves between tasks.

An Arrow IPC file, uncompressed and read through the page cache. Each batch is sorted by the column `key`
(uint64 or int32), so a reader finds a range of keys by binary search in each batch. The writer needs
the memory of one batch and no knowledge of how the keys will be divided.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from tokenmill.manifests.hashing_file import HashingFile


class KeyedFile:
    """Writes batches of one schema, each sorted by `key` (stable: rows of one key keep their order)."""

    def __init__(self, file: HashingFile, schema: pa.Schema) -> None:
        self._writer = pa.ipc.new_file(file, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            order = np.argsort(batch["key"].to_numpy(), kind="stable")
            self._writer.write_batch(batch.take(pa.array(order)))

    def close(self) -> None:
        self._writer.close()


def read_keys(path: Path, low: int, high: int) -> Iterator[pa.RecordBatch]:
    """The rows of `path` with low <= key < high, batch by batch; memory-mapped."""
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
