"""The directory that a run writes: whose it is, who holds it, and how it is left."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.manifests import checked_json
from tokenmill.manifests.attempt import ATTEMPTS, WORK
from tokenmill.manifests.manifest import FILE, SHARDS_FILE

REQUEST = "request.json"
PROVENANCE = "provenance.json"


@contextmanager
def claimed(out: Path, request: dict[str, Any]) -> Iterator[None]:
    """Hold `out` for a run of `request`, new or to be continued; nobody else writes to it meanwhile.

    Raises RecipeError, having written nothing, if `out` holds something else or cannot be written,
    EngineError if another process is at work there.
    """
    _check_free(out, request)
    try:
        (out / WORK).mkdir(parents=True, exist_ok=True)
        lock = (out / WORK / "lock").open("w")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise EngineError(f"{out}: {error.strerror}; make room, then run the same command again") from error
        raise RecipeError(f"{out}: cannot be written ({error.strerror}); choose another --out") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise EngineError(
                f"{out}: another run is writing here; wait for it, then run the same command again"
            ) from error
        shutil.rmtree(out / ATTEMPTS, ignore_errors=True)  # of processes that died
        try:
            checked_json.save(out / WORK / REQUEST, request)
        except OSError as error:
            raise EngineError(f"{out}: {error.strerror}; make room, then run the same command again") from error
        yield


def is_finished(out: Path) -> bool:
    return (out / FILE).exists()


def _check_free(out: Path, request: dict[str, Any]) -> None:
    if (out / WORK / REQUEST).exists():
        found = checked_json.load(out / WORK / REQUEST)
        if found != request:
            raise RecipeError(
                f"{out}: holds an unfinished run of {_difference(found, request)}; "
                "finish that, remove it, or choose another --out"
            )
    elif out.is_dir():
        strange = sorted(p.name for p in out.iterdir() if p.name != WORK)
        if strange:
            named = ", ".join(strange[:3]) + (", ..." if len(strange) > 3 else "")
            raise RecipeError(f"{out}: not empty ({named}), and no run of ours; choose another --out")
    elif out.exists():
        raise RecipeError(f"{out}: is a file; choose another --out")


def check_same(out: Path, found: dict[str, Any], request: dict[str, Any]) -> None:
    """Raises RecipeError unless the finished run in `out` answers `request`."""
    if found != request:
        raise RecipeError(f"{out}: holds a finished run of {_difference(found, request)}; choose another --out")


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    if found["recipe"] != wanted["recipe"]:
        return f"recipe {found['recipe']} (this is {wanted['recipe']})"
    return f"{found['recipe']} on other sources or other files"


def sweep(out: Path, named: set[str]) -> None:
    """Remove what an earlier attempt left in the run's folders and no receipt names; then empty folders."""
    keep = {FILE, SHARDS_FILE, PROVENANCE}
    for folder, _, files in os.walk(out, topdown=False):
        here = Path(folder)
        if WORK in here.relative_to(out).parts:
            continue
        for name in files:
            path = (here / name).relative_to(out).as_posix()
            if path not in named and path not in keep:
                (here / name).unlink()
        if here != out and not any(here.iterdir()):
            here.rmdir()
