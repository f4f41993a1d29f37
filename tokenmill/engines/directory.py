"""The place that a run writes: whose it is, who holds it, and how it is left."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.manifests import checked_json
from tokenmill.manifests.manifest import FILE, SHARDS_FILE
from tokenmill.manifests.store import WORK, Store

REQUEST = f"{WORK}/request.json"
LOCK = f"{WORK}/lock"
STARTED = f"{WORK}/started.json"
PROVENANCE = "provenance.json"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


@contextmanager
def claimed(out: Store, request: dict[str, Any], *, keep_attempts: bool = False) -> Iterator[bool]:
    """Hold `out` for a run of `request`, new or to be continued; nobody else writes to it meanwhile.

    Yields whether the run is finished already, by who held it before: then there is nothing to do, or to claim.

    Raises RecipeError, having written nothing, if `out` holds something else or cannot be written,
    EngineError if another process is at work there.
    """
    if not is_finished(out):
        _check_free(out, request)
    lock = out.hold(LOCK)
    try:
        lock.__enter__()
    except BlockingIOError as error:
        raise EngineError(
            f"{out.uri}: another run is writing here; wait for it, then run the same command again"
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise EngineError(f"{out.uri}: {error.strerror}; make room, then run the same command again") from error
        raise RecipeError(f"{out.uri}: cannot be written ({error.strerror}); choose another --out") from error
    try:
        if is_finished(out):
            yield True
            return
        out.forget_attempts(dead_only=keep_attempts)
        try:
            checked_json.save_in(out, REQUEST, request)
        except OSError as error:
            raise EngineError(f"{out.uri}: {error.strerror}; make room, then run the same command again") from error
        yield False
    finally:
        lock.__exit__(None, None, None)


def clear(out: Store) -> None:
    """Remove all work of a run that is finished, but for the lock that is held."""
    for top in sorted({"/".join(name.split("/")[:2]) for name in out.names(WORK)} - {LOCK}):
        out.delete(top) if top in (REQUEST, STARTED) else out.delete_all(top)


def is_finished(out: Store) -> bool:
    return out.exists(FILE)


def _check_free(out: Store, request: dict[str, Any]) -> None:
    try:
        if out.exists(REQUEST):
            found = checked_json.load_from(out, REQUEST)
            if found != request:
                raise RecipeError(
                    f"{out.uri}: holds an unfinished run of {_difference(found, request)}; "
                    "finish that, remove it, or choose another --out"
                )
            return
        strange = [name for name in out.names() if not name.startswith(f"{WORK}/")]
    except NotADirectoryError as error:
        raise RecipeError(f"{out.uri}: is a file; choose another --out") from error
    if strange:
        named = ", ".join(strange[:3]) + (", ..." if len(strange) > 3 else "")
        raise RecipeError(f"{out.uri}: not empty ({named}), and no run of ours; choose another --out")


def check_same(out: Store, found: dict[str, Any], request: dict[str, Any]) -> None:
    """Raises RecipeError unless the finished run in `out` answers `request`."""
    if found != request:
        raise RecipeError(f"{out.uri}: holds a finished run of {_difference(found, request)}; choose another --out")


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    if found["recipe"] != wanted["recipe"]:
        return f"recipe {found['recipe']} (this is {wanted['recipe']})"
    return f"{found['recipe']} on other sources or files, or with other licences or dates stated of them"


def sweep(out: Store, named: set[str]) -> None:
    """Remove what an earlier attempt left in the run's folders and no receipt names."""
    keep = {FILE, SHARDS_FILE, PROVENANCE}
    for name in out.names():
        if not name.startswith(f"{WORK}/") and name not in named and name not in keep:
            out.delete(name)
