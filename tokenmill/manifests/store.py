"""Where a run's files lie: a folder, or the objects under a prefix. What a name gives is whole, or is not there.

Names are relative to the store, with "/" between parts. Nothing is ever appended to or changed in place: content
gets its name once it is complete.
"""

import re
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Protocol

import pyarrow as pa

from tokenmill.core.errors import RecipeError

WORK = "_work"  # everything of a run that is not finished; gone when it is
ATTEMPTS = f"{WORK}/attempts"

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class Store(Protocol):
    """Picklable, and the same from every process that reaches the place. A folder of work, not a file system."""

    @property
    def uri(self) -> str:
        """For people, and for `store_at` elsewhere: a path, or a URL."""
        ...

    def at(self, name: str) -> "Store":
        """The store of what lies below `name`."""
        ...

    def path(self, name: str) -> Path:
        """A file on this machine with the content of `name`, for reading only; FileNotFoundError if it is absent."""
        ...

    def opened(self, name: str) -> pa.NativeFile:
        """For reading here and there: mapped, or fetched in ranges. FileNotFoundError if it is absent."""
        ...

    def exists(self, name: str) -> bool: ...

    def size(self, name: str) -> int | None:
        """Bytes; None if it is absent."""
        ...

    def read(self, name: str) -> bytes:
        """All of a small one. Raises FileNotFoundError if it is absent."""
        ...

    def write(self, name: str, content: bytes, *, new: bool = False) -> None:
        """Whole or not at all; replaces what was there, or with `new` raises FileExistsError."""
        ...

    def scratch(self) -> Path:
        """A new empty folder on this machine, for the files of one attempt; whoever asked for it removes it."""
        ...

    def publish(self, file: Path, name: str) -> None:
        """Give a complete file on this machine its name, whole or not at all. Consumes the file."""
        ...

    def names(self, prefix: str = "") -> list[str]:
        """Of all content below the folder `prefix`, sorted, relative to the store."""
        ...

    def delete(self, name: str) -> None:
        """An absent one is no error."""
        ...

    def delete_all(self, prefix: str) -> None:
        """Everything below the folder `prefix`; an absent one is no error."""
        ...

    def forget_attempts(self, dead_only: bool = False) -> None:
        """Remove what attempts left. Only for who holds the run's lock: live ones lose theirs too.

        With `dead_only`, for anybody at any time: only scratch of processes of this machine that are gone.
        """
        ...

    def hold(self, name: str) -> AbstractContextManager[None]:
        """An exclusive lock called `name`, freed when its holder leaves or dies; BlockingIOError if another has it."""
        ...


def store_at(place: str | Path, scratch: Path | None = None) -> Store:
    """The store at a path or a URL.

    `scratch`: where on this machine a store of objects keeps what it downloads and what is not yet uploaded; a folder
    needs none. Raises RecipeError for a URL without it, or one whose file system is not installed.
    """
    from tokenmill.manifests.local_store import LocalStore

    if not is_remote(place):
        return LocalStore(Path(str(place).removeprefix("file://")))
    if scratch is None:
        raise RecipeError(f"{place}: needs a scratch folder on this machine, for what is downloaded; give one")
    from tokenmill.manifests.object_store import ObjectStore

    return ObjectStore(uri=str(place).rstrip("/"), local=scratch)


def is_remote(place: str | Path) -> bool:
    """Is this the URL of an object store? `file://` and paths are of this machine."""
    found = _URL.match(str(place))
    return found is not None and found[1] != "file"


def checked_name(name: str) -> str:
    """`name`, if it stays inside of its store. Raises ValueError for `/a`, `a/../b`, `a//b` and the like."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or path.as_posix() != name:
        raise ValueError(f"{name!r} is no name inside of a store; want a relative one with single slashes")
    return name
