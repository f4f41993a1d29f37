"""Objects on this machine's disk: downloaded once for all its processes, and removed again, the longest unused first.

FOLDER/objects/HASH     content, under a hash of the object's name, etag and size
FOLDER/tree/...         links to it, laid out as the objects are: what belongs side by side lies side by side
FOLDER/partial-...      a download under way, with the name of the process that it is of
"""

import fcntl
import hashlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tokenmill.core.errors import EngineError
from tokenmill.manifests.objects import Changed, Found, Objects, in_parallel
from tokenmill.manifests.process_identity import is_of_dead, name_of_ours

PART_BYTES = 8 << 20
THREADS = 8  # a connection of S3 gives some 50-100 MB/s
GRACE_S = 600.0  # what was asked for within this time may not be open yet; open files outlive their names
SHARE_OF_DISK = 0.5  # of what is free or ours: the rest is for attempts and for others
LOCKS = 64
PARTIAL = "partial-"
CHANGES = 3  # of an object while it is downloaded, before we give up

_unlooked: dict[Path, int] = {}  # bytes that this process has added to a cache since it last looked at its size


@dataclass(frozen=True, slots=True)
class ObjectCache:
    """At most `most_bytes`, and at most SHARE_OF_DISK; a little more while everything is in use."""

    folder: Path
    most_bytes: int

    def path(self, objects: Objects, key: str) -> Path:
        """A file with the object's content now. One request if it is here. FileNotFoundError if there is no object."""
        for _ in range(CHANGES):
            found = objects.find(key)
            if found is None:
                raise FileNotFoundError(f"{objects.uri(key)}: no such object")
            content = self._content(objects, found)
            try:
                with self._locked(content.name):
                    if not _is_whole(content, found.size):
                        self._download(objects, found, content)
                    os.utime(content)
                    return self._linked(objects, key, content)
            except (Changed, FileNotFoundError):  # or trimmed by another process at this moment
                continue
            except OSError as error:
                raise EngineError(f"{self.folder}: {error.strerror}, for {objects.uri(key)}; make room") from error
        raise EngineError(f"{objects.uri(key)}: changed {CHANGES} times while it was downloaded; is another run there?")

    def adopt(self, objects: Objects, found: Found, file: Path) -> None:
        """Keep what was just uploaded, if that is cheap; it goes first: nobody asked for it yet. Consumes the file."""
        content = self._content(objects, found)
        try:
            content.parent.mkdir(parents=True, exist_ok=True)
            unused = time.time() - GRACE_S
            os.utime(file, (unused, unused))
            os.replace(file, content)
        except OSError:  # another file system
            file.unlink(missing_ok=True)
        else:
            self._added(found.size)

    def trim(self) -> None:
        """Down to the limit, without links that lead nowhere. Cost: a look at each file and each link."""
        files = []
        used = self._partial_bytes()
        for entry in os.scandir(self.folder / "objects"):
            try:
                facts = entry.stat()
                files.append((facts.st_mtime, facts.st_size, entry.path))
            except FileNotFoundError:  # another process is at it
                continue
        used += sum(size for _, size, _ in files)
        limit = min(self.most_bytes, SHARE_OF_DISK * (used + shutil.disk_usage(self.folder).free))
        before = time.time() - GRACE_S
        for modified, size, path in sorted(files):
            if used <= limit or modified > before:
                break
            Path(path).unlink(missing_ok=True)
            used -= size
        self._drop_links()

    def _partial_bytes(self) -> int:
        """Of downloads under way. Those of dead processes are removed."""
        used = 0
        for entry in os.scandir(self.folder):
            if not entry.name.startswith(PARTIAL):
                continue
            with suppress(FileNotFoundError):  # complete meanwhile
                if is_of_dead(entry.name.removeprefix(PARTIAL)):
                    os.unlink(entry.path)
                else:
                    used += entry.stat().st_blocks * 512
        return used

    def _drop_links(self) -> None:
        with self._tree_locked():
            for folder, _, links in os.walk(self.folder / "tree", topdown=False):
                for link in links:
                    path = os.path.join(folder, link)
                    if not os.path.exists(path):
                        os.unlink(path)
                with suppress(OSError):  # it holds something still
                    os.rmdir(folder)

    def _content(self, objects: Objects, found: Found) -> Path:
        facts = f"{objects.uri(found.key)}\0{found.etag}\0{found.size}\0{found.modified_ns}"
        return self.folder / "objects" / hashlib.sha256(facts.encode()).hexdigest()

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Between the processes and threads of this machine: one downloads, the others wait for it."""
        place = self.folder / "locks" / str(int(name[:8], 16) % LOCKS)
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _tree_locked(self) -> Iterator[None]:
        """Taken inside of `_locked`, never around it: links and their folders come and go."""
        place = self.folder / "locks" / "tree"
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _download(self, objects: Objects, found: Found, content: Path) -> None:
        """Raises Changed, and leaves nothing, if the object did while it was read."""
        content.parent.mkdir(parents=True, exist_ok=True)
        if self.folder not in _unlooked:  # those of dead processes take room that this one may need
            self._partial_bytes()
        partial_file = self.folder / f"{PARTIAL}{name_of_ours()}"
        halt = threading.Event()
        try:
            with partial_file.open("wb") as file:

                def fetch(start: int) -> None:
                    stop = min(start + PART_BYTES, found.size)
                    data, _ = objects.get(found.key, start, stop, found.etag, halt)
                    if len(data) != stop - start:
                        raise Changed(objects.uri(found.key))
                    os.pwrite(file.fileno(), data, start)

                in_parallel([partial(fetch, start) for start in range(0, found.size, PART_BYTES)], THREADS, halt)
                os.fsync(file.fileno())  # a name that outlives a crash must not stand for less
            os.replace(partial_file, content)
        except FileNotFoundError as error:
            raise Changed(objects.uri(found.key)) from error
        finally:
            partial_file.unlink(missing_ok=True)
        self._added(found.size)

    def _linked(self, objects: Objects, key: str, content: Path) -> Path:
        scheme, _, place = objects.uri(key).partition("://")
        link = self.folder / "tree" / scheme / place
        target = os.path.relpath(content, link.parent)
        if not link.is_symlink() or os.readlink(link) != target:
            with self._tree_locked():
                link.parent.mkdir(parents=True, exist_ok=True)
                temporary = link.with_name(f".{uuid.uuid4().hex}")
                temporary.symlink_to(target)
                os.replace(temporary, link)
        return link

    def _added(self, size: int) -> None:
        """Looks at the first addition of a process, then after each sixteenth of the limit."""
        unlooked = _unlooked.get(self.folder, self.most_bytes) + size
        if unlooked >= self.most_bytes // 16:
            self.trim()
            unlooked = 0
        _unlooked[self.folder] = unlooked


def _is_whole(content: Path, size: int) -> bool:
    try:
        return content.stat().st_size == size
    except FileNotFoundError:
        return False
