"""How much of one file makes a shard, and how large one record may be."""

SPLIT_BYTES = 64 << 20  # a shard: a few seconds of reading, so that one huge file keeps all workers busy
MAX_RECORD_BYTES = 64 << 20  # of a line, a record's block or a decoded body; larger ones are error rows, never held
