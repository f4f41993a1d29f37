"""Work at one station for schedulers where nobody waits in the middle: elements of an array, then one that closes it.

An element runs its share of the station's tasks. Who closes goes the whole way again with the ordinary driver: receipts
vouch for what is done, and what is missing is done on the spot. So an element that never ran costs time, not truth.
"""

import pickle
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from tokenmill.core.errors import EngineError
from tokenmill.engines import directory
from tokenmill.engines.context import Context
from tokenmill.engines.driver import TICKETS, Driver, Progress, ticket_name
from tokenmill.engines.local import LocalEngine
from tokenmill.engines.phase import Phase
from tokenmill.engines.pool import Pool
from tokenmill.engines.receipts import forget_collected, found_receipts
from tokenmill.engines.run import finish, finished
from tokenmill.engines.stations import stations
from tokenmill.engines.task import Receipt, Task
from tokenmill.manifests import checked_json
from tokenmill.manifests.manifest import Manifest


def prepare(context: Context, progress: Progress, *, anew: bool) -> None:
    """Claim the run's place, and leave the ticket for its first station. A run begun there goes on.

    `anew`: no element is at work, and stations must be closed again before those behind them begin (an input may have
    changed). Raises RecipeError if something else lies there.
    """
    if directory.is_finished(context.out):
        finished(context.plan, context.out, context.plan.request())
        return
    # An element that comes back must not sweep away what the others are at.
    with directory.claimed(context.out, context.plan.request(), keep_attempts=not anew) as already:
        if already:
            return
        if anew:
            context.out.delete_all(TICKETS)
        elif context.out.exists(ticket_name(0)):
            return
        if not context.out.exists(directory.STARTED):
            checked_json.save_in(context.out, directory.STARTED, {"started": datetime.now(UTC).isoformat()})
        with Pool(context, 1) as workers:
            Driver(context, workers, progress).write_ticket(0)


def run_share(context: Context, station: int, rank: int, of: int, *, workers: int, progress: Progress) -> int:
    """Run the tasks rank, rank + of, ... of a station that have no receipt yet; how many those were.

    Tasks may run twice, here and elsewhere; whichever commits last writes the same bytes.
    Raises EngineError if the stations before are not closed, errors of tasks as they come.
    """
    if directory.is_finished(context.out):
        return 0
    context.out.forget_attempts(dead_only=True)  # of an element that was killed on this machine
    missing = missing_tasks(context, station, rank, of)
    run_missing(context, station, missing, workers=workers, progress=progress)
    return len(missing)


def missing_tasks(context: Context, station: int, rank: int = 0, of: int = 1) -> list[Task]:
    """Of one share, or of all, those that have no receipt. None of a station that is closed."""
    if is_closed(context, station):
        return []
    try:
        phase = read_ticket(context, station)
    except EngineError:
        if directory.is_finished(context.out):  # since we looked
            return []
        raise
    tasks = phase.tasks[rank::of]
    receipts = found_receipts(context, phase.name, tasks)
    return [task for task, receipt in zip(tasks, receipts, strict=True) if receipt is None]


def run_missing(context: Context, station: int, tasks: Sequence[Task], *, workers: int, progress: Progress) -> None:
    """Run some tasks of a station."""
    progress.phase(stations(context)[station].name, len(tasks), 0, 0)

    def done(number: int, receipt: Receipt) -> None:
        progress.task_done()

    if tasks:
        forget_collected(context, read_ticket(context, station).name)
        with Pool(context, workers) as pool:
            pool.run(tasks, done, progress.news)


def close(context: Context, station: int, *, workers: int, progress: Progress) -> Manifest | None:
    """Go on to the end of `station`, and leave the ticket for the next; of the last one ("finish"), the manifest."""
    if directory.is_finished(context.out):
        return finished(context.plan, context.out, context.plan.request())
    began = time.monotonic()
    last = station == len(stations(context)) - 1
    with directory.claimed(context.out, context.plan.request(), keep_attempts=True) as already:
        if not already:
            with Pool(context, workers) as pool:
                driver = Driver(context, pool, progress)
                driver.run(until=station + 1)
                peak = pool.peak_bytes
            if not last:
                driver.write_ticket(station + 1)
                return None
            started = datetime.fromisoformat(checked_json.load_from(context.out, directory.STARTED)["started"])
            facts = {"engine": "elements", **LocalEngine(workers=workers).facts(), "peak_bytes_per_worker": peak}
            finish(context, driver, facts, started, round(time.monotonic() - began, 3))
            directory.clear(context.out)
    return finished(context.plan, context.out, context.plan.request())


def is_closed(context: Context, station: int) -> bool:
    """Whether the one behind it may begin; -1: whether the first may."""
    return directory.is_finished(context.out) or context.out.exists(ticket_name(station + 1))


def read_ticket(context: Context, station: int) -> Phase:
    """Raises EngineError for a station that may not begin yet."""
    try:
        phase: Phase = pickle.loads(context.out.read(ticket_name(station)))
    except FileNotFoundError as error:
        name = stations(context)[station].name
        raise EngineError(
            f"{context.out.uri}: the stations before {station} ({name}) are not closed; run those first"
        ) from error
    return phase


class StationReceipts:
    """How many of a station's tasks have a receipt: by one listing, without reading any."""

    def __init__(self, context: Context, station: int) -> None:
        """Raises EngineError for a station that may not begin yet."""
        self._context = context
        self.phase = read_ticket(context, station)
        tasks = self.phase.tasks
        self._folder = tasks[0].receipt(context).rpartition("/")[0] if tasks else ""

    def count(self) -> int:
        return len(self._context.out.names(self._folder)) if self._folder else 0
