"""Records gathered one by one into batches of RECORD, with the ids they get.

An id is a hash of the source's name and, in this order: the record's own id; its text; its raw bytes; the
place where it was read (only a record of which nothing could be held has no more than that). What is hashed
is part of the salt, so an own id never meets a text that reads the same.
"""

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.document import RECORD
from tokenmill.kernels.hashing import hash128_hex

MAX_ROWS = 65_536  # per batch, however short the records are


@dataclass(slots=True, kw_only=True)
class Row:
    """One record. `raw` is what identifies it where it has neither an own id nor text; `place` the last resort."""

    own_id: str | None = None
    text: str | None = None
    url: str | None = None
    language: str | None = None
    meta: str | None = None
    html: bytes | None = None
    charset: str | None = None
    error: str | None = None
    raw: bytes | None = None
    place: str | None = None

    def size(self) -> int:
        """Bytes that count towards a batch; characters stand for bytes where those would have to be counted."""
        return len(self.text or "") + len(self.html or b"") + len(self.raw or b"") + len(self.meta or "")


@dataclass(slots=True)
class Rows:
    """Rows of one source, until `full`. Every text must be encodable as UTF-8: see `sound`."""

    source: str
    batch_bytes: int
    rows: list[Row] = field(default_factory=list)
    bytes: int = 0

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.bytes += row.size()

    @property
    def full(self) -> bool:
        return self.bytes >= self.batch_bytes or len(self.rows) >= MAX_ROWS

    def take(self) -> pa.RecordBatch:
        """The rows so far as RECORD; none are left."""
        rows, self.rows, self.bytes = self.rows, [], 0
        columns = {
            "text": pa.array([r.text for r in rows], pa.large_string()),
            "url": pa.array([r.url for r in rows], pa.string()),
            "language": pa.array([r.language for r in rows], pa.string()),
            "meta": pa.array([r.meta for r in rows], pa.string()),
            "html": pa.array([r.html for r in rows], pa.large_binary()),
            "charset": pa.array([r.charset for r in rows], pa.string()),
            "error": pa.array([r.error for r in rows], pa.string()),
        }
        columns["id"] = ids(
            self.source,
            own=pa.array([r.own_id for r in rows], pa.large_string()),
            text=columns["text"],
            raw=pa.array([None if r.own_id else r.raw or r.html for r in rows], pa.large_binary()),
            place=pa.array([r.place or "" for r in rows], pa.large_string()),
        )
        return record_batch(self.source, columns)


def ids(
    source: str,
    *,
    own: pa.Array | None = None,
    text: pa.Array | None = None,
    raw: pa.Array | None = None,
    place: pa.Array | None = None,
) -> pa.StringArray:
    """32 hex digits per row from the first of own id, text, raw bytes and place that is not null."""
    found: pa.StringArray | None = None
    for kind, values in (("id", own), ("text", text), ("bytes", raw), ("place", place)):
        if values is None or (found is not None and not found.null_count):
            continue
        if found is not None:  # what has an id already need not be hashed
            values = pc.if_else(pc.is_null(found), values, pa.scalar(None, values.type))
        hashed = hash128_hex(values, f"{kind}:{source}")
        found = hashed if found is None else pc.coalesce(found, hashed)
    return found


def record_batch(source: str, columns: dict[str, pa.Array]) -> pa.RecordBatch:
    """RECORD from the columns there are; absent ones are null, and `source` is the same in every row."""
    n = len(columns["id"])
    given = {"source": pa.repeat(pa.scalar(source, pa.string()), n), **columns}
    return pa.RecordBatch.from_arrays([given.get(f.name, pa.nulls(n, f.type)) for f in RECORD], schema=RECORD)


def sound(text: str | None) -> str | None:
    """`text` with lone surrogates, which no UTF-8 can hold, replaced by U+FFFD."""
    if text is None or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
