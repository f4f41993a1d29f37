"""The first round of fuzzy_dedup: who shares a band with whom, by rows of 20 bytes."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.barrier import ADDRESS, LINKS, Reduced, Round
from tokenmill.dedup.narrow_rows import column, matrix
from tokenmill.kernels.lsh_buckets import band_keys
from tokenmill.kernels.union_find import components

_ROW_BITS = 40  # shard and row as one number, for the time of one call


class Bands(Round):
    """Documents without text emit nothing. Each key links its documents in a star, however many there are."""

    name: ClassVar[str] = "bands"
    emits: pa.Schema = pa.schema([pa.field("key", pa.uint64(), nullable=False)])
    links: ClassVar[bool] = True

    def __init__(self, bands: int, hashes: int) -> None:
        self._bands = bands
        self._hashes = hashes

    def emit(
        self, kept: pa.RecordBatch, documents: pa.RecordBatch | None, told: pa.RecordBatch | None
    ) -> pa.RecordBatch:
        kept = kept.filter(pc.is_valid(kept["content"]))
        keys = band_keys(matrix(kept["signature"], self._hashes), self._bands)
        shard, row = (np.repeat(kept[name].to_numpy(), self._bands) for name in ADDRESS.names)
        return pa.record_batch([keys.ravel(), shard, row], schema=pa.schema([*self.emits, *ADDRESS]))

    def reduce(self, rows: pa.Table) -> Reduced:
        """Sorts 20 bytes a row; gives a spanning forest of the range's buckets: at most one link for each document.

        Counts: bands that are `shared` by two documents or more.
        """
        keys = column(rows, "key")
        order = np.argsort(keys)
        keys = keys[order]
        same = keys[1:] == keys[:-1]
        shared = np.zeros(len(keys), np.bool_)  # a twentieth of the rows, as a rule: the others are done with here
        shared[1:] |= same
        shared[:-1] |= same
        keys, order = keys[shared], order[shared]
        address = (column(rows, "shard", order).astype(np.int64) << _ROW_BITS) + column(rows, "row", order)
        first = np.flatnonzero(np.concatenate((np.ones(min(1, len(keys)), np.bool_), keys[1:] != keys[:-1])))
        heads = np.repeat(address[first], np.diff(np.append(first, len(keys))))
        nodes, roots = components(heads, address)
        away = nodes != roots
        sides = [(side >> _ROW_BITS, side & ((1 << _ROW_BITS) - 1)) for side in (nodes[away], roots[away])]
        columns = [part.astype(kind) for side in sides for part, kind in zip(side, (np.int32, np.int64), strict=True)]
        return Reduced(links=pa.table(columns, schema=LINKS), counts={"shared": len(first)})
