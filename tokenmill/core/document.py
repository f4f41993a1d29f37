"""The columns of a document: as a reader yields it, while it travels, and as it is written.

A document is known by two things. Its `id` (32 hex digits) follows the record wherever its file lies.
Its address (`shard`, `row`) says where this run read it, and keys its ledger row: exact copies without
ids of their own share an id, never an address.
"""

import pyarrow as pa

# What a finished run writes under documents/ and dropped/, before whatever stages add.
DOCUMENT = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.large_string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("language", pa.string()),
        pa.field("meta", pa.string()),  # a JSON object: the record's other fields
    ]
)

# What a reader yields: a document that may still be HTML, or may have failed to read.
RECORD = pa.schema(
    [
        *DOCUMENT,
        pa.field("html", pa.large_binary()),  # the body, where the record is a web page and has no text yet
        pa.field("charset", pa.string()),  # as the protocol declared it, for `html`
        pa.field("error", pa.string()),  # why this record could not be read; null for a good one
    ]
)

# What the engine adds for the journey, and takes off before documents are written.
TRAVELLING = pa.schema(
    [
        pa.field("shard", pa.int32(), nullable=False),  # index of the shard that read it, in the plan's order
        pa.field("row", pa.int64(), nullable=False),  # 0, 1, ... in the order of reading within the shard
        pa.field("priority", pa.int32(), nullable=False),  # of the source; lower is preferred
        pa.field("chars_in", pa.int64()),  # characters of the text when the document first had one; null before
    ]
)


# What the engine adds for a recipe's format: the name of the shard that read the document, as in the ledger.
SHARD_NAME = pa.field("shard_name", pa.string(), nullable=False)

INTERNAL = frozenset({"html", "charset", "error", SHARD_NAME.name, *TRAVELLING.names})

# A column that a tokenizing stage adds: ids written for the document, EOD included. The ledger copies it.
TOKENS = pa.field("tokens", pa.int64())

BATCH_BYTES = 8 << 20  # text and HTML per batch: small beside a worker's memory, large beside Python's overhead
