"""How much of one file makes a shard, and how large one record may be."""

SPLIT_BYTES = 64 << 20  # a shard: a few seconds of reading, so that one huge file keeps all workers busy
SHARDS = 20_000  # of a source, about: each costs receipts, files and rows of a plan, see docs/scale.md
MAX_RECORD_BYTES = 64 << 20  # of a line, a record's block or a decoded body; larger ones are error rows, never held


def split_growth(source_bytes: int) -> int:
    """How many times SPLIT_BYTES a shard of a source is: 1 up to 1.3 TB, then 2, 4, ... By the input alone."""
    growth = 1
    while source_bytes // (SPLIT_BYTES * growth) > SHARDS:
        growth *= 2
    return growth
