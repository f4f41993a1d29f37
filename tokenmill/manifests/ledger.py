"""The ledger: one row per document ever seen, with its one fate and the evidence."""

from typing import Final

import pyarrow as pa

KEPT: Final = "kept"
DROPPED: Final = "dropped"
DUPLICATE: Final = "duplicate"
ERROR: Final = "error"

# spans/<shard>.<barrier>.parquet: what was cut out of documents, and whose copy stays.
SPAN_EVIDENCE = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),  # bytes of the UTF-8 text as it was before, [start, stop)
        pa.field("stop", pa.int64(), nullable=False),
        pa.field("keeper", pa.string(), nullable=False),
        pa.field("keeper_shard", pa.string(), nullable=False),
        pa.field("keeper_row", pa.int64(), nullable=False),
        pa.field("occurrences", pa.int64(), nullable=False),  # the one that stays included
    ]
)

LEDGER = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),  # where it was read: with `row`, the key
        pa.field("row", pa.int64(), nullable=False),
        pa.field("fate", pa.string(), nullable=False),  # kept, dropped, duplicate or error
        pa.field("stage", pa.string()),  # the step that decided; null for a kept document
        pa.field("rule", pa.string()),  # the rule, or for an error its reason
        pa.field("value", pa.float64()),  # the measure that failed, and
        pa.field("bound", pa.float64()),  # the bound it failed against
        pa.field("keeper", pa.string()),  # for a duplicate: id and address of the document kept for it,
        pa.field("keeper_shard", pa.string()),
        pa.field("keeper_row", pa.int64()),
        pa.field("similarity", pa.float32()),  # and how similar the two were measured to be, 0..1
        pa.field("band", pa.int32()),  # the LSH band that proposed the pair, where one did
        pa.field("parent", pa.string()),  # id of the document this one was made from
        pa.field("chars_in", pa.int64(), nullable=False),  # code points of the text when it was read or extracted
        pa.field("chars_out", pa.int64(), nullable=False),  # code points kept; 0 unless kept
        pa.field("tokens", pa.int64()),  # ids written, end of document included; null where none were
    ]
)
