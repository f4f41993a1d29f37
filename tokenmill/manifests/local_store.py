"""A folder as a store: content is flushed to disk under another name, then renamed.

The folder may be of a file system that many machines share (NFS, Lustre, GPFS), with locks and hard links.
"""

import errno
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from tokenmill.core.errors import RecipeError
from tokenmill.manifests.checked_json import write_whole
from tokenmill.manifests.process_identity import is_of_dead, name_of_ours
from tokenmill.manifests.store import ATTEMPTS, Store, checked_name

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}")  # as `write_whole` names what it is writing
DELETERS = 16
TRIES = 5  # at making a folder, or a lock in it, that another process keeps removing


@dataclass(frozen=True, slots=True)
class LocalStore:
    """`root` need not exist. Errors of the file system (a full disk, no permission) pass through as OSError.

    `attempts`: the folder for scratch, on the same file system; by default below `root`.
    """

    root: Path
    attempts: Path | None = None

    @property
    def uri(self) -> str:
        return str(self.root)

    def at(self, name: str) -> "LocalStore":
        return LocalStore(self.root / checked_name(name), self._attempts)

    def path(self, name: str) -> Path:
        path = self._place(name)
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "not in this store", str(path))
        return path

    def opened(self, name: str) -> pa.NativeFile:
        return pa.memory_map(str(self.path(name)))

    def exists(self, name: str) -> bool:
        return self._place(name).is_file()

    def size(self, name: str) -> int | None:
        try:
            return self.path(name).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes:
        return self._place(name).read_bytes()

    def write(self, name: str, content: bytes, *, new: bool = False) -> None:
        path = self._place(name)
        if not new:
            _in_its_folder(path, lambda: write_whole(path, content))
            return
        if path.exists():
            raise FileExistsError(errno.EEXIST, "already in this store", str(path))
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            _in_its_folder(temporary, lambda: write_whole(temporary, content))
            os.link(temporary, path)  # unlike a rename, refuses a name that another process took meanwhile
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EOPNOTSUPP):
                raise RecipeError(f"{path}: this file system has no hard links; choose a folder on another") from error
            raise
        finally:
            temporary.unlink(missing_ok=True)

    def scratch(self) -> Path:
        folder = self._attempts / name_of_ours()
        folder.mkdir(parents=True)
        return folder

    def publish(self, file: Path, name: str) -> None:
        path = self._place(name)
        _flush(file)
        try:
            _in_its_folder(path, lambda: os.replace(file, path))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._publish_from_elsewhere(file, path)

    def names(self, prefix: str = "") -> list[str]:
        top = self._place(prefix) if prefix else self.root
        found = []
        for folder, _, files in os.walk(top):
            below = Path(folder).relative_to(self.root).as_posix()
            if below == ATTEMPTS or below.startswith(f"{ATTEMPTS}/"):
                continue
            found += [f if below == "." else f"{below}/{f}" for f in files if not _TEMPORARY.fullmatch(f)]
        return sorted(found)

    def delete(self, name: str) -> None:
        path = self._place(name)
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self.root:
                return
            try:
                folder.rmdir()
            except OSError:  # it holds something still, or is gone already
                return

    def delete_all(self, prefix: str) -> None:
        """Several files at a time: a run of 100,000 shards leaves a million files of work, at 1 ms each.

        All are tried; then the first OSError is raised. What another process adds meanwhile stays.
        """
        errors: list[OSError] = []

        def note(error: OSError) -> None:
            if error.errno != errno.ENOENT:  # another process deletes too
                errors.append(error)

        with ThreadPoolExecutor(DELETERS) as deleters:
            for folder, folders, files in os.walk(self._place(prefix), topdown=False, onerror=note):
                links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
                for error in deleters.map(_delete, [os.path.join(folder, name) for name in files + links]):
                    if error is not None:
                        note(error)
                try:
                    os.rmdir(folder)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # added meanwhile, or told of already
                        note(error)
        if errors:
            raise errors[0]

    def forget_attempts(self, dead_only: bool = False) -> None:
        if not dead_only:
            shutil.rmtree(self._attempts, ignore_errors=True)
            return
        forget_dead(self._attempts)

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """By flock: the kernel frees it when the process dies. The file stays, empty, unless its holder deletes it:
        last, as from then on another process may hold a new one of that name.
        """
        path = self._place(name)
        for _ in range(TRIES):
            with _opened_in_its_folder(path) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(lock.fileno(), path):
                    yield
                    return
        raise BlockingIOError(errno.EAGAIN, "others are taking and deleting it at this moment", str(path))

    @property
    def _attempts(self) -> Path:
        return self.attempts or self.root / ATTEMPTS

    def _place(self, name: str) -> Path:
        return self.root / checked_name(name)

    def _publish_from_elsewhere(self, file: Path, path: Path) -> None:
        """A rename is whole only within one file system: bring the file to this one first."""
        folder = self.scratch()
        try:
            copy = folder / path.name
            shutil.copyfile(file, copy)
            _flush(copy)
            _in_its_folder(path, lambda: os.replace(copy, path))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        file.unlink()


def as_store(place: Path | Store) -> Store:
    """A folder of this machine as the store that it is."""
    return LocalStore(place) if isinstance(place, Path) else place


def forget_dead(attempts: Path) -> None:
    """Remove the scratch folders in `attempts` of processes of this machine that are gone."""
    try:
        names = os.listdir(attempts)
    except FileNotFoundError:
        return
    for name in names:
        if is_of_dead(name):
            shutil.rmtree(attempts / name, ignore_errors=True)


def _delete(path: str) -> OSError | None:
    try:
        os.unlink(path)
    except OSError as error:
        # NFS keeps a deleted file under such a name as long as somebody reads it, and then removes it itself.
        return None if error.errno == errno.EBUSY and os.path.basename(path).startswith(".nfs") else error
    return None


def _is_at(handle: int, path: Path) -> bool:
    """Is the file that is open as `handle` the one at `path` still? Not if it was deleted before we locked it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _opened_in_its_folder(path: Path) -> TextIO:
    opened: list[TextIO] = []
    _in_its_folder(path, lambda: opened.append(path.open("w")))
    return opened[0]


def _flush(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _in_its_folder(path: Path, act: Callable[[], None]) -> None:
    for tries_left in reversed(range(TRIES)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            act()
            return
        except (FileNotFoundError, FileExistsError):  # mkdir raises either when the folder goes while it looks
            if not tries_left:
                raise
