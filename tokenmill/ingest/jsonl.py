"""JSON lines to documents: one bad line costs itself, and nothing is guessed.

Python's parser, one line at a time: exact numbers for `meta`, and errors that stay with their line.
"""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from tokenmill.core.errors import DataError
from tokenmill.core.source import Chunk, File, Split
from tokenmill.core.step import canonical_json
from tokenmill.ingest.limits import MAX_RECORD_BYTES, SPLIT_BYTES
from tokenmill.ingest.lines import lines
from tokenmill.ingest.pieces import Piece, gzip_members, plain, zstd_frames
from tokenmill.ingest.rows import Row, Rows

BOM = b"\xef\xbb\xbf"


def splits(file: File, head: bytes, compression: str, growth: int = 1) -> list[Split]:
    """Ranges of a plain file, of SPLIT_BYTES times `growth`; one split for a compressed one.

    `head`: its first bytes, decompressed.
    Raises DataError for a JSON array.
    """
    if head.removeprefix(BOM).lstrip()[:1] == b"[":
        raise DataError(f"{file.name}: holds a JSON array, want one object per line; convert it, say by jq -c '.[]'")
    if compression:
        return [Split(file=file, start=0, stop=file.size, bytes=file.size)]
    starts = range(0, max(file.size, 1), SPLIT_BYTES * growth)
    stops = [*starts[1:], file.size]
    return [
        Split(file=file, start=start, stop=stop, bytes=stop - start) for start, stop in zip(starts, stops, strict=True)
    ]


def read(split: Split, stream: BinaryIO, compression: str, source: str, batch_bytes: int) -> Iterator[Chunk]:
    """The lines that begin in the split. A blank line is no record."""
    start, stop = split.start, None
    pieces: Iterator[Piece]
    match compression:
        case "gz":
            pieces = gzip_members(stream, 0, None)
        case "zst":
            pieces = zstd_frames(stream)
        case _:
            start, stop = _line_start(stream, split.start), split.stop
            pieces = plain(stream, start) if start < stop else iter(())
    rows = Rows(source, batch_bytes)
    position = 0
    for part in lines(pieces, start, batch_bytes, stop):
        position = min(part.position - split.start, split.bytes)
        if part.oversize is not None:
            rows.add(_oversize(part.oversize, split.file, part.start))
        elif part.damage is not None:
            rows.add(Row(error=part.damage, place=f"{split.file.name}\0{part.start}"))
        for line in _decoded(part.block.removeprefix(BOM) if part.start == 0 else part.block):
            if line and not line.isspace():
                if len(line) > MAX_RECORD_BYTES // 4 and len(raw := _bytes(line)) > MAX_RECORD_BYTES:
                    # Known by its place, as if it had not been held: that depends on how the file is cut.
                    rows.add(_oversize(len(raw), split.file, part.start + part.block.index(raw)))
                else:
                    rows.add(row(line))
                if rows.full:
                    yield Chunk(records=rows.take(), position=position)
    yield Chunk(records=rows.take(), position=split.bytes)


def _line_start(stream: BinaryIO, start: int) -> int:
    """Offset of the first line that begins at or beyond `start`; the file's size if there is none."""
    if start == 0:
        return 0
    stream.seek(start - 1)
    at = start - 1
    while data := stream.read(1 << 20):
        end = data.find(b"\n")
        if end >= 0:
            return at + end + 1
        at += len(data)
    return at


def _decoded(block: bytes) -> Iterator[str | bytes]:
    """The lines of a block, as bytes where they are not UTF-8."""
    try:
        yield from block.decode().split("\n")  # splitlines would also split at U+2028
        return
    except UnicodeDecodeError:
        pass
    for line in block.split(b"\n"):
        try:
            yield line.decode()
        except UnicodeDecodeError:
            yield line


def _reject(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_decoder = json.JSONDecoder(parse_constant=_reject)


def _decode(line: str) -> Any:
    """The value that `line` is; the usual case without the two regular expressions that `decode` spends on spaces."""
    if line[0] == "{":
        value, end = _decoder.raw_decode(line)
        if end == len(line):
            return value
    return _decoder.decode(line)


def row(line: str | bytes) -> Row:
    """The document of one line, or an error row that says why it is none."""
    if isinstance(line, bytes):
        return Row(error="invalid UTF-8", raw=line)
    try:
        record = _decode(line)
    except (ValueError, RecursionError):
        return Row(error="invalid JSON", raw=line.encode())
    if not isinstance(record, dict):
        return Row(error="not a JSON object", raw=line.encode())
    if "text" not in record:
        return Row(error="no text", raw=line.encode())
    text = record.pop("text")
    if not isinstance(text, str):
        return Row(error="text is null" if text is None else "text is not a string", raw=line.encode())
    own_id = _take_id(record)
    url, language = _take(record, "url"), _take(record, "language")
    # The line itself is UTF-8, so that only an escape can have brought half of a pair.
    if "\\u" in line and ("\\ud" in line or "\\uD" in line) and not all(map(_encodable, (text, own_id, url, language))):
        return Row(error="lone surrogate", raw=line.encode())
    try:
        meta = canonical_json(record) if record else None
    except (ValueError, RecursionError):  # 1e999 is valid JSON, and no number that we could write
        return Row(error="number out of range", raw=line.encode())
    return Row(own_id=own_id, text=text, url=url, language=language, meta=meta)


def _oversize(size: int, file: File, offset: int) -> Row:
    return Row(error=f"record of {size} bytes, limit {MAX_RECORD_BYTES}", place=f"{file.name}\0{offset}")


def _bytes(line: str | bytes) -> bytes:
    return line if isinstance(line, bytes) else line.encode()


def _take_id(record: dict[str, Any]) -> str | None:
    """The record's own id where it is a string or a number; anything else but null stays in `record`."""
    value = record.get("id")
    if value is None or isinstance(value, bool) or not isinstance(value, str | int | float):
        _pop_null(record, "id")
        return None
    del record["id"]
    return str(value)


def _take(record: dict[str, Any], name: str) -> str | None:
    """A string field, taken out of `record`; anything else but null stays there."""
    if isinstance(record.get(name), str):
        value: str = record.pop(name)
        return value
    _pop_null(record, name)
    return None


def _pop_null(record: dict[str, Any], name: str) -> None:
    if name in record and record[name] is None:
        del record[name]


def _encodable(text: str | None) -> bool:
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        return False
    return True
