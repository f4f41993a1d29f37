"""A name that stands for the newest good run of a job, moved from one run to the next in one step.

On this machine it is a symlink. Where the pointer or the run is in an object store it is a small JSON object (or file)
that names the run, relative to the folder that the pointer lies in where it can be. Whoever reads through one resolves
it first, once: it may move while they read.
"""

import errno
import json
import os
import tempfile
import uuid
from pathlib import Path

from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.manifests.checked_json import write_whole
from tokenmill.manifests.manifest import FILE
from tokenmill.manifests.store import is_remote, store_at

KEY = "tokenmill_run"
LARGEST = 4096  # bytes of a pointer: nothing larger is read to find out whether it is one


def check_pointer(pointer: str) -> None:
    """Raises RecipeError if something lies there that is no pointer, and would be lost."""
    if is_remote(pointer):
        taken = _content(pointer) is not None and _named(pointer) is None
    else:
        taken = os.path.lexists(pointer) and not _is_link(pointer) and _named(pointer) is None
    if taken:
        raise RecipeError(f"{pointer}: is there already and points to no run; remove it, or choose another `current`")


def point(pointer: str, run: str, identity: str) -> None:
    """Let `pointer` stand for `run`: a reader sees the old run or this one. Raises as `check_pointer`, EngineError."""
    check_pointer(pointer)
    folder, name = _parted(pointer)
    if is_remote(pointer) or is_remote(run):
        target = run.removeprefix(f"{folder}/")
        content = json.dumps({KEY: target, "identity": identity}, indent=1).encode() + b"\n"
        if not is_remote(pointer):
            write_whole(Path(pointer), content)
            return
        with tempfile.TemporaryDirectory() as scratch:
            store_at(folder, Path(scratch)).write(name, content)
        return
    temporary = os.path.join(folder, f".{name}.{uuid.uuid4().hex}")
    try:
        os.makedirs(folder, exist_ok=True)
        os.symlink(os.path.relpath(os.path.realpath(run), os.path.realpath(folder)), temporary)
        os.replace(temporary, pointer)
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP):
            raise RecipeError(f"{pointer}: this file system has no symlinks; put `current` on another") from error
        raise EngineError(f"{pointer}: {error.strerror}; mend that, then run the same command again") from error


def followed(place: str) -> str:
    """The run's directory that `place` points to, or `place` itself if it is no pointer. One request for a URL.

    Its manifest.json may be named too. Raises RecipeError for a pointer to a run that is gone.
    """
    folder, name = _parted(place)
    if name == FILE:
        run = followed(folder)
        return place if run == folder else f"{run}/{FILE}"
    if not is_remote(place) and os.path.islink(place):
        if not os.path.exists(place):
            raise RecipeError(
                f"{place}: points to {os.readlink(place)}, which is gone; restore that run, or point it anew"
            )
        return os.path.realpath(place) if os.path.isfile(os.path.join(place, FILE)) else place
    return _named(place) or place


def _is_link(pointer: str) -> bool:
    """To a run, or to one that is gone. A link to anything else is somebody's."""
    return os.path.islink(pointer) and (not os.path.exists(pointer) or os.path.isfile(os.path.join(pointer, FILE)))


def _named(pointer: str) -> str | None:
    """The run that a JSON pointer names; None if it is no such thing."""
    content = _content(pointer)
    try:
        target = json.loads(content)[KEY] if content and content.startswith(b"{") else None
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(target, str):
        return None
    return target if is_remote(target) or target.startswith("/") else f"{_parted(pointer)[0]}/{target}"


def _content(pointer: str) -> bytes | None:
    folder, name = _parted(pointer)
    if not is_remote(pointer):
        path = Path(pointer)
        return path.read_bytes() if path.is_file() and path.stat().st_size <= LARGEST else None
    if not name or any(c in name for c in "*?["):
        return None
    with tempfile.TemporaryDirectory() as scratch:
        store = store_at(folder, Path(scratch))
        size = store.size(name)
        return store.read(name) if size is not None and size <= LARGEST else None


def _parted(place: str) -> tuple[str, str]:
    """(folder, name); neither ends in a slash."""
    folder, _, name = place.rstrip("/").rpartition("/")
    return folder or ("/" if place.startswith("/") else "."), name
