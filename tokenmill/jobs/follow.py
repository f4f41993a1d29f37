"""To see a submitted run to its end from outside: by its receipts, and by what its scheduler says of its parts.

What is seen goes to a Progress, as if the run were made here. Nobody is told to do anything.
"""

import time
from collections.abc import Iterator

from tokenmill.core.errors import EngineError
from tokenmill.engines import directory
from tokenmill.engines.context import Context
from tokenmill.engines.driver import TICKETS, Progress, ticket_name
from tokenmill.engines.share import StationReceipts
from tokenmill.engines.stations import stations
from tokenmill.jobs.console import warn
from tokenmill.jobs.handing_over import is_at_work
from tokenmill.jobs.submission import Submission
from tokenmill.manifests.manifest import Manifest

LOOKS_S = (0.5, 15.0)  # between looks: at first, and at most
SLOWER = 1.3  # each time that there was nothing new
SCHEDULER_EVERY_S = 15.0  # it is asked, at most
GRACE_S = 75.0  # a shared file system may show a file a minute late to a machine that has looked for it before
PATIENCE_S = 900.0  # with a scheduler that does not answer


def follow(submission: Submission, context: Context, progress: Progress) -> Manifest:
    """Return when the run is finished. Raises EngineError when nothing of it is at work any more, and it is not."""
    seen = _Seen(context, progress)
    alive = _Alive(submission)
    over_at: float | None = None
    for _ in _looks(seen):
        if directory.is_finished(context.out):
            seen.look()
            return Manifest.load(context.out)
        if alive.is_over():
            over_at = over_at or time.monotonic()
            if time.monotonic() - over_at >= GRACE_S:
                raise EngineError(
                    f"{submission.name}: ended before its run was finished; see what became of it (tokenmill logs "
                    f"{submission.folder} --failed), then run the same command again: what has a receipt is done"
                )
    raise AssertionError("looks do not end")


class _Seen:
    """What was told to `progress` so far: the phases that were opened, and how many of their tasks are done.

    A station that was closed together with others leaves no ticket, and is not told of.
    """

    def __init__(self, context: Context, progress: Progress) -> None:
        self._context, self._progress = context, progress
        self._names = [ticket_name(number) for number in range(len(stations(context)))]
        self._station = -1  # the last one that was told of
        self._here: StationReceipts | None = None
        self._done = 0

    def look(self) -> bool:
        """Tell what is new; whether anything was."""
        if directory.is_finished(self._context.out):
            return self._count(closed=True)
        tickets = set(self._context.out.names(TICKETS))
        found = False
        for number in range(self._station + 1, len(self._names)):
            if self._names[number] not in tickets:
                continue
            self._count(closed=True)
            try:
                self._here = StationReceipts(self._context, number)
            except EngineError:  # finished since we looked
                return True
            self._station, self._done, found = number, self._here.count(), True
            self._progress.phase(self._here.phase.name, len(self._here.phase.tasks), self._done, 0)
        return self._count(closed=False) or found

    def _count(self, *, closed: bool) -> bool:
        """Of the station at hand."""
        if self._here is None:
            return False
        before = self._done
        self._done = max(before, len(self._here.phase.tasks) if closed else self._here.count())
        for _ in range(self._done - before):
            self._progress.task_done()
        return self._done > before


class _Alive:
    """Whether a scheduler still has anything of a submission, asked now and then."""

    def __init__(self, submission: Submission) -> None:
        self._submission = submission
        self._asked, self._heard = 0.0, time.monotonic()
        self._over = False

    def is_over(self) -> bool:
        """Raises EngineError once the scheduler has said nothing for PATIENCE_S."""
        now = time.monotonic()
        if not self._over and now - self._asked >= SCHEDULER_EVERY_S:
            self._asked = now
            try:
                self._over = not is_at_work(self._submission)
                self._heard = now
            except EngineError as error:
                if now - self._heard >= PATIENCE_S:
                    raise
                warn(f"{error}; asked again in {SCHEDULER_EVERY_S:.0f} s")
        return self._over


def _looks(seen: _Seen) -> Iterator[None]:
    """Look, and wait; ever less often while there is nothing new."""
    wait, most = LOOKS_S
    while True:
        wait = LOOKS_S[0] if seen.look() else min(wait * SLOWER, most)
        yield
        time.sleep(wait)
