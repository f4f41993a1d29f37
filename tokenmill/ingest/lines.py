"""Blocks of whole lines out of a stream of bytes, in memory bounded by the longest line that is allowed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tokenmill.ingest.limits import MAX_RECORD_BYTES
from tokenmill.ingest.pieces import Piece


@dataclass(slots=True)
class Lines:
    """`block`: whole lines, from byte `start` of the plain text on; the last one may lack its line feed.

    `oversize`: instead, the length of a line that is too long to be held. `damage`: what ends the stream.
    """

    start: int
    block: bytes = b""
    oversize: int | None = None
    damage: str | None = None
    position: int = 0


def lines(
    pieces: Iterable[Piece], start: int, block_bytes: int, stop: int | None = None, longest: int = MAX_RECORD_BYTES
) -> Iterator[Lines]:
    """All lines that begin before `stop`, for pieces whose first byte is byte `start` and begins a line.

    A line of more than `longest` bytes may be held if it is no longer than a block. What stands after the
    last line feed before damage is no line, and is lost with it.
    """
    held: list[bytes] = []  # without a complete line before the newest piece
    size = 0  # bytes held
    at = start  # offset of held[0], or of the line that is being skipped
    skipped = 0  # bytes of an over-long line passed so far
    position = start
    for piece in pieces:
        data, position = piece.data, piece.position
        if skipped:
            end = data.find(b"\n")
            if end < 0:
                skipped += len(data)
                data = b""
            else:
                yield Lines(at, oversize=skipped + end, position=position)
                at += skipped + end + 1
                skipped, data = 0, data[end + 1 :]
                if stop is not None and at >= stop:
                    return
        if data:
            held.append(data)
            size += len(data)
            end = data.rfind(b"\n") + 1
            if end and (size >= block_bytes or (stop is not None and at + size >= stop)):
                rest = data[end:]
                held[-1] = data[:end]
                block = b"".join(held)
                if stop is not None and at + len(block) >= stop:
                    # The line that holds byte stop - 1 is the last one that begins before stop.
                    block = block[: block.index(b"\n", stop - 1 - at) + 1]
                    yield Lines(at, block, position=position)
                    return
                yield Lines(at, block, position=position)
                at += len(block)
                held, size = [rest] if rest else [], len(rest)
            elif size > longest + block_bytes:
                block = b"".join(held)
                end = block.rfind(b"\n") + 1
                if end:
                    yield Lines(at, block[:end], position=position)
                    at += end
                    block = block[end:]
                held, size = [block], len(block)
                if size > longest:
                    held, size, skipped = [], 0, len(block)
        if piece.damage is not None:
            block = b"".join(held)
            end = block.rfind(b"\n") + 1
            if end:
                yield Lines(at, block[:end], position=position)
            yield Lines(at + end, damage=piece.damage, position=position)
            return
    if skipped:
        yield Lines(at, oversize=skipped, position=position)
    elif size:
        yield Lines(at, b"".join(held), position=position)
