"""A cursor over the pieces of an archive: holds no more of it than a record needs."""

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from tokenmill.ingest.pieces import HEAD_BYTES, Piece, plain

CONTEXT_BYTES = 4  # kept before the cursor: two line ends tell a start from a mention


class Finder(Protocol):
    """Where records begin."""

    def find(self, data: bytearray, start: int) -> int:
        """The first place at or beyond `start` that looks like a record's first bytes, after a blank line; or -1."""
        ...

    def starts(self, head: bytes) -> bool:
        """Does the header of a record stand here, whole?"""
        ...


class Tape:
    """Stretch by stretch: one runs from a known start of a record to the next known one, or to damage.

    `stream` is given where the file is not compressed: then one stretch is all, and places in it are offsets.
    """

    def __init__(self, pieces: Iterator[Piece], stream: BinaryIO | None = None) -> None:
        self._pieces, self._stream = pieces, stream
        self._next: Piece | None = next(pieces, None)
        self._buffer = bytearray()
        self._at = 0
        self._passed = 0  # bytes of the stretch before the cursor
        self._seams: list[int] = []  # places in the stretch where a further gzip member goes on
        self.begins = 0  # offset of the stretch in the file
        self.damage: str | None = None  # what ended the stretch; None while it goes on
        self.position = 0  # in the file, for progress

    def next_stretch(self) -> bool:
        """Leave what remains of this stretch, go to the next. False at the end of the file."""
        while self._next is not None and self._next.begins is None:
            self._next = next(self._pieces, None)
        if self._next is None:
            return False
        self.begins = self._next.begins or 0
        self._buffer, self._at, self._passed, self._seams = bytearray(), 0, 0, []
        self._pull()
        return True

    def _pull(self) -> None:
        assert self._next is not None
        self._buffer += self._next.data
        self.damage, self.position = self._next.damage, self._next.position
        self._next = next(self._pieces, None)

    def fill(self, n: int) -> bool:
        """Hold n bytes from the cursor on. False if the stretch has fewer; then it is held to its end."""
        while len(self._buffer) - self._at < n:
            if self.damage is not None or self._next is None or self._next.begins is not None:
                return False
            if (gone := self._at - CONTEXT_BYTES) > 0:
                del self._buffer[:gone]
                self._at = CONTEXT_BYTES
            if self._next.seam:
                self._seams.append(self._passed + len(self._buffer) - self._at)
            self._pull()
        return True

    def peek(self, n: int, ahead: int = 0) -> bytes:
        """Up to n bytes from `ahead` of the cursor on."""
        self.fill(ahead + n)
        with memoryview(self._buffer) as held:
            return bytes(held[self._at + ahead : self._at + ahead + n])

    def skip(self, n: int) -> int:
        """Pass n bytes without holding them; returns how many there were."""
        left = n
        while True:
            here = min(left, len(self._buffer) - self._at)
            self._at += here
            self._passed += here
            left -= here
            if not left or not self.fill(1):
                return n - left

    def newlines(self, ahead: int) -> int:
        """How many CR and LF follow, from `ahead` of the cursor on."""
        n = 0
        while self.fill(ahead + n + 1) and self._buffer[self._at + ahead + n] in b"\r\n":
            n += 1
        return n

    def seam_within(self, first: int, last: int) -> bool:
        """Does a further gzip member begin `first` to `last` bytes ahead of the cursor?"""
        return any(first <= seam - self._passed <= last for seam in self._seams)

    def search(self, finder: Finder) -> bool:
        """Go to the next place, from the cursor on, where a record starts. False at the end of the stretch."""
        while self.fill(1):
            self.fill(2 * HEAD_BYTES)
            found = finder.find(self._buffer, self._at)
            if found >= 0:
                self.skip(found - self._at)
                if finder.starts(self.peek(HEAD_BYTES)):
                    return True
                self.skip(1)
            else:
                # The buffer may end in the first bytes of a start.
                held = len(self._buffer) - self._at
                self.skip(held - HEAD_BYTES if held > HEAD_BYTES else held)
        return False

    @property
    def seekable(self) -> bool:
        return self._stream is not None

    @property
    def offset(self) -> int:
        """Of the cursor in the file; in a compressed one, of the stretch."""
        return self.begins + self._passed if self.seekable else self.begins

    def bytes_at(self, offset: int, n: int) -> bytes:
        """Up to n bytes of an uncompressed file from anywhere; the cursor stays."""
        assert self._stream is not None
        back = self._stream.tell()
        self._stream.seek(offset)
        data = self._stream.read(n)
        self._stream.seek(back)
        return data

    def jump(self, offset: int) -> None:
        """Go on at another offset of an uncompressed file."""
        assert self._stream is not None
        self._pieces = plain(self._stream, offset)
        self._next = next(self._pieces, None)
        if not self.next_stretch():
            self.begins, self._buffer, self._at, self._passed = offset, bytearray(), 0, 0
