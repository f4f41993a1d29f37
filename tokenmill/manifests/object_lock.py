"""An exclusive lock in an object store: an object that its holder renews, and that may be replaced when it is old.

Time is the store's, so that no two machines need agree on it. A holder that is cut off for longer than its lease
loses the lock and learns of it at its next renewal; what it commits meanwhile must be harmless, as it is in a run,
where the same task gives the same files. In a store without conditional writes two that begin within the same
moment may both believe that they hold it.

A renewal that failed may be made good by a later one: it succeeds only if nobody took the lock meanwhile.
"""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tokenmill.core.errors import EngineError
from tokenmill.manifests.objects import Changed, Found, Objects
from tokenmill.manifests.process_identity import is_dead, this_process

RENEWALS = 4  # in a lease: three may fail
TRIES = 3  # at a lock that others free or take at the same moment


@contextmanager
def held(objects: Objects, key: str, lease_s: float) -> Iterator[None]:
    """Raises BlockingIOError, saying who has it, if another does. One that died here is found out at once, elsewhere
    when its lease is over. Leaving raises EngineError if the lock was lost meanwhile, or could not be renewed before
    its lease was over; what went wrong inside goes first.
    """
    name = {"holder": uuid.uuid4().hex, "process": this_process(), "lease_s": lease_s}
    renewed_s = time.monotonic()
    found = _taken(objects, key, name)
    left, taken = threading.Event(), threading.Event()
    failure: Exception | None = None  # of the last renewal

    def renew() -> None:
        nonlocal found, renewed_s, failure
        for turn in range(1, 1 << 62):
            if left.wait(lease_s / RENEWALS):
                return
            began_s = time.monotonic()
            try:
                found = objects.put(key, _body(name | {"renewed": turn}), etag=found.etag)
                renewed_s, failure = began_s, None
            except Changed:
                taken.set()
                return
            except Exception as error:  # no answer, credentials that ran out, anything: the heart must not stop
                failure = error

    def let_go() -> None:
        left.set()
        heart.join()
        if taken.is_set():
            raise EngineError(
                f"{objects.uri(key)}: lost to another process, since this one had not renewed it for {lease_s:.0f} s; "
                "run the same command again when that one is done"
            )
        unrenewed_s = time.monotonic() - renewed_s
        if failure is not None and unrenewed_s > lease_s:
            raise EngineError(
                f"{objects.uri(key)}: not renewed for {unrenewed_s:.0f} s, so that another process may have taken it "
                f"({failure}); mend that, then run the same command again"
            ) from failure
        objects.delete_same(key, found.etag)

    heart = threading.Thread(target=renew, name=f"renews {key}", daemon=True)
    heart.start()
    try:
        yield
    except BaseException:
        with suppress(Exception):
            let_go()
        raise
    let_go()


def _taken(objects: Objects, key: str, name: dict[str, Any]) -> Found:
    for _ in range(TRIES):
        try:
            return objects.put(key, _body(name), new=True)
        except Changed:
            now = objects.find(key)
        if now is None:
            continue
        try:
            other = json.loads(objects.get(key, 0, max(now.size, 1), now.etag)[0])
        except (Changed, FileNotFoundError):
            continue
        if now.age_s <= other["lease_s"] and not is_dead(other["process"]):
            who = f"process {other['process']['pid']} on {other['process']['host']}"
            raise BlockingIOError(f"{objects.uri(key)}: held by {who}, renewed {now.age_s:.0f} s ago")
        try:
            return objects.put(key, _body(name), etag=now.etag)
        except Changed:
            continue
    raise BlockingIOError(f"{objects.uri(key)}: others are taking it at this moment")


def _body(name: dict[str, Any]) -> bytes:
    return json.dumps(name, sort_keys=True).encode()
