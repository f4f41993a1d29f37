"""`tokenmill task`: one element of a submitted job does its share of one station, or closes it.

Schedulers call this, people need not. SIGTERM stops it cleanly: what has a receipt is done, and the next life goes on.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from tokenmill.core.errors import RecipeError, TokenmillError
from tokenmill.engines.driver import Progress
from tokenmill.engines.share import close, is_closed, run_share
from tokenmill.engines.stations import stations
from tokenmill.jobs.console import show
from tokenmill.jobs.plan_file import read_watched
from tokenmill.jobs.progress import ConsoleProgress
from tokenmill.jobs.watch import joined

TERMINATED = 143  # 128 + SIGTERM, as shells say it


class Terminated(BaseException):
    """SIGTERM: a time limit, a preemption, or a pod that is moved."""


def command(
    folder: Annotated[Path, typer.Argument(help="The folder of a submitted job.")],
    station: Annotated[int, typer.Option(help="Which station, from 0.")],
    rank: Annotated[int | None, typer.Option(help="Which share, from 0.")] = None,
    of: Annotated[int | None, typer.Option(help="Of how many.")] = None,
    closing: Annotated[bool, typer.Option("--close", help="Do what is missing, and open the next station.")] = False,
    if_open: Annotated[
        int | None, typer.Option(help="With --close: do nothing, and end with 2, where this station may not begin yet.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Worker processes.")] = 1,
    tally: Annotated[Path | None, typer.Option(help="A file that gets a byte for each task that is done.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> int:
    """Do one share of one station of a submitted job, or close the station."""
    if closing == (rank is not None) or (rank is None) != (of is None):
        raise RecipeError("give --rank and --of, or --close")
    if rank is not None and of is not None and not 0 <= rank < of:
        raise RecipeError(f"--rank {rank}: want 0..{of - 1}")
    context, watch = read_watched(folder)
    known = stations(context)
    if not 0 <= station < len(known):
        raise RecipeError(f"--station {station}: this job has 0..{len(known) - 1}")
    if if_open is not None and not is_closed(context, if_open - 1):
        raise RecipeError(f"{known[if_open].name}: what is before it is not closed, so nothing is done here")
    facts: dict[str, Any] = {"station": station, "name": known[station].name, "done": 0}
    with ConsoleProgress(quiet=as_json) as console, joined(watch if closing else None, context, console) as told:
        counted = Counted(told, tally)
        try:
            with until_terminated():
                if rank is not None and of is not None:
                    run_share(context, station, rank, of, workers=workers, progress=counted)
                else:
                    manifest = close(context, station, workers=workers, progress=counted)
                    if manifest is not None:
                        told.finished(manifest)
                        facts |= {"identity": manifest.identity}
        except Terminated:
            show(facts | {"done": counted.done, "terminated": True}, as_json, "stopped; what has a receipt is done")
            return TERMINATED
        except TokenmillError as error:
            error.facts = facts | {"done": counted.done}
            raise
    show(facts | {"done": counted.done}, as_json, f"{known[station].name}: {counted.done} tasks done here")
    return 0


@contextmanager
def until_terminated() -> Iterator[None]:
    """Let SIGTERM leave the block as Terminated, so that worker processes and locks are left in order."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Counted:
    """Passes on, and counts the tasks that got a receipt in this life; in a file too, for those who outlive it."""

    def __init__(self, inner: Progress, tally: Path | None = None) -> None:
        self._inner = inner
        self._tally = tally
        self.done = 0

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None:
        self._inner.phase(name, tasks, already, total_bytes)

    def news(self, counts: dict[str, int]) -> None:
        self._inner.news(counts)

    def task_done(self) -> None:
        self.done += 1
        if self._tally is not None:
            with self._tally.open("ab") as file:
                file.write(b".")
        self._inner.task_done()
