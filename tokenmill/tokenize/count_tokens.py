"""Count documents and tokens, for training and held out: what decides the number of shards."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.barrier import Summary
from tokenmill.core.document import TOKENS
from tokenmill.tokenize.holdout import check_share, in_holdout

COUNTS = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),  # "train" and "holdout", one row each, in this order
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("holdout", pa.float64(), nullable=False),  # the share that decided which is which
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountTokens(Summary):
    """A table of two rows, COUNTS. `holdout` must be that of ShuffleIntoShards, which checks it."""

    name: ClassVar[str] = "count_tokens"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("id", pa.string()), TOKENS])

    holdout: float = 0.0  # share of documents, 0..1

    def __post_init__(self) -> None:
        check_share(self.name, self.holdout)

    def observe(self, batch: pa.RecordBatch) -> pa.Table:
        held = in_holdout(batch["id"], self.holdout).to_numpy(zero_copy_only=False)
        tokens = pc.fill_null(batch["tokens"], 0).to_numpy()
        return self._table([np.sum(~held), np.sum(held)], [tokens[~held].sum(), tokens[held].sum()])

    def merge(self, parts: pa.Table) -> pa.Table:
        if not parts.num_rows:
            return self._table([0, 0], [0, 0])
        rows = [parts.filter(pc.equal(parts["split"], split)) for split in ("train", "holdout")]
        return self._table(*([pc.sum(r[name]).as_py() or 0 for r in rows] for name in ("documents", "tokens")))

    def _table(self, documents: list[int], tokens: list[int]) -> pa.Table:
        columns = [["train", "holdout"], [int(n) for n in documents], [int(n) for n in tokens], [self.holdout] * 2]
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, COUNTS, strict=True)], schema=COUNTS)
