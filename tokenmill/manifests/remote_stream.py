"""A file for reading that lies in an object store: seekable, read ahead in parallel ranges, one object throughout.

Small where it is looked into (a header, a footer), large where it is read through: what is asked for doubles from
FIRST_BYTES to BLOCK_BYTES as one place follows another, and then up to AHEAD blocks are on their way at once.
"""

import io
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from tokenmill.core.errors import DataError
from tokenmill.manifests.objects import Changed, Found, Objects, Options, objects_at
from tokenmill.manifests.retrying import Patience
from tokenmill.manifests.store import is_remote

FIRST_BYTES = 64 << 10  # what a source wants of a file to know its format
BLOCK_BYTES = 4 << 20  # at 50 ms to the first byte and 80 MB/s a connection, half of the time is transfer
AHEAD = 4
AHEAD_FROM_BYTES = 1 << 20  # read in one run before anything is asked for that nobody wanted yet
RESTORE = "restore it, or make the plan (and its inventory) again in a new --out"
HELD_BYTES = 32 << 20  # of one stream: a reader of Parquet is in several places at once


def open_uri(
    uri: str,
    *,
    size: int | None = None,
    modified_ns: int | None = None,
    options: Options = (),
    patience: Patience | None = None,
) -> BinaryIO:
    """A path or a URL, for a source. Of a URL, nothing is read before it is asked for.

    `size` and `modified_ns`: as the plan knows the file. Opening a path, or reading from a URL, raises DataError if
    it is another by now; so does reading from a URL if it changes meanwhile or is gone. EngineError if the store
    fails for minutes.
    """
    if not is_remote(uri):
        path = Path(uri.removeprefix("file://"))
        facts = path.stat()
        if size not in (None, facts.st_size) or (modified_ns and modified_ns != facts.st_mtime_ns):
            raise DataError(f"{uri}: changed since the run was planned; {RESTORE}")
        return path.open("rb")
    objects, key = objects_at(uri, options, patience)
    return cast(BinaryIO, RemoteStream(objects, key, size, modified_ns))


@dataclass(slots=True)
class _Block:
    start: int
    stop: int
    run: int  # bytes read in one run before this one
    data: Future[bytes]

    @property
    def size(self) -> int:
        return self.stop - self.start


class RemoteStream(io.BufferedIOBase):
    """For one thread. Memory: HELD_BYTES, and what is on its way."""

    def __init__(self, objects: Objects, key: str, size: int | None = None, modified_ns: int | None = None) -> None:
        self._objects, self._key = objects, key
        self._wanted_size, self._wanted_modified_ns = size, modified_ns
        self._found: Found | None = None  # the object, as the first answer described it
        self._at = 0
        self._blocks: list[_Block] = []  # the longest unused first
        self._halt = threading.Event()
        self._pool: ThreadPoolExecutor | None = None

    @property
    def name(self) -> str:
        return self._objects.uri(self._key)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence)
        self._at = max((self._size() if base is None else base) + offset, 0)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        if self.closed:
            raise ValueError("read of closed file")
        left = self._size() - self._at
        if size is not None and size >= 0:
            left = min(left, size)
        parts = []
        while left > 0:
            block = self._block(left)
            data = block.data.result()
            part = data[self._at - block.start :][:left] if left < block.size or self._at > block.start else data
            parts.append(part)
            self._at += len(part)
            left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read1(self, size: int = -1) -> bytes:
        return self.read(size)

    def close(self) -> None:
        if not self.closed:
            self._halt.set()
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
            self._blocks.clear()
        super().close()

    def _size(self) -> int:
        if self._found is None:
            self._ask(0, FIRST_BYTES, 0, waits=True)
        assert self._found is not None
        return self._found.size

    def _block(self, wanted: int) -> _Block:
        """The one that holds the byte at the cursor, and those that will be wanted next on their way."""
        block = self._held(self._at)
        if block is None:
            before = next((b for b in reversed(self._blocks) if b.stop == self._at), None)
            size = FIRST_BYTES if before is None else min(2 * before.size, BLOCK_BYTES)
            run = 0 if before is None else before.run + before.size
            block = self._ask(self._at, max(size, min(wanted, BLOCK_BYTES)), run, waits=True)
        else:
            self._blocks.remove(block)
            self._blocks.append(block)
        last = block
        for _ in range(min((block.run + block.size) // AHEAD_FROM_BYTES, AHEAD)):
            if last.stop >= self._size():
                break
            size, run = min(2 * last.size, BLOCK_BYTES), last.run + last.size
            last = self._held(last.stop) or self._ask(last.stop, size, run, waits=False)
        return block

    def _held(self, at: int) -> _Block | None:
        return next((b for b in self._blocks if b.start <= at < b.stop), None)

    def _ask(self, start: int, size: int, run: int, waits: bool) -> _Block:
        """`waits`: the reader does, so that it may as well fetch this one itself."""
        stop = start + size if self._found is None else min(start + size, self._found.size)
        if waits:
            data: Future[bytes] = Future()
            data.set_result(self._fetch(start, stop))
            stop = start + len(data.result())
        else:
            self._pool = self._pool or ThreadPoolExecutor(AHEAD, thread_name_prefix="read ahead")
            data = self._pool.submit(self._fetch, start, stop)
        block = _Block(start, stop, run, data)
        self._blocks.append(block)
        held = sum(b.size for b in self._blocks)
        while held > HELD_BYTES:
            held -= self._blocks.pop(0).size
        return block

    def _fetch(self, start: int, stop: int) -> bytes:
        etag = self._found.etag if self._found else None
        try:
            data, found = self._objects.get(self._key, start, stop, etag, self._halt)
        except Changed as error:
            raise DataError(
                f"{self.name}: changed while it was read; let whoever writes it finish, then run again from the start"
            ) from error
        except FileNotFoundError as error:
            raise DataError(f"{self.name}: no such object (any more); restore it or leave it out") from error
        if self._found is None:
            self._check(found)
            self._found = found
        if len(data) != min(stop, found.size) - start:
            raise DataError(f"{self.name}: {len(data):,} bytes from {start:,} on, want {stop - start:,}; look at it")
        return data

    def _check(self, found: Found) -> None:
        if self._wanted_size not in (None, found.size):
            raise DataError(
                f"{self.name}: {found.size:,} bytes, {self._wanted_size:,} when the run was planned; {RESTORE}"
            )
        # Listings tell thousandths of a second, headers whole ones.
        if self._wanted_modified_ns and abs(self._wanted_modified_ns - found.modified_ns) > 1_000_000_000:
            raise DataError(f"{self.name}: replaced since the run was planned, by as many bytes; {RESTORE}")
