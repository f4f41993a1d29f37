"""The rows of a shard's files as streams of batches, so that a file is never held whole."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tokenmill.engines.address import is_among
from tokenmill.manifests.parquet_file import conform

Batches = Iterator[pa.RecordBatch]
Places = npt.NDArray[np.int64]


def read_rows(path: Path, columns: list[str] | None = None) -> Batches:
    """Row group by row group: as a batch may span some, a number of rows bounds nothing where texts are long."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield from file.iter_batches(row_groups=[group], columns=columns)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([c.combine_chunks() for c in table.columns], schema=table.schema)


def without(batches: Batches, places: Places) -> Batches:
    start = 0
    for batch in batches:
        rest = batch.filter(pa.array(~is_among(np.arange(start, start + batch.num_rows), places)))
        start += batch.num_rows
        if rest.num_rows:
            yield rest


def numbered(batches: Batches, rows: Places, schema: pa.Schema) -> Batches:
    """Each with its part of `rows` as the column `row`."""
    start = 0
    for batch in batches:
        mine = pa.array(rows[start : start + batch.num_rows])
        start += batch.num_rows
        yield conform(batch.append_column("row", mine), schema)


def merged(one: Batches, other: Batches) -> Batches:
    """Both, each ascending by `row`, as one. Rows of the same number keep their order."""
    a, b = next(one, None), next(other, None)
    while a is not None and b is not None:
        if not a.num_rows or not b.num_rows:
            a, b = (a if a.num_rows else next(one, None)), (b if b.num_rows else next(other, None))
            continue
        rows, others = a["row"].to_numpy(), b["row"].to_numpy()
        settled = min(rows[-1], others[-1])
        n, m = int(np.searchsorted(rows, settled, "right")), int(np.searchsorted(others, settled, "right"))
        both = pa.Table.from_batches([a.slice(0, n), b.slice(0, m)])
        order = np.argsort(both["row"].to_numpy(), kind="stable")
        yield one_batch(both.take(pa.array(order)))
        a, b = a.slice(n), b.slice(m)
    yield from (batch for batch in (a, b) if batch is not None and batch.num_rows)
    yield from one
    yield from other
