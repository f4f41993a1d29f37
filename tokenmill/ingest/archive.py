"""Records out of web archives: their headers and blocks, however the file is cut, compressed or damaged.

A record is framed by its own length, and good only if its end looks like one: a blank line, the start of
another record, or the end of the file. A damaged one costs only itself: reading goes on at the next place
where a header really parses, and that is searched for inside the damaged record too, since its length
cannot be trusted. One case costs more: in a file that is compressed as a whole, a record that claims more
than MAX_RECORD_BYTES is believed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from tokenmill.ingest.limits import MAX_RECORD_BYTES
from tokenmill.ingest.pieces import HEAD_BYTES
from tokenmill.ingest.tape import Finder, Tape

LINE_ENDS_BYTES = 4  # between two records of a WARC: CR LF CR LF
USUAL_HEADER_BYTES = 4 << 10  # looked at first; HEAD_BYTES is the longest that is accepted


@dataclass(slots=True, kw_only=True)
class Header:
    """What both formats say about a record. `kind` is the WARC type; for ARC "response", "filedesc" or "dns"."""

    kind: str
    size: int  # bytes of the header, its blank line included
    length: int | None  # bytes of the block; None where that cannot be told
    url: str | None = None
    record_id: str | None = None
    date: str | None = None
    content_type: str | None = None  # of the block
    extra: dict[str, str] = field(default_factory=dict)  # further facts, for `meta`


class Layout(Finder, Protocol):
    """WARC or ARC."""

    def parse(self, head: bytes) -> Header | None:
        """The header that begins at head[0]; None if none does, or it is not whole."""
        ...


@dataclass(slots=True, kw_only=True)
class Record:
    """`header` is None where there was none to read. With `error`, `block` is the record's first bytes, or none."""

    offset: int  # of the record, or of the gzip member it is in
    header: Header | None
    block: bytes
    error: str | None = None


def records(tape: Tape, layout: Layout, stop: int) -> Iterator[Record | int]:
    """The records that begin before `stop`; at last, if there is one, the offset of the first beyond it."""
    while tape.next_stretch():
        if tape.begins >= stop:
            yield tape.begins
            return
        reported = False  # the damage that ends this stretch
        while True:
            tape.skip(tape.newlines(0))
            if not tape.fill(1):
                if tape.damage is not None and not reported:
                    yield Record(offset=tape.offset, header=None, block=b"", error=tape.damage)
                break
            if tape.offset >= stop and tape.seekable:
                yield tape.offset
                return
            record, ahead = _record(tape, layout)
            yield record
            if ahead is not None:
                tape.skip(ahead)
                reported = record.error is not None
                continue
            reported = tape.damage is not None
            if reported and not tape.seekable:
                break  # what a damaged member holds beyond its first record is not to be trusted
            if record.header is None and (near := _near(tape, layout, 1)) is not None:
                tape.skip(near)
                continue
            tape.skip(1)
            if not tape.search(layout):
                break


def _record(tape: Tape, layout: Layout) -> tuple[Record, int | None]:
    """The record at the cursor, and how far ahead the next one is; None if that must be searched for."""
    offset = tape.offset
    header = layout.parse(tape.peek(USUAL_HEADER_BYTES)) or layout.parse(tape.peek(HEAD_BYTES))
    if header is None or header.length is None:
        reason = "no record header" if header is None else "record without a length"
        return _damaged(tape, header, tape.damage or reason), None
    size = header.size + header.length
    if header.length > MAX_RECORD_BYTES:
        return _oversize(tape, layout, header, size)
    if not tape.fill(size):
        return _damaged(tape, header, tape.damage or "truncated record"), None
    newlines = tape.newlines(size)
    ahead = size + newlines
    if not tape.fill(ahead + 1):  # nothing else in this stretch
        if tape.damage is not None and not tape.seam_within(size, ahead):
            return _damaged(tape, header, tape.damage), ahead
    elif not newlines and not tape.seam_within(size, size):
        near = _near(tape, layout, size)
        if near is None:
            return _damaged(tape, header, f"record goes on beyond its length of {header.length} bytes"), None
        ahead = near
    return Record(offset=offset, header=header, block=tape.peek(header.length, header.size)), ahead


def _damaged(tape: Tape, header: Header | None, error: str) -> Record:
    """What can be told of the record at the cursor. Not all its bytes: a wrong length may claim half the file."""
    return Record(offset=tape.offset, header=header, block=tape.peek(USUAL_HEADER_BYTES), error=error)


def _near(tape: Tape, layout: Layout, ahead: int) -> int | None:
    """How far ahead the next record starts if only the line ends before it are damaged; `search` needs those."""
    for place in range(ahead, ahead + LINE_ENDS_BYTES + 1):
        if layout.parse(tape.peek(HEAD_BYTES, place)) is not None:
            return place
    return None


def _oversize(tape: Tape, layout: Layout, header: Header, size: int) -> tuple[Record, int | None]:
    """Passed without being held; in a file where we can look, only if a record or nothing follows it."""
    assert header.length is not None
    reason = f"record of {header.length} bytes, limit {MAX_RECORD_BYTES}"
    record = Record(offset=tape.offset, header=header, block=b"", error=reason)
    if not tape.seekable:
        if tape.skip(size) < size:
            record.error = tape.damage or "truncated record"
        return record, 0
    end = tape.offset + size
    after = tape.bytes_at(end - 1, HEAD_BYTES)  # at least the record's last byte, if it is whole
    if after and (len(after) == 1 or layout.starts(after[1:].lstrip(b"\r\n")) or not after[1:].strip(b"\r\n")):
        tape.jump(end)
        return record, 0
    record.error = "truncated record" if not after else reason
    return record, None


def first_record(tape: Tape, layout: Layout, start: int) -> int | None:
    """Offset of the first record at or beyond `start` of an uncompressed file; None if there is none."""
    if not tape.next_stretch():
        return None
    while tape.search(layout):
        if tape.offset >= start:
            return tape.offset
        tape.skip(1)
    return None
