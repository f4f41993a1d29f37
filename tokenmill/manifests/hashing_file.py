"""A file for writing that knows the sha256 and the size of what went through it."""

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class HashingFile:
    """Append-only; looks like a binary file to pyarrow, json and the rest. `finish` flushes it to disk."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._sha256 = hashlib.sha256()
        self._bytes = 0
        self._abandoned = False

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        if self._abandoned:  # Arrow's writers write their footers even when they are thrown away
            return len(view)
        self._file.write(view)
        self._sha256.update(view)
        self._bytes += len(view)
        return len(view)

    def tell(self) -> int:
        return self._bytes

    def flush(self) -> None:
        """Nothing: bytes reach the disk in `finish`."""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    @property
    def closed(self) -> bool:
        return self._file.closed and not self._abandoned

    def close(self) -> None:
        """Flush to disk, so that a name given afterwards never stands for less than was written."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def abandon(self) -> None:
        """Close without waiting for the disk: the file is not wanted."""
        self._abandoned = True
        if not self._file.closed:
            try:
                self._file.close()
            except OSError:  # a full disk refuses the last bytes too; the file is going away
                pass

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def bytes(self) -> int:
        return self._bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close() if kind is None else self.abandon()
