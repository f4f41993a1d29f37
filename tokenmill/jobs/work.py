"""`tokenmill work`: one long-lived element that goes through all stations in step with the others.

For schedulers that start many equal processes and know nothing of an order among their tasks. Rank 0 closes each
station; the others wait for that. An element that has done its share takes tasks that nobody has done, so that one
which never comes, or comes back late, holds nobody up.

A thousand elements may wait for one, over 100,000 receipts: who waits looks for one file, the next station's ticket,
ever less often, and asks what the others have done only once it has waited long; who closes lists the receipts.
"""

import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from tokenmill.core.errors import EngineError, RecipeError, TokenmillError
from tokenmill.engines import directory
from tokenmill.engines.context import Context
from tokenmill.engines.share import (
    StationReceipts,
    close,
    is_closed,
    missing_tasks,
    prepare,
    run_missing,
    run_share,
)
from tokenmill.engines.stations import Station, stations
from tokenmill.jobs.console import show
from tokenmill.jobs.lives import count_barren
from tokenmill.jobs.plan_file import read_watched
from tokenmill.jobs.progress import ConsoleProgress
from tokenmill.jobs.task import TERMINATED, Counted, Terminated, until_terminated
from tokenmill.jobs.watch import Watch, Watched, joined, watched
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.store import WORK

RECEIPTS = f"{WORK}/receipts"
LOOKS_S = (1.0, 30.0)  # between looks while waiting for others: at first, and at most
SLOWER = 1.5  # each time
PATIENCE_S = 60.0  # without news from the others, before an element does what they have not
SILENCE_S = 2 * 3600.0  # without any, before it gives up; a task may take long


def command(
    folder: Annotated[Path, typer.Argument(help="The folder of a submitted job.")],
    rank: Annotated[int, typer.Option(help="Which element this is, from 0.")] = 0,
    of: Annotated[int, typer.Option(help="Of how many.")] = 1,
    stations_: Annotated[str | None, typer.Option("--stations", help="Numbers, with commas; by default all.")] = None,
    no_closing: Annotated[bool, typer.Option("--no-closing", help="Another element closes the stations.")] = False,
    workers: Annotated[int, typer.Option(help="Worker processes.")] = 1,
    engine: Annotated[str | None, typer.Option(help="Do the whole job on this engine, alone: spark, dask.")] = None,
    patience: Annotated[float, typer.Option(help="Seconds without news before doing others' tasks.")] = PATIENCE_S,
    silence: Annotated[float, typer.Option(help="Seconds without news from anyone before giving up.")] = SILENCE_S,
    retries: Annotated[
        int | None, typer.Option(help="How often it may be stopped in a row (143) before it has done one task, then 4.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> int:
    """Go through all stations of a submitted job in step with its other elements."""
    if not 0 <= rank < of:
        raise RecipeError(f"--rank {rank}: want 0..{of - 1}")
    context, watch = read_watched(folder)
    if engine is not None:
        return _alone(context, engine, watch, as_json)
    known = stations(context)
    mine = _numbers(stations_, known)
    closes = rank == 0 and not no_closing
    progress = ConsoleProgress(quiet=as_json)
    counted = Counted(progress)
    element = _Element(context, rank, of, mine, closes, workers, patience, silence, counted, watch)
    try:
        with until_terminated(), progress:
            element.begin()
            for number in range(len(known)):
                element.pass_through(number)
    except Terminated:
        show({"terminated": True, "done": element.done}, as_json, "stopped; what has a receipt is done")
        if retries is not None and (element.at_work or element.done):  # who only waited may be stopped ever so often
            barren = count_barren(folder, f"work.{stations_ or 'all'}.{rank}", element.done)
            if barren > retries:
                raise EngineError(
                    f"stopped {barren} times in a row before one task was done; give it more `time`, or smaller inputs"
                ) from None
        return TERMINATED
    told: dict[str, Any] = {}
    if directory.is_finished(context.out):
        told = {"identity": Manifest.load(context.out).identity, "out": context.out.uri}
    show(told, as_json, "\n".join(f"{name} {value}" for name, value in told.items()) or "all its stations are closed")
    return 0


class _Element:
    """One of `of`. `mine`: the stations whose tasks it does."""

    def __init__(
        self,
        context: Context,
        rank: int,
        of: int,
        mine: Collection[int],
        closes: bool,
        workers: int,
        patience_s: float,
        silence_s: float,
        progress: Counted,
        watch: Watch | None,
    ) -> None:
        self._context = context
        self._rank, self._of = rank, of
        self._mine = mine
        self._closes = closes
        self._workers = workers
        self._patience_s, self._silence_s = patience_s, silence_s
        self._progress = progress
        self._watch = watch if closes else None
        self.at_work = False  # and not waiting

    @property
    def done(self) -> int:
        """Tasks, in this life."""
        return self._progress.done

    def begin(self) -> None:
        """Rank 0 claims the place; the others wait for that."""
        if self._closes:
            prepare(self._context, self._progress, anew=False)
        silence = _Silence(self._context, self._silence_s)
        for _ in _looks(self._silence_s):
            if is_closed(self._context, -1):
                return
            silence.check("the first station")

    def pass_through(self, number: int) -> None:
        """Return when station `number` is closed."""
        if number in self._mine:
            try:
                self._work(lambda: run_share(self._context, number, self._rank, self._of, **self._means))
            except TokenmillError as error:
                with joined(self._watch, self._context, self._progress):
                    raise error
        self._wait_for_the_others(number)
        if self._closes and not is_closed(self._context, number):
            with joined(self._watch, self._context, self._progress) as told:
                self._work(lambda: self._close(number, told))

    def _close(self, number: int, told: Watched) -> None:
        manifest = close(self._context, number, workers=self._workers, progress=told)
        if manifest is not None:
            told.finished(manifest)

    @property
    def _means(self) -> dict[str, Any]:
        return {"workers": self._workers, "progress": self._progress}

    def _work(self, what: Callable[[], object]) -> None:
        self.at_work = True
        what()
        self.at_work = False

    def _wait_for_the_others(self, number: int) -> None:
        """Until the station is closed, or (who closes) until nothing is missing; do what nobody does."""
        try:
            others = None if is_closed(self._context, number) else _Receipts(self._context, number)
        except EngineError:
            if not is_closed(self._context, number):  # since we looked
                raise
            others = None
        if others is None:
            return
        silence, asked = _Silence(self._context, self._silence_s), time.monotonic()
        for looked in _looks(self._patience_s):
            if is_closed(self._context, number):
                return
            if not self._closes and looked - asked < self._patience_s:
                continue
            asked = looked
            if others.are_more():
                silence.is_broken()
            if self._closes and others.may_be_all() and not missing_tasks(self._context, number):
                return
            if silence.seconds < self._patience_s:
                continue
            silence.check(f"station {number}")
            while number in self._mine and self._help(number):
                silence.is_broken()
                if others.are_more(than=self._workers):  # than those that were done here
                    break

    def _help(self, number: int) -> bool:
        """Do a few tasks that nobody has done; whether there were any."""
        missing = missing_tasks(self._context, number)
        # From the place where this element would begin: so that many who help do not do the same.
        turn = self._rank * len(missing) // self._of
        some = [*missing[turn:], *missing[:turn]][: self._workers]
        self._work(lambda: run_missing(self._context, number, some, **self._means))
        return bool(some)


class _Silence:
    """How long nothing was heard of others, and whether that is too long."""

    def __init__(self, context: Context, most_s: float) -> None:
        self._out = context.out
        self._most_s = most_s
        self._since = time.monotonic()
        self._all = -1  # receipts of all stations, the last time that they were counted

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._since

    def is_broken(self) -> None:
        self._since = time.monotonic()

    def check(self, where: str) -> None:
        """Raises EngineError where who should be heard of has failed for good, or was taken away.

        Who closes leaves receipts elsewhere: all are counted, and it is twice the time before somebody gives up.
        """
        if self.seconds < self._most_s:
            return
        before, self._all = self._all, len(self._out.names(RECEIPTS))
        if before != self._all:
            self.is_broken()
            return
        raise EngineError(
            f"{where}: nothing was heard of the other elements for {self.seconds:,.0f} s; look at what became of them "
            "(tokenmill status), then submit the job again: what has a receipt is done"
        )


class _Receipts:
    """Of one station: whether there are more than there were."""

    def __init__(self, context: Context, number: int) -> None:
        self._receipts = StationReceipts(context, number)
        self._known = self._receipts.count()

    def are_more(self, than: int = 0) -> bool:
        """Whether there are since it was asked last, beyond `than`."""
        before, self._known = self._known, self._receipts.count()
        return self._known > before + than

    def may_be_all(self) -> bool:
        """As far as their number tells, the last time that it was asked for."""
        return self._known >= len(self._receipts.phase.tasks)


def _looks(most_s: float) -> Iterator[float]:
    """Times to look again: ever less often, and never more than `most_s` apart."""
    wait, most = LOOKS_S
    while True:
        yield time.monotonic()
        time.sleep(min(wait, max(0.1, most_s)))
        wait = min(wait * SLOWER, most)


def _alone(context: Context, engine: str, watch: Watch | None, as_json: bool) -> int:
    """The whole plan by one driver, on the engine that this process was started in."""
    from tokenmill.engines.run import run
    from tokenmill.jobs.engines import chosen_engine

    with (
        ConsoleProgress(quiet=as_json) as console,
        watched(watch, context.plan, context.out.uri, console) as progress,
    ):
        manifest = run(
            context.plan,
            context.out,
            chosen_engine(engine),
            progress=progress,
            device=context.device,
            assets=context.assets,
            scratch=context.scratch,
        )
        progress.finished(manifest)
    show({"identity": manifest.identity, "out": context.out.uri}, as_json, f"identity {manifest.identity}")
    return 0


def _numbers(given: str | None, known: list[Station]) -> set[int]:
    if given is None:
        return set(range(len(known)))
    try:
        numbers = {int(part) for part in given.split(",")}
    except ValueError as error:
        raise RecipeError(f"--stations {given}: want numbers with commas between, like 0,2,3") from error
    if not numbers <= set(range(len(known))):
        raise RecipeError(f"--stations {given}: this job has 0..{len(known) - 1}")
    return numbers
