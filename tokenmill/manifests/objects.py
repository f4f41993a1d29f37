"""What we ask of an object store, the least that all of them can do. Every call is retried inside; see `retrying`."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tokenmill.core.errors import RecipeError
from tokenmill.manifests.retrying import Patience

Options = tuple[tuple[str, Any], ...]  # of the store's client, as sorted pairs: it must have a hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object as the store described it. `etag` changes whenever its content does; its form is the store's own."""

    key: str
    size: int
    modified_ns: int
    etag: str
    age_s: float = 0.0  # since it was written, by the store's clock, where it told the time


class Changed(Exception):  # noqa: N818 - a condition that did not hold, caught by who set it
    """The object is no longer the one whose etag was given, or is there though it had to be new."""


class Objects(Protocol):
    """One bucket, or the like. Keys are within it.

    All raise EngineError, naming the object, when the store fails for minutes or says what nobody here expects;
    RecipeError when it refuses us or has no such bucket. Usable from several threads.
    """

    def uri(self, key: str) -> str: ...

    def find(self, key: str) -> Found | None: ...

    def get(
        self, key: str, start: int, stop: int, etag: str | None = None, halt: threading.Event | None = None
    ) -> tuple[bytes, Found]:
        """Bytes start..stop-1, fewer at its end only. Raises Changed if `etag` does not fit, FileNotFoundError.

        `halt`, when set, ends its retries.
        """
        ...

    def put(self, key: str, content: bytes, *, new: bool = False, etag: str | None = None) -> Found:
        """Whole or not at all. Raises Changed if it must be `new` and is not, or replace `etag` and does not; also if
        another writer has replaced it before it could be looked at.

        In a store without conditions they are looked up just before: of two that write within that moment, the
        later one wins unnoticed.
        """
        ...

    def upload(self, key: str, file: Path) -> Found | None:
        """`put` of a file, in parallel parts where it is large. Memory: PART_BYTES times UPLOAD_THREADS at most.

        None: it was sent, but what is there now is another writer's, or cannot be told from such.
        """
        ...

    def listed(self, prefix: str) -> Iterator[Found]:
        """Everything whose key begins with `prefix`, page by page; no request per object."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Absent ones are no error."""
        ...

    def delete_same(self, key: str, etag: str) -> None:
        """Delete it if it is still that one."""
        ...

    def abort_uploads(self, prefix: str, older_than_s: float) -> int:
        """Abort what was begun and never completed below `prefix`; how many. Running ones fail if they are older."""
        ...


def objects_at(uri: str, options: Options = (), patience: Patience | None = None) -> tuple[Objects, str]:
    """(the bucket that `uri` lies in, its key there). Raises RecipeError if nothing installed can reach it."""
    patience = patience or Patience()
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme in ("s3", "s3a"):
        if not bucket:
            raise RecipeError(f"{uri}: no bucket; want s3://BUCKET/PREFIX")
        from tokenmill.manifests.s3_objects import S3Objects

        return S3Objects(bucket, options, patience), key
    from tokenmill.manifests.fsspec_objects import FsspecObjects

    return FsspecObjects(f"{scheme}://{bucket}", options, patience), key


def in_parallel(calls: Sequence[Any], threads: int, halt: threading.Event) -> list[Any]:
    """The result of each call, in order. The first failure sets `halt`, drops the rest and is raised."""
    with ThreadPoolExecutor(min(threads, len(calls)) or 1) as pool:
        waiting = [pool.submit(call) for call in calls]
        try:
            return [w.result() for w in waiting]
        except BaseException:
            halt.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
