"""Where a document was read, as one number that sorts by shard, then row: 2^23 shards of up to 2^40 rows.

Shards of an index are negative: they sort before all others.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.core.barrier import ADDRESS

Addresses = npt.NDArray[np.int64]
ROW_BITS = 40


def addresses(rows: pa.Table | pa.RecordBatch, prefix: str = "") -> Addresses:
    """int64 per row of columns `shard` and `row`, or of those with `prefix` before their names."""
    shard = rows[f"{prefix}shard"].to_numpy().astype(np.int64)
    found: Addresses = (shard << ROW_BITS) + rows[f"{prefix}row"].to_numpy()
    return found


def shards_and_rows(of: Addresses) -> tuple[pa.Int32Array, pa.Int64Array]:
    """The way back."""
    return pa.array((of >> ROW_BITS).astype(np.int32)), pa.array(of & ((1 << ROW_BITS) - 1))


def is_among(of: Addresses, ascending: Addresses) -> npt.NDArray[np.bool_]:
    """For each address, whether it is one of `ascending`, which is sorted."""
    place = np.searchsorted(ascending, of)
    found = np.zeros(len(of), np.bool_)
    inside = place < len(ascending)
    found[inside] = ascending[place[inside]] == of[inside]
    return found


def by_address(table: pa.Table, *then: str) -> pa.Table:
    """`table` in one piece, ordered by shard and row, then by the columns `then`; stable."""
    names = [*ADDRESS.names, *then]
    return table.sort_by([(name, "ascending") for name in names]).combine_chunks()


def of_shard(paths: Iterable[Path], schema: pa.Schema, shard: int, *then: str) -> pa.RecordBatch:
    """The rows about one shard in files that `by_address` has ordered, by row and `then`. Memory: those rows."""
    found = [schema.empty_table()]
    for path in paths:
        table = read_whole(path)
        shards = table["shard"].to_numpy()
        first, last = np.searchsorted(shards, shard, "left"), np.searchsorted(shards, shard, "right")
        found.append(table.slice(int(first), int(last - first)))
    merged = by_address(pa.concat_tables(found), *then)
    return merged.to_batches()[0] if merged.num_rows else empty(schema)


def empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


def read_whole(path: Path) -> pa.Table:
    """An Arrow IPC file, memory-mapped."""
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def with_address(rows: pa.RecordBatch, of: Any) -> pa.RecordBatch:
    """`rows` with the address that each row of `of` has, where they lack it."""
    for name in ADDRESS.names:
        if name not in rows.schema.names:
            rows = rows.append_column(ADDRESS.field(name), of[name])
    return rows
