"""Objects of any other store that fsspec reaches: gs://, abfs://, hdfs:// and the rest.

What S3 gives and fsspec does not: conditions are looked up just before they are needed, uploads that were never
completed are the store's own to clean up, and ages follow this machine's clock.

Where a file is seen while it grows, content is sent under another name and renamed. A rename that replaces (local) is
whole. One that refuses a name which is taken (HDFS) is made after the old content is deleted: for that moment, and
for good if the writer dies in it, neither is there, and readers take it for absent; but what must be new is then new,
whoever else writes. A file system that renames by copying shows half of it while it copies; its writer checks the size
afterwards and sends again, a reader must check what it reads, as receipts and the manifest do.
Tested: memory://, local://, a local:// whose rename refuses what is there, s3:// by s3fs for deletion. No others yet.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.core import has_magic

from tokenmill.core.errors import EngineError, RecipeError, TokenmillError
from tokenmill.manifests.content_md5 import content_md5
from tokenmill.manifests.objects import Changed, Found, Options, in_parallel
from tokenmill.manifests.retrying import Patience, retried

T = TypeVar("T")
# Of these a write is seen when it is complete. Elsewhere, as on hdfs, a file is seen while it grows: there we write
# under another name and rename.
WHOLE_PUTS = {"abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "oci", "oss", "r2"}
PASSING_STATUS = {408, 429, 500, 502, 503, 504}
DELETED_AT_ONCE = 1000
DELETERS = 16


class Unbelieved(Exception):  # noqa: N818 - never leaves the retries
    """The store shows something else than what was sent."""


@dataclass(frozen=True, slots=True)
class FsspecObjects:
    """`root`: scheme and bucket (or host). `options`: of fsspec's file system."""

    root: str
    options: Options
    patience: Patience

    def uri(self, key: str) -> str:
        return f"{self.root}/{key}"

    def find(self, key: str) -> Found | None:
        try:
            facts = self._ask(key, lambda fs: fs.info(self._path(key)))
        except FileNotFoundError:
            return None
        return _found(key, facts) if facts.get("type", "file") == "file" else None

    def get(
        self, key: str, start: int, stop: int, etag: str | None = None, halt: threading.Event | None = None
    ) -> tuple[bytes, Found]:
        before = self.find(key)
        if before is None:
            raise FileNotFoundError(f"{self.uri(key)}: no such object")
        end = min(stop, before.size)
        data = b""
        if start < end:
            data = self._ask(key, lambda fs: fs.cat_file(self._path(key), start=start, end=end), halt)
        after = self.find(key)
        if after is None or after.etag != (etag or before.etag):
            raise Changed(self.uri(key))
        return data, after

    def put(self, key: str, content: bytes, *, new: bool = False, etag: str | None = None) -> Found:
        if new or etag is not None:
            now = self.find(key)
            if (now.etag if now else None) != etag:
                raise Changed(self.uri(key))
        new_content = content if new else None
        return self._sent(key, len(content), lambda fs, path: fs.pipe_file(path, content), new_content)[0]

    def upload(self, key: str, file: Path) -> Found | None:
        """Known to be ours by the time that a rename keeps, or a digest that the store tells (Google's does)."""
        found, sent = self._sent(key, file.stat().st_size, lambda fs, path: fs.put_file(str(file), path))
        if found.modified_ns and sent["renamed"]:
            return found if _found(key, sent).etag == found.etag else None
        return found if "md5Hash" in sent and sent["md5Hash"] == content_md5(file) else None

    def listed(self, prefix: str) -> Iterator[Found]:
        """All at once: fsspec gives no pages. Memory: about 1 kB an object."""
        folder = self._path(prefix.rpartition("/")[0])
        try:
            facts = self._ask(prefix, lambda fs: fs.find(folder, detail=True))
        except FileNotFoundError:
            return
        top = self._path("").rstrip("/") + "/"
        for path in sorted(facts):
            key = path.removeprefix(top)
            if key.startswith(prefix):
                yield _found(key, facts[path])

    def delete(self, keys: Sequence[str]) -> None:
        """In batches where the client has a list of many on their way at once; elsewhere by DELETERS threads."""
        if isinstance(_file_system(os.getpid(), self.root, self.options), AsyncFileSystem):
            keys = [key for batch in _batches(keys) for key in self._left_of(batch)]
        in_parallel([partial(self._delete_one, key) for key in keys], DELETERS, threading.Event())

    def _left_of(self, keys: Sequence[str]) -> Sequence[str]:
        """What is still to be deleted, one by one, after a request for all: one was absent, or looks like a pattern."""
        plain = [key for key in keys if not has_magic(self._path(key))]
        if len(plain) > 1:
            paths = [self._path(key) for key in plain]
            with suppress(FileNotFoundError):
                self._ask(plain[0], lambda fs: fs.rm(paths))
                return [key for key in keys if has_magic(self._path(key))]
        return keys

    def _delete_one(self, key: str) -> None:
        with suppress(FileNotFoundError):
            self._ask(key, lambda fs: fs.rm_file(self._path(key)))

    def delete_same(self, key: str, etag: str) -> None:
        found = self.find(key)
        if found is not None and found.etag == etag:
            self.delete([key])

    def abort_uploads(self, prefix: str, older_than_s: float) -> int:
        """None: fsspec does not list them. Google, Azure and HDFS drop them by themselves, after a week at most."""
        return 0

    def _sent(
        self, key: str, size: int, send: Callable[[Any, str], object], new_content: bytes | None = None
    ) -> tuple[Found, dict[str, Any]]:
        """(what is there now, what was sent before it was renamed). `new_content`: it must not replace another."""
        path = self._path(key)
        is_whole = self.root.partition("://")[0] in WHOLE_PUTS

        def send_and_look(fs: Any) -> tuple[Found, dict[str, Any]]:
            first = path if is_whole else f"{path}.{uuid.uuid4().hex}.part"
            try:
                try:
                    send(fs, first)
                except FileNotFoundError:  # a file system with real folders
                    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                    send(fs, first)
                sent = fs.info(first)
                if sent["size"] != size:
                    raise Unbelieved(f"sent {size:,} bytes, the store shows {sent['size']:,}")
                facts = sent if is_whole else self._renamed(fs, first, path, size, new_content)
            except BaseException:
                with suppress(Exception):
                    fs.rm_file(first)
                raise
            return _found(key, facts), sent | {"renamed": not is_whole}

        return self._ask(key, send_and_look)

    def _renamed(self, fs: Any, first: str, path: str, size: int, new_content: bytes | None) -> dict[str, Any]:
        """What the store shows at `path` after the rename, whose own answer says little: some clients drop it."""
        try:
            fs.mv(first, path)
        except Exception:  # refused, or failed: what is there now tells
            if _facts(fs, path) is None:
                raise
        if _facts(fs, first) is not None and (there := _facts(fs, path)) is not None:
            if new_content is not None:
                if there["size"] != size or fs.cat_file(path) != new_content:  # else ours: an answer was lost
                    raise Changed(path)
                fs.rm_file(first)
                return there
            fs.rm_file(path)
            fs.mv(first, path)
        now, left = _facts(fs, path), _facts(fs, first)
        if now is None or now["size"] != size or left is not None:
            raise Unbelieved("sent and renamed, the store shows something else under its name")
        return now

    def _path(self, key: str) -> str:
        # As fsspec spells it: with the bucket, or from the root of the file system.
        found: str = _file_system(os.getpid(), self.root, self.options)._strip_protocol(self.uri(key))
        return found

    def _ask(self, key: str, call: Callable[[Any], T], halt: threading.Event | None = None) -> T:
        what = self.uri(key)
        fs = _file_system(os.getpid(), self.root, self.options)
        try:
            return retried(what, lambda: call(fs), patience=self.patience, is_passing=_is_passing, stop=halt)
        except PermissionError as error:
            raise RecipeError(f"{what}: access denied ({error}); look after the credentials of this store") from error
        except (FileNotFoundError, Changed, TokenmillError):
            raise
        except Exception as error:  # what the store or its client says: never the data's fault
            told = " ".join(str(error).split())[:300]
            raise EngineError(
                f"{what}: {type(error).__name__}: {told}; mend that on its side, then run the same command again"
            ) from error


@cache
def _file_system(process: int, root: str, options: Options) -> Any:
    """`process`: a forked child must not share its parent's connections."""
    scheme = root.partition("://")[0]
    try:
        fs, _ = fsspec.url_to_fs(root, use_listings_cache=False, skip_instance_cache=True, **dict(options))
    except (ImportError, ValueError) as error:
        raise RecipeError(f"{root}: nothing installed reads {scheme}:// ({error})") from error
    return fs


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(keys), DELETED_AT_ONCE):
        yield keys[first : first + DELETED_AT_ONCE]


def _facts(fs: Any, path: str) -> dict[str, Any] | None:
    """Not by `exists`, which takes a store that does not answer for an absent file."""
    try:
        found: dict[str, Any] = fs.info(path)
    except FileNotFoundError:
        return None
    return found


def _is_passing(error: Exception) -> bool:
    if isinstance(error, FileNotFoundError | FileExistsError | PermissionError | IsADirectoryError):
        return False
    status = getattr(error, "status", None) or getattr(error, "status_code", None) or getattr(error, "code", None)
    if isinstance(status, int) or (isinstance(status, str) and status.isdigit()):
        return int(status) in PASSING_STATUS
    return isinstance(error, OSError | TimeoutError | Unbelieved) or type(error).__module__.startswith("aiohttp")


def _found(key: str, facts: dict[str, Any]) -> Found:
    told = next((facts[n] for n in ("mtime", "LastModified", "last_modified", "updated", "created") if n in facts), 0)
    modified_s = _seconds(told) or facts.get("modificationTime", 0) / 1000  # WebHDFS tells thousandths
    mark = next((facts[n] for n in ("etag", "ETag", "md5Hash", "content_md5", "generation") if facts.get(n)), None)
    return Found(
        key=key,
        size=int(facts["size"]),
        modified_ns=int(modified_s * 1e9),
        etag=str(mark) if mark is not None else f"{facts['size']}-{modified_s}",
        age_s=max(time.time() - modified_s, 0.0) if modified_s else 0.0,
    )


def _seconds(told: object) -> float:
    if isinstance(told, str):
        told = datetime.fromisoformat(told)
    if isinstance(told, datetime):
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    return float(told) if isinstance(told, int | float) else 0.0
