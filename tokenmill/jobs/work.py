"""`tokenmill work`: one long-lived element that goes through all stations in step with the others.

For schedulers that start many equal processes and know nothing of an order among their tasks. Rank 0 closes each
station; the others wait for that. An element that has done its share takes tasks that nobody has done, so that one
which never comes, or comes back late, holds nobody up.
"""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from tokenmill.core.errors import RecipeError
from tokenmill.engines import directory
from tokenmill.engines.context import Context
from tokenmill.engines.share import close, is_closed, missing_tasks, prepare, run_missing, run_share
from tokenmill.engines.stations import Station, stations
from tokenmill.jobs.console import show
from tokenmill.jobs.plan_file import read_plan
from tokenmill.jobs.progress import ConsoleProgress
from tokenmill.jobs.task import TERMINATED, Terminated, until_terminated
from tokenmill.manifests.manifest import Manifest

LOOK_EVERY_S = 5.0  # while waiting for others
PATIENCE_S = 60.0  # without news from the others, before an element does what they have not


def command(
    folder: Annotated[Path, typer.Argument(help="The folder of a submitted job.")],
    rank: Annotated[int, typer.Option(help="Which element this is, from 0.")] = 0,
    of: Annotated[int, typer.Option(help="Of how many.")] = 1,
    stations_: Annotated[str | None, typer.Option("--stations", help="Numbers, with commas; by default all.")] = None,
    no_closing: Annotated[bool, typer.Option("--no-closing", help="Another element closes the stations.")] = False,
    workers: Annotated[int, typer.Option(help="Worker processes.")] = 1,
    engine: Annotated[str | None, typer.Option(help="Do the whole job on this engine, alone: spark, dask.")] = None,
    patience: Annotated[float, typer.Option(help="Seconds without news before doing others' tasks.")] = PATIENCE_S,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> int:
    """Go through all stations of a submitted job in step with its other elements."""
    if not 0 <= rank < of:
        raise RecipeError(f"--rank {rank}: want 0..{of - 1}")
    context = read_plan(folder)
    if engine is not None:
        return _alone(context, engine, as_json)
    known = stations(context)
    mine = _numbers(stations_, known)
    closes = rank == 0 and not no_closing
    try:
        with until_terminated(), ConsoleProgress(quiet=as_json) as progress:
            element = _Element(context, rank, of, mine, closes, workers, patience, progress)
            for number in range(len(known)):
                element.pass_through(number)
    except Terminated:
        show({"terminated": True}, as_json, "stopped; what has a receipt is done")
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
        progress: ConsoleProgress,
    ) -> None:
        self._context = context
        self._rank, self._of = rank, of
        self._mine = mine
        self._closes = closes
        self._workers = workers
        self._patience_s = patience_s
        self._progress = progress
        if closes:
            prepare(context, progress, anew=False)

    def pass_through(self, number: int) -> None:
        """Return when station `number` is closed."""
        if number == 0:
            self._wait_for_the_first()
        if number in self._mine:
            run_share(self._context, number, self._rank, self._of, workers=self._workers, progress=self._progress)
        self._wait_for_the_others(number)
        if self._closes and not is_closed(self._context, number):
            close(self._context, number, workers=self._workers, progress=self._progress)

    def _wait_for_the_first(self) -> None:
        """Rank 0 claims the place."""
        while not is_closed(self._context, -1):
            time.sleep(LOOK_EVERY_S)

    def _wait_for_the_others(self, number: int) -> None:
        """Until the station is closed, or (who closes) until nothing is missing; do what nobody does."""
        left, since = -1, time.monotonic()
        while not is_closed(self._context, number):
            missing = missing_tasks(self._context, number)
            if not missing and self._closes:
                return
            if len(missing) != left:
                left, since = len(missing), time.monotonic()
            elif missing and number in self._mine and time.monotonic() - since >= self._patience_s:
                # From the place where this element would begin: so that many who help do not do the same.
                turn = self._rank * len(missing) // self._of
                some = [*missing[turn:], *missing[:turn]][: self._workers]
                run_missing(self._context, number, some, workers=self._workers, progress=self._progress)
                continue
            time.sleep(LOOK_EVERY_S)


def _alone(context: Context, engine: str, as_json: bool) -> int:
    """The whole plan by one driver, on the engine that this process was started in."""
    from tokenmill.engines.run import run
    from tokenmill.jobs.engines import chosen_engine

    with ConsoleProgress(quiet=as_json) as progress:
        manifest = run(
            context.plan,
            context.out,
            chosen_engine(engine),
            progress=progress,
            device=context.device,
            assets=context.assets,
            scratch=context.scratch,
        )
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
