"""Keep one of each set of documents with the same text, byte for byte.

The kept one is first by (priority, id, content hash, shard, row): the preferred source, then a choice that
depends on the documents alone. Documents with empty text are equal to each other, so one of them stays. A null
text is no text: it is compared with nothing and never removed here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import Verdict
from tokenmill.dedup.narrow_rows import (
    BYTES16,
    column,
    content_hash,
    first_half,
    halves,
    narrow_ids,
    tail_of_preference,
    verdicts,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactDedup(Verdict):
    """Emits 44 bytes per document; `decide` needs about 100 bytes per row, and 80 more per row that has a twin."""

    name: ClassVar[str] = "exact_dedup"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("id", pa.string()), ("text", pa.large_string()), ("priority", pa.int32())])
    emits: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("key", pa.uint64(), nullable=False),  # first half of `content`; of `id` where the text is null
            pa.field("content", BYTES16),
            pa.field("priority", pa.int32(), nullable=False),
            pa.field("id", BYTES16, nullable=False),
        ]
    )

    def emit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        content = content_hash(batch["text"])
        ids = narrow_ids(batch["id"], self.name)
        # Documents without text meet nobody: their keys are spread so that no partition gets them all.
        null = batch["text"].is_null().to_numpy(zero_copy_only=False)
        key = np.where(null, first_half(ids), first_half(content))
        return pa.record_batch([pa.array(key), content, batch["priority"], ids], schema=self.emits)

    def decide(self, rows: pa.Table) -> tuple[pa.Table, Mapping[str, int]]:
        """Counts: `sets` of equal documents, from each of which one stays."""
        some = _with_equal_keys(rows)
        order = np.lexsort(
            [*tail_of_preference(rows, some), column(rows, "priority", some), *halves(rows, "content", some)]
        )
        some = some[order]
        second, first = halves(rows, "content", some)
        begins = np.ones(len(some), np.bool_)
        begins[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        set_of = np.cumsum(begins) - 1
        keepers = some[begins][set_of[~begins]]
        removed = some[~begins]
        table = verdicts(rows, removed, keepers, np.ones(len(removed), np.float32))
        return table, {"sets": len(np.unique(keepers))}


def _with_equal_keys(rows: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Rows with text whose key another one has: a superset of those with twins, found by one sort of numbers."""
    some = np.flatnonzero(rows["content"].is_valid().to_numpy())
    keys = column(rows, "key", some)
    order = np.argsort(keys)
    keys = keys[order]
    same = keys[1:] == keys[:-1]
    twin = np.zeros(len(keys), np.bool_)
    twin[1:] |= same
    twin[:-1] |= same
    found: np.ndarray[tuple[int], np.dtype[np.int64]] = some[order[twin]]
    return found
