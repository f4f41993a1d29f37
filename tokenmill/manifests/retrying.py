"""Try again what a network or a busy server spoiled, ever more slowly, for a few minutes; then say so."""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tokenmill.core.errors import EngineError

T = TypeVar("T")
TELL_S = 10.0  # of silence, after which somebody may wonder
_log = logging.getLogger(__name__)  # on standard error, unless the program says otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to go on. The pause before try n+1 is drawn from 0 .. min(first_s * 2**n, longest_s): AWS's full jitter.

    A thousand workers that met the same outage must not come back together.
    """

    total_s: float = 300.0  # since the last progress; S3 tells clients to slow down for seconds, restarts take minutes
    first_s: float = 0.1
    longest_s: float = 20.0

    def pause_s(self, failures: int) -> float:
        return random.uniform(0, min(self.first_s * 2 ** min(failures, 30), self.longest_s))


def retried(
    what: str,
    call: Callable[[], T],
    *,
    patience: Patience,
    is_passing: Callable[[Exception], bool],
    progress: Callable[[], int] = lambda: 0,
    stop: threading.Event | None = None,
) -> T:
    """The result of `call`, tried again after every error that `is_passing`; others are raised as they are.

    `progress` grows when a failed call has got further: then the time starts anew. `stop`, when set, ends the wait.
    Raises EngineError, naming `what`, when the time is over.
    """
    stop = stop or threading.Event()
    began, reached, failures = time.monotonic(), progress(), 0
    told = False
    while True:
        try:
            return call()
        except Exception as error:
            if not is_passing(error):
                raise
            failures += 1
            if progress() > reached:
                began, reached, failures = time.monotonic(), progress(), 1
            spent_s = time.monotonic() - began
            if spent_s >= TELL_S and not told:
                told = True
                _log.warning("%s: %s; trying again for up to %.0f s", what, _told(error), patience.total_s)
            if spent_s >= patience.total_s or stop.wait(patience.pause_s(failures)):
                raise EngineError(
                    f"{what}: {_told(error)}; tried {failures} times in {spent_s:.0f} s; "
                    "run the same command again when the store answers"
                ) from error


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
