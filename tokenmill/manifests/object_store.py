"""The objects under a prefix as a store: files are made on this machine, and get their names by one whole upload.

Never by a stream into the object: leaving a `with` block by an exception would close and so publish what was
written so far.
"""

import errno
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from tokenmill.core.errors import EngineError
from tokenmill.manifests.local_store import forget_dead
from tokenmill.manifests.object_cache import CHANGES, ObjectCache
from tokenmill.manifests.object_lock import held
from tokenmill.manifests.objects import Changed, Objects, Options, objects_at
from tokenmill.manifests.process_identity import name_of_ours
from tokenmill.manifests.remote_stream import RemoteStream
from tokenmill.manifests.retrying import Patience
from tokenmill.manifests.store import ATTEMPTS, checked_name

CACHE_BYTES = 64 << 30
FIRST_BYTES = 1 << 20  # what one request reads; most receipts are smaller


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStore:
    """`uri`: of the prefix, without a slash at its end. `local`: a folder of this machine for files on their way.

    A changed `options` (of botocore's client, or of fsspec's file system) is another client. A store that does not
    answer is asked for `patience_s` before EngineError. `lease_s`: how long a lock outlives a holder that died on
    another machine.
    """

    uri: str
    local: Path
    options: Options = ()
    cache_bytes: int = CACHE_BYTES
    patience_s: float = 300.0
    lease_s: float = 60.0
    top: str | None = None  # uri of the store that this one was reached from by `at`

    def at(self, name: str) -> "ObjectStore":
        return replace(self, uri=f"{self.uri}/{checked_name(name)}", top=self.top or self.uri)

    def path(self, name: str) -> Path:
        """Downloaded to this machine where it is not there yet; one request to know. Kept for GRACE_S at least."""
        objects, key = self._objects(name)
        return self._cache.path(objects, key)

    def opened(self, name: str) -> pa.NativeFile:
        """Ranges are fetched as they are read; nothing is kept on this machine."""
        objects, key = self._objects(name)
        found = objects.find(key)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "not in this store", objects.uri(key))
        return pa.PythonFile(RemoteStream(objects, key, found.size, None), mode="r")

    def exists(self, name: str) -> bool:
        return self.size(name) is not None

    def size(self, name: str) -> int | None:
        objects, key = self._objects(name)
        found = objects.find(key)
        return found.size if found else None

    def read(self, name: str) -> bytes:
        objects, key = self._objects(name)
        for _ in range(CHANGES):
            with suppress(Changed):
                data, found = objects.get(key, 0, FIRST_BYTES)
                if found.size > len(data):
                    data += objects.get(key, len(data), found.size, found.etag)[0]
                return data
        raise EngineError(f"{objects.uri(key)}: changed {CHANGES} times while it was read; is another run there?")

    def write(self, name: str, content: bytes, *, new: bool = False) -> None:
        objects, key = self._objects(name)
        try:
            objects.put(key, content, new=new)
        except Changed as error:
            if new:  # else another has written it since, as it might at any later moment
                raise FileExistsError(f"{objects.uri(key)}: already in this store") from error

    def scratch(self) -> Path:
        folder = self._attempts / name_of_ours()
        folder.mkdir(parents=True)
        return folder

    def publish(self, file: Path, name: str) -> None:
        objects, key = self._objects(name)
        found = objects.upload(key, file)
        if found is None:
            file.unlink()
        else:
            self._cache.adopt(objects, found, file)

    def names(self, prefix: str = "") -> list[str]:
        objects, top = self._folder("")
        _, below = self._folder(prefix)
        return sorted(found.key.removeprefix(top) for found in objects.listed(below))

    def delete(self, name: str) -> None:
        objects, key = self._objects(name)
        objects.delete([key])

    def delete_all(self, prefix: str) -> None:
        objects, below = self._folder(prefix)
        if keys := [found.key for found in objects.listed(below)]:
            objects.delete(keys)

    def forget_attempts(self, dead_only: bool = False) -> None:
        """Without `dead_only` also aborts uploads that were never completed, wherever they came from."""
        if dead_only:
            forget_dead(self._attempts)
            return
        self.abort_orphans(older_than_s=0)
        shutil.rmtree(self._attempts, ignore_errors=True)

    def abort_orphans(self, older_than_s: float) -> int:
        """How many uploads below this store were begun so long ago and never completed; they are aborted.

        Nobody sees them, and the store bills them. One that is still running fails, and is tried again by its task.
        """
        objects, below = self._folder("")
        return objects.abort_uploads(below, older_than_s)

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        objects, key = self._objects(name, Patience(total_s=min(self.patience_s, self.lease_s / 2)))
        with held(objects, key, self.lease_s):
            yield

    @property
    def _cache(self) -> ObjectCache:
        return ObjectCache(self.local / "cache", self.cache_bytes)

    @property
    def _attempts(self) -> Path:
        run = hashlib.sha256((self.top or self.uri).encode()).hexdigest()[:16]
        return self.local / ATTEMPTS / run

    def _objects(self, name: str, patience: Patience | None = None) -> tuple[Objects, str]:
        patience = patience or Patience(total_s=self.patience_s)
        return objects_at(f"{self.uri}/{checked_name(name)}", self.options, patience)

    def _folder(self, prefix: str) -> tuple[Objects, str]:
        """(objects, the key that everything below the folder begins with)"""
        place = f"{self.uri}/{checked_name(prefix)}" if prefix else self.uri
        objects, key = objects_at(place, self.options, Patience(total_s=self.patience_s))
        return objects, f"{key}/" if key else ""
