"""WARC, WET, WAT and ARC files to documents, cut into ranges of the bytes on disk.

A range owns the records (plain) or the gzip members (one record each, as a rule) that begin in it. Where a
range does not begin at 0, its first record must be searched for, and could be mistaken for one: an archive
may hold an archive. So each range tells where its first record began, and where the first one behind it does.
Ranges chain: `ended` of one is `began` of the next, and both are the file's size behind the last record. A
range in which no record begins has began == ended: the first record beyond it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from tokenmill.core.source import Chunk, File, Split
from tokenmill.ingest.arc import ArcLayout
from tokenmill.ingest.archive import Layout, first_record, records
from tokenmill.ingest.limits import SPLIT_BYTES
from tokenmill.ingest.pieces import (
    find_member,
    gzip_members,
    inflated_head,
    lz4_frames,
    plain,
    zstd_frames,
)
from tokenmill.ingest.rows import Rows
from tokenmill.ingest.tape import CONTEXT_BYTES, Tape
from tokenmill.ingest.warc import WarcLayout
from tokenmill.ingest.web_record import row_or_kind

LAYOUTS: dict[str, Layout] = {"warc": WarcLayout(), "arc": ArcLayout()}


def splits(file: File, head: bytes, family: str, compression: str, growth: int = 1) -> list[Split]:
    """Ranges of SPLIT_BYTES times `growth`; one split where a file is compressed as a whole.

    `head`: its first bytes.
    """
    whole = Split(file=file, start=0, stop=file.size, bytes=file.size)
    if compression not in ("", "gz") or (compression == "gz" and _is_one_member(head, LAYOUTS[family])):
        return [whole]
    size = SPLIT_BYTES * growth
    starts = range(0, max(file.size, 1), size)
    return [replace(whole, start=start, stop=min(start + size, file.size), searched=start > 0) for start in starts]


def _is_one_member(head: bytes, layout: Layout) -> bool:
    """Does the first member hold more than one record, as far as the file's head shows?"""
    data = inflated_head(head)
    header = layout.parse(data)
    if header is None or header.length is None:
        return False
    return layout.starts(data[header.size + header.length :])


def read(
    split: Split, stream: BinaryIO, family: str, compression: str, source: str, batch_bytes: int
) -> Iterator[Chunk]:
    """The records that begin in the split: documents and errors as rows, the others counted."""
    layout, size = LAYOUTS[family], split.file.size
    began: int | None = split.start
    match compression:
        case "":
            if split.searched:
                began = _first_plain(stream, split.start, layout)
            tape = Tape(plain(stream, size if began is None else began), stream)
        case "gz":
            if split.searched:
                began = find_member(stream, split.start, layout.starts)
            tape = Tape(gzip_members(stream, size if began is None else began, layout.starts))
        case "zst":
            tape = Tape(zstd_frames(stream))
        case _:
            tape = Tape(lz4_frames(stream))
    began = ended = size if began is None else began
    rows, passed_over = Rows(source, batch_bytes), Counter[str]()
    if began < split.stop or began == split.start == 0:
        ended = size
        for record in records(tape, layout, split.stop if compression in ("", "gz") else size + 1):
            if isinstance(record, int):
                ended = record
                break
            found = row_or_kind(record, split.file.name)
            if isinstance(found, str):
                passed_over[found] += 1
                continue
            rows.add(found)
            if rows.full:
                position = max(tape.position - split.start, 0)
                yield Chunk(records=rows.take(), passed_over=passed_over, position=min(position, split.bytes))
                passed_over = Counter()
    yield Chunk(records=rows.take(), passed_over=passed_over, position=split.bytes, began=began, ended=ended)


def _first_plain(stream: BinaryIO, start: int, layout: Layout) -> int | None:
    """Offset of the first record at or beyond `start`; what stands just before tells a start from a mention."""
    return first_record(Tape(plain(stream, max(start - CONTEXT_BYTES, 0)), stream), layout, start)
