"""Which of several equal or similar documents stays: a total order that the recipe states.

A policy is a tuple of criteria, the first one first, each the name of a measure with `-` before it where more is
better: `priority` (of the source, lower is preferred), `-chars` (longer text), `date` (earlier crawl, as the archive
recorded it), `-quality` or any other column of float64 that a stage has added. A null is least preferred. Behind the
criteria, always: id, content hash, address. So no two documents are ever tied, and no order of arrival decides.

Documents of an index (shards below zero) go before all others: they stay, whatever the policy says. Among them those of
an earlier run count as of a preferred source, so that snapshots one by one come to what all at once would.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.errors import RecipeError
from tokenmill.dedup.narrow_rows import BYTES16, Integers, column, content_hash, halves, narrow_ids

POLICY = ("priority", "-chars")  # the preferred source, then the longer text: less is lost with what is shorter
_DATE = r'"date":"(?P<date>[^"]*)"'  # in `meta`, canonical JSON
_LEAST = np.uint64(0xFFFFFFFFFFFFFFFF)


def check_policy(prefer: tuple[str, ...], step: str) -> None:
    """Raises RecipeError for a policy that is empty or names a criterion twice."""
    names = [name.removeprefix("-") for name in prefer]
    if not names or len(set(names)) < len(names) or not all(names):
        raise RecipeError(f"{step}: prefer={','.join(prefer) or 'nothing'}; want different criteria, as in {POLICY}")
    if "-priority" in prefer:
        raise RecipeError(f"{step}: prefer has -priority; a source's priority is better the lower it is: say priority")


def columns_of(prefer: tuple[str, ...]) -> pa.Schema:
    """What a batch must have for `who_is`: id, text, and what the policy asks about."""
    types = {"priority": pa.int32(), "date": pa.string()}
    named = [
        pa.field("meta" if name == "date" else name, types.get(name, pa.float64()))
        for name in (criterion.removeprefix("-") for criterion in prefer)
        if name != "chars"
    ]
    return pa.schema([("id", pa.string()), ("text", pa.large_string()), *named])


def who(prefer: tuple[str, ...]) -> pa.Schema:
    """What is remembered of a document to know it by and to prefer it: 8 bytes a criterion, and 32."""
    return pa.schema(
        [
            pa.field("prefer", pa.binary(8 * len(prefer)), nullable=False),
            pa.field("id", BYTES16, nullable=False),
            pa.field("content", BYTES16),  # null where the text is
        ]
    )


def who_is(batch: pa.RecordBatch, prefer: tuple[str, ...], step: str) -> list[pa.Array]:
    """The columns of `who` for each row. Raises DataError for an id that is not 32 hex digits."""
    keys = np.empty((batch.num_rows, len(prefer)), ">u8")
    for place, criterion in enumerate(prefer):
        keys[:, place] = _ascending(batch, criterion.removeprefix("-"), descends=criterion.startswith("-"))
    packed = pa.Array.from_buffers(pa.binary(8 * len(prefer)), batch.num_rows, [None, pa.py_buffer(keys)])
    return [packed, narrow_ids(batch["id"], step), content_hash(batch["text"])]


def recalled(rows: pa.RecordBatch, prefer: tuple[str, ...], priority: int) -> pa.RecordBatch:
    """Rows of an index, whose sources are another run's, as those of a source of this `priority` here."""
    if "priority" not in prefer:
        return rows
    at = rows.schema.get_field_index("prefer")
    keys = np.frombuffer(rows["prefer"].buffers()[1], ">u8").reshape(-1, len(prefer))
    keys = keys[rows["prefer"].offset : rows["prefer"].offset + rows.num_rows].copy()
    keys[:, prefer.index("priority")] = np.int64(priority).view(np.uint64) ^ np.uint64(1 << 63)
    packed = pa.Array.from_buffers(pa.binary(8 * len(prefer)), rows.num_rows, [None, pa.py_buffer(keys)])
    return rows.set_column(at, rows.schema.field(at), packed)


def preference(rows: pa.Table, taken: Integers) -> list[Integers]:
    """Keys for numpy.lexsort (the last one decides first) that put the rows `taken` in order of preference."""
    criteria = prefer_columns(rows["prefer"], taken)
    return [*tail_of_preference(rows, taken), *criteria[::-1], (column(rows, "shard", taken) >= 0).astype(np.uint8)]


def tail_of_preference(rows: pa.Table, taken: Integers) -> list[Integers]:
    """The criteria that are always there, for numpy.lexsort: row, shard, content hash, id."""
    return [
        column(rows, "row", taken),
        column(rows, "shard", taken),
        *halves(rows, "content", taken),
        *halves(rows, "id", taken),
    ]


def prefer_columns(packed: pa.ChunkedArray, taken: Integers) -> list[Integers]:
    """The criteria as numbers that ascend from the most preferred, one array each."""
    array = packed.combine_chunks()
    width = array.type.byte_width // 8
    numbers = np.frombuffer(array.buffers()[1] if len(array) else b"", ">u8").reshape(-1, width)
    chosen = numbers[array.offset : array.offset + len(array)][taken]
    return [chosen[:, place].astype(np.uint64) for place in range(width)]


def _ascending(batch: pa.RecordBatch, name: str, *, descends: bool) -> npt.NDArray[np.uint64]:
    """A column as unsigned numbers that ascend as it does, or descend; nulls and NaN last either way."""
    values: pa.Array
    match name:
        case "chars":
            values = pc.cast(pc.utf8_length(batch["text"]), pa.int64())
        case "date":
            found = pc.struct_field(pc.extract_regex(batch["meta"], _DATE), "date")
            digits = pc.utf8_slice_codeunits(pc.replace_substring_regex(found, "[^0-9]", ""), 0, 14)
            values = pc.cast(pc.if_else(pc.equal(digits, ""), None, pc.utf8_rpad(digits, 14, "0")), pa.int64())
        case _:
            values = batch[name]
    absent = pc.is_null(values, nan_is_null=True).to_numpy(zero_copy_only=False)
    filled: npt.NDArray[Any] = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    if filled.dtype.kind == "f":
        bits = (filled.astype(np.float64) + 0.0).view(np.uint64)  # + 0.0: -0 and 0 are one number
        sign = np.uint64(1 << 63)
        keys = np.where(bits & sign, ~bits, bits | sign)
    else:
        keys = filled.astype(np.int64).view(np.uint64) ^ np.uint64(1 << 63)
    keys = ~keys if descends else keys
    return np.where(absent, _LEAST, np.minimum(keys, _LEAST - np.uint64(1)))
