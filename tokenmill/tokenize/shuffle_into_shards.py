"""Shuffle documents into shards for training and shards held out, by hash of the id.

Where a document goes and where it lies there depend on its id and the seed alone, so the shards are the same on any
engine and however the input was cut. Shards are not equal in size: with K of them, each holds about 1/K of the
documents, within a few per cent for thousands of documents a shard.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.barrier import ADDRESS, Regroup
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.kernels.hashing import hash64
from tokenmill.tokenize.holdout import check_share, in_holdout


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleIntoShards(Regroup):
    """Groups train-00000... and holdout-00000..., each of about `tokens_per_shard` tokens."""

    name: ClassVar[str] = "shuffle_into_shards"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("id", pa.string()), *ADDRESS])
    wants: ClassVar[str | None] = "count_tokens"

    seed: int = 0
    holdout: float = 0.0  # share of documents, 0..1, by id alone: no seed moves a document across this line
    tokens_per_shard: int = 2**28  # half a gigabyte as uint16: 32,766 such shards hold 8.8 trillion tokens

    def __post_init__(self) -> None:
        check_share(self.name, self.holdout)
        if self.tokens_per_shard < 1:
            raise RecipeError(f"{self.name}: tokens_per_shard={self.tokens_per_shard}, want at least 1")

    def groups(self, summary: pa.Table | None) -> list[str]:
        train, held = self._counts(summary)
        return [f"train-{i:05}" for i in range(train)] + [f"holdout-{i:05}" for i in range(held)]

    def assign(self, batch: pa.RecordBatch, summary: pa.Table | None) -> pa.Int32Array:
        train, held = self._counts(summary)
        is_held = in_holdout(batch["id"], self.holdout).to_numpy(zero_copy_only=False)
        hashes = hash64(batch["id"], f"shard:{self.seed}").to_numpy()
        group = hashes % np.uint64(max(train, 1))
        group[is_held] = np.uint64(train) + hashes[is_held] % np.uint64(max(held, 1))
        return pa.array(group.astype(np.int32))

    def arrange(self, rows: pa.Table) -> pa.Int64Array:
        ids = rows["id"].combine_chunks()
        keys = pa.table(
            {"order": hash64(ids, f"order:{self.seed}"), "id": ids, "shard": rows["shard"], "row": rows["row"]}
        )
        # The address comes last: copies without ids of their own share an id, never an address.
        return pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names]).cast(pa.int64())

    def _counts(self, summary: pa.Table | None) -> tuple[int, int]:
        """How many shards, for training and held out."""
        if summary is None:
            raise RecipeError(f"{self.name}: no summary {self.wants}; put CountTokens before it")
        (shares,) = {tuple(summary["holdout"].to_pylist())}
        if set(shares) != {self.holdout}:
            raise RecipeError(
                f"{self.name}: holdout={self.holdout}, but {self.wants} has holdout={shares[0]}; set both to one share"
            )
        documents, tokens = summary["documents"].to_pylist(), summary["tokens"].to_pylist()
        if documents[1] and not documents[0]:
            raise DataError(
                f"{self.name}: all {documents[1]:,} documents fall into the hold-out ({self.holdout:.2%}) and none is "
                "left for training; lower --holdout (0 holds out nothing) or give more documents"
            )
        shards = [max(-(-t // self.tokens_per_shard), 1) if d else 0 for d, t in zip(documents, tokens, strict=True)]
        return shards[0], shards[1]
