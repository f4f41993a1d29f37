"""Compressed files as pieces of plain bytes: in bounded memory, up to the very byte where damage begins.

A gzip file is a row of members. Where a record begins in each of them (archives), a damaged member costs
only itself: reading goes on at the next member that inflates to the start of a record.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import zstandard
from fastwarc.stream_io import Lz4Reader

FEED_BYTES = 64 << 10  # compressed bytes per step
PIECE_BYTES = 1 << 20  # plain bytes per piece, at most (gzip; zstd may give more)
HEAD_BYTES = 64 << 10  # plain bytes that tell whether a record begins
ZSTD_FEED_BYTES = 2 << 10  # zstd has no bound on its output per step, only 128 KiB per block of 4 bytes: 64 MiB here
GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
LZ4_MAGIC = b"\x04\x22\x4d\x18"

Starts = Callable[[bytes], bool]  # does a record begin with these bytes?


@dataclass(slots=True)
class Piece:
    """`data`, then perhaps a break (`damage`: why).

    `begins`: the offset in the file, where a record begins with data[0], or must be looked for from here on.
    `seam`: a gzip member begins with data[0], which goes on with what stood before. `position`: how far into
    the file reading has come.
    """

    data: bytes
    begins: int | None = None
    damage: str | None = None
    position: int = 0
    seam: bool = False


def plain(stream: BinaryIO, start: int) -> Iterator[Piece]:
    """An uncompressed file from `start`, where a record begins."""
    stream.seek(start)
    begins: int | None = start
    position = start
    while data := stream.read(PIECE_BYTES):
        position += len(data)
        yield Piece(data, begins, position=position)
        begins = None


def gzip_members(stream: BinaryIO, start: int, starts: Starts | None) -> Iterator[Piece]:
    """The members from offset `start` on. With `starts` None, all is one stretch, which damage ends.

    A member that does not begin with a record goes on with the one before it.
    """
    stream.seek(start)
    pending = b""  # read and not yet inflated
    at = start  # offset of pending[0]
    while True:
        member, inflate = at, zlib.decompressobj(31)
        head, known = b"", False  # until we know whether a record begins here
        while not inflate.eof:
            if not pending:
                pending = stream.read(FEED_BYTES)
            if at == member and pending.startswith(b"\0"):  # tapes and some writers pad with zeros
                rest = pending.lstrip(b"\0")
                at = member = at + len(pending) - len(rest)
                pending = rest
                continue
            damage, rest = None, b""
            if not pending:
                if at == member:
                    return
                out, damage = b"", "truncated gzip"
            else:
                before = inflate.copy()
                try:
                    out = inflate.decompress(pending, PIECE_BYTES)
                    rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
                except zlib.error:
                    out, n = _up_to_damage(before, pending)
                    at += n
                    damage = f"corrupt gzip at byte {at}"
            if damage is None:
                at += len(pending) - len(rest)
                pending = rest
            if not known:
                head += out
                if len(head) < HEAD_BYTES and not inflate.eof and damage is None:
                    continue
                known, out = True, head
                # A damaged member is a stretch of its own, so that its neighbour is not blamed.
                new = member == start or (starts is not None and (damage is not None or starts(head)))
                yield Piece(out, member if new else None, damage, at, seam=not new)
            elif out or damage:
                yield Piece(out, None, damage, at)
            if damage is not None:
                if starts is None or (found := find_member(stream, member + 1, starts)) is None:
                    return
                stream.seek(found)
                at, pending = found, b""
                break


def _up_to_damage(inflate: "zlib._Decompress", pending: bytes) -> tuple[bytes, int]:
    """All that can be inflated, and how many bytes of `pending` that took."""
    out = []
    for i in range(len(pending)):
        try:
            out.append(inflate.decompress(pending[i : i + 1]))
        except zlib.error:
            return b"".join(out), i
    return b"".join(out), len(pending)


def find_member(stream: BinaryIO, start: int, starts: Starts) -> int | None:
    """Offset of the first gzip member at or beyond `start` in which a record begins; None if there is none."""
    stream.seek(start)
    at, window = start, b""  # at: offset of window[0]
    while more := stream.read(PIECE_BYTES):
        window += more
        found = window.find(GZIP_MAGIC)
        while found >= 0:
            head = window[found : found + FEED_BYTES]
            if len(head) < FEED_BYTES:
                back = stream.tell()
                stream.seek(at + found)
                head = stream.read(FEED_BYTES)
                stream.seek(back)
            if starts(inflated_head(head)):
                return at + found
            found = window.find(GZIP_MAGIC, found + 1)
        at += len(window) - 2
        window = window[-2:]
    return None


def inflated_head(head: bytes) -> bytes:
    """What the first bytes of a gzip file inflate to, up to HEAD_BYTES; b"" if they are no gzip."""
    try:
        return zlib.decompressobj(31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""


def zstd_frames(stream: BinaryIO) -> Iterator[Piece]:
    """All frames of a zstd file as one stretch."""
    stream.seek(0)
    decompressor = zstandard.ZstdDecompressor()
    begins: int | None = 0
    frame, used, at = decompressor.decompressobj(), False, 0
    while block := stream.read(FEED_BYTES):
        out = []
        for i in range(0, len(block), ZSTD_FEED_BYTES):
            pending = block[i : i + ZSTD_FEED_BYTES]
            while pending:
                try:
                    out.append(frame.decompress(pending))
                except zstandard.ZstdError:
                    yield Piece(b"".join(out), begins, f"corrupt zstd near byte {at}", at)
                    return
                used = True
                rest = frame.unused_data if frame.eof else b""
                at += len(pending) - len(rest)
                pending = rest
                if frame.eof:
                    frame, used = decompressor.decompressobj(), False
            if sum(map(len, out)) >= PIECE_BYTES:
                yield Piece(b"".join(out), begins, None, at)
                begins, out = None, []
        yield Piece(b"".join(out), begins, None, at)
        begins = None
    if used:
        yield Piece(b"", begins, "truncated zstd", at)


def lz4_frames(stream: BinaryIO) -> Iterator[Piece]:
    """All frames of an lz4 file as one stretch. fastwarc checks no checksums and tells no offsets."""
    stream.seek(0)
    reader = Lz4Reader(stream)
    begins: int | None = 0
    while True:
        try:
            data = reader.read(FEED_BYTES)
        except OSError as error:
            yield Piece(b"", begins, f"corrupt or truncated lz4: {error}", stream.tell())
            return
        if not data:
            return
        yield Piece(data, begins, None, stream.tell())
        begins = None
