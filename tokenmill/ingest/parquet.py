"""Parquet to documents: row groups are read in batches, and what is not a column of ours goes to `meta`."""

import math
from collections.abc import Iterator
from datetime import date, time
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tokenmill.core.document import DOCUMENT
from tokenmill.core.errors import DataError
from tokenmill.core.source import Chunk, File, Split
from tokenmill.core.step import canonical_json
from tokenmill.ingest.limits import SPLIT_BYTES
from tokenmill.ingest.rows import ids, record_batch

MAGIC = b"PAR1"
BATCH_ROWS = 16_384  # at most; fewer where the rows of a group are long


def splits(file: File, stream: BinaryIO, keeps_ids: bool, growth: int = 1) -> list[Split]:
    """Runs of row groups of at least SPLIT_BYTES times `growth`, uncompressed; a file without rows is one empty split.

    Raises DataError for a file that is no Parquet, or has no column `text` of strings, or a name twice.
    """
    try:
        metadata = pq.read_metadata(stream)
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = _first_line(error)
        raise DataError(f"{file.name}: no readable Parquet file ({reason}); restore it or leave it out") from error
    columns = ", ".join(f"{f.name}: {f.type}" for f in schema)
    if "text" not in schema.names:
        raise DataError(
            f"{file.name}: no column text among ({columns}); want one of strings; rename the one that is it"
        )
    if not _is_string(schema.field("text").type):
        raise DataError(f"{file.name}: text is {schema.field('text').type}, want string; cast that column")
    if len(set(schema.names)) < len(schema.names):
        raise DataError(f"{file.name}: two columns of one name among ({columns}); rename one")
    if keeps_ids and (absent := [name for name in DOCUMENT.names if name not in schema.names]):
        raise DataError(f"{file.name}: no {', '.join(absent)} among ({columns}); want the documents of a run")
    cuts: list[Split] = []
    start = size = 0
    for group in range(metadata.num_row_groups):
        size += max(metadata.row_group(group).total_byte_size, 0)  # damaged footers have held less
        if size >= SPLIT_BYTES * growth or group == metadata.num_row_groups - 1:
            cuts.append(Split(file=file, start=start, stop=group + 1, bytes=size))
            start, size = group + 1, 0
    return cuts or [Split(file=file, start=0, stop=0, bytes=0)]


def read(split: Split, stream: BinaryIO, source: str, batch_bytes: int, keeps_ids: bool) -> Iterator[Chunk]:
    """The rows of the split's row groups. What is left of an unreadable group is one error row."""
    position, empty = 0, True
    try:
        # A buffer of its own per column: else whole column chunks are held, however large the row group.
        file = pq.ParquetFile(stream, buffer_size=1 << 20, page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        yield Chunk(records=_unreadable(f"unreadable file: {_first_line(error)}", split, split.start, source))
        return
    columns = DOCUMENT.names if keeps_ids else None
    for group in range(split.start, split.stop):
        about = file.metadata.row_group(group)
        size = max(about.total_byte_size, 0)
        row_bytes = size // max(about.num_rows, 1) + 1
        rows = min(max(batch_bytes // row_bytes, 1), BATCH_ROWS)
        done = 0
        try:
            for batch in file.iter_batches(rows, [group], columns, use_threads=False):
                done += batch.num_rows
                here = min(position + size * done // max(about.num_rows, 1), split.bytes)
                for part in _sized(batch, batch_bytes):
                    yield Chunk(records=_records(part, source, keeps_ids), position=here)
                    empty = False
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = f"unreadable row group {group} from row {done} on: {_first_line(error)}"
            yield Chunk(records=_unreadable(reason, split, group, source), position=position)
            empty = False
        position = min(position + size, split.bytes)
    if empty:
        yield Chunk(records=_records(pa.RecordBatch.from_pylist([], file.schema_arrow), source, keeps_ids))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _is_string(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _sized(batch: pa.RecordBatch, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Halves of halves until each is about `batch_bytes`: row groups say only the mean length of a row."""
    if batch.num_rows < 2 or batch.nbytes <= 2 * batch_bytes:
        yield batch
        return
    middle = batch.num_rows // 2
    yield from _sized(batch.slice(0, middle), batch_bytes)
    yield from _sized(batch.slice(middle), batch_bytes)


def _unreadable(reason: str, split: Split, group: int, source: str) -> pa.RecordBatch:
    place = pa.array([f"{split.file.name}\0{group}"], pa.large_string())
    return record_batch(source, {"id": ids(source, place=place), "error": pa.array([reason], pa.string())})


def _records(batch: pa.RecordBatch, source: str, keeps_ids: bool) -> pa.RecordBatch:
    """`batch` as RECORD. Rows without text, or with text that is not UTF-8, are error rows."""
    n = batch.num_rows
    text, wrong = _utf8(pc.cast(batch["text"], pa.large_string(), safe=False))
    error = pc.if_else(pc.is_null(text), "text is null", pa.scalar(None, pa.string()))
    if wrong is not None:
        error = pc.if_else(wrong, "invalid UTF-8", error)
    columns: dict[str, pa.Array] = {"text": text, "error": error}
    for name in ("url", "language"):
        if name in batch.schema.names and _is_string(batch.schema.field(name).type):
            columns[name] = _utf8(pc.cast(batch[name], pa.string()))[0]
    if "language" in columns:
        columns["language"] = pc.if_else(pc.is_null(error), columns["language"], pa.scalar(None, pa.string()))
    if keeps_ids:
        kept = {name: _utf8(pc.cast(batch[name], pa.string()))[0] for name in ("id", "source", "meta")}
        return record_batch(source, columns | kept)
    own = None
    if "id" in batch.schema.names and _is_id(batch.schema.field("id").type):
        own = _utf8(pc.cast(pc.cast(batch["id"], pa.string()), pa.large_string()))[0]
    others = batch.select([f for f in batch.schema.names if f not in columns and not (f == "id" and own is not None)])
    columns["meta"] = _meta(others) if others.num_columns else pa.nulls(n, pa.string())
    # A row without text is told from others by what else it holds.
    raw = pc.cast(columns["meta"], pa.large_binary())
    columns["id"] = ids(source, own=own, text=text, raw=raw, place=pa.repeat(pa.scalar("", pa.large_string()), n))
    return record_batch(source, columns)


def _is_id(kind: pa.DataType) -> bool:
    return _is_string(kind) or pa.types.is_integer(kind)


def _utf8(values: pa.Array) -> tuple[pa.Array, pa.BooleanArray | None]:
    """`values` with null for what is not UTF-8, and where that was; Parquet files may hold any bytes as strings."""
    try:
        values.validate(full=True)
        return values, None
    except pa.ArrowInvalid:
        pass
    raw = pc.cast(values, pa.large_binary()).to_pylist()
    wrong = [value is not None and not _is_utf8(value) for value in raw]
    good = [None if bad else value for value, bad in zip(raw, wrong, strict=True)]
    return pc.cast(pa.array(good, pa.large_binary()), values.type), pa.array(wrong)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _meta(batch: pa.RecordBatch) -> pa.StringArray:
    """Each row as a JSON object without its nulls; null where nothing is left."""
    columns = [_values(column) for column in batch.columns]
    metas: list[str | None] = []
    for row in zip(*columns, strict=True):
        record = {name: value for name, value in zip(batch.schema.names, row, strict=True) if value is not None}
        if not record:
            metas.append(None)
            continue
        try:
            metas.append(canonical_json(record))
        except (TypeError, ValueError):
            metas.append(canonical_json(_jsonable(record)))
    return pa.array(metas, pa.string())


def _values(column: pa.Array) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
        return values
    except (ValueError, pa.ArrowException):  # not UTF-8, or a time that Python cannot hold
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, pa.ArrowException):
        return None


def _jsonable(value: Any) -> Any:
    """JSON's nearest for what JSON lacks: text for times, decimals and bytes, null for NaN and infinities."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return value.decode(errors="backslashreplace")
        case dict():
            return {str(key): _jsonable(v) for key, v in value.items()}
        case list() | tuple():
            return [_jsonable(v) for v in value]
        case date() | time():  # datetime is a date
            return value.isoformat()
        case _:
            return str(value)
