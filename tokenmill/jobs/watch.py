"""Who else is told of a run, beside the terminal: Prometheus and OpenLineage, where asked. They never decide anything.

What goes wrong while telling is warned about once, counted, and never ends a run.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.engines.context import Context
from tokenmill.engines.directory import STARTED
from tokenmill.engines.driver import Progress
from tokenmill.engines.plan import Plan
from tokenmill.jobs.console import warn
from tokenmill.jobs.openlineage import OpenLineage
from tokenmill.jobs.prometheus import Prometheus
from tokenmill.manifests import checked_json
from tokenmill.manifests.manifest import Manifest


class Watcher(Progress, Protocol):
    """A Progress that wants to know how it ended: by one of these two, once."""

    def finished(self, manifest: Manifest) -> None: ...

    def failed(self, error: BaseException) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is asked for. `prometheus`: a text file, or [HOST]:PORT; `openlineage`: an http URL, or a file."""

    name: str  # of the job, or else of the recipe
    engine: str = "local"
    prometheus: str | None = None
    openlineage: str | None = None
    due: datetime | None = None  # of the firing that the run is of


class Watched:
    """One Progress that tells several others, in order. `finished` is for who runs; failures are seen by `watched`."""

    def __init__(self, console: Progress, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers
        self._all: list[Progress] = [console, *watchers]

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None:
        for one in self._all:
            one.phase(name, tasks, already, total_bytes)

    def news(self, counts: dict[str, int]) -> None:
        for one in self._all:
            one.news(counts)

    def task_done(self) -> None:
        for one in self._all:
            one.task_done()

    def finished(self, manifest: Manifest) -> None:
        for one in self._watchers:
            one.finished(manifest)


@contextmanager
def watched(
    watch: Watch | None, plan: Plan, out: str, console: Progress, *, joins: float | None = None
) -> Iterator[Watched]:
    """The Progress to run `plan` with. An exception that leaves the block is told of, and goes on.

    A place that cannot be told anything is warned about, once. `joins`: when the run began that others began and may
    end, in seconds since 1970; None: it begins here.
    """
    with ExitStack() as stack:
        watchers: list[Watcher] = []
        if watch is not None and watch.prometheus is not None:
            labels = {"name": watch.name, "recipe": plan.recipe.name, "engine": watch.engine}
            with _warned():
                watchers.append(stack.enter_context(Prometheus(watch.prometheus, labels, joins=joins)))
        if watch is not None and watch.openlineage is not None:
            with _warned():
                lineage = OpenLineage(
                    watch.openlineage,
                    plan,
                    out,
                    name=watch.name,
                    engine=watch.engine,
                    due=watch.due,
                    joins=joins is not None,
                )
                watchers.append(lineage)
        try:
            yield Watched(console, watchers)
        except BaseException as error:
            for one in watchers:
                one.failed(error)
            raise


@contextmanager
def joined(watch: Watch | None, context: Context, console: Progress) -> Iterator[Watched]:
    """For one of many processes that work at a run one behind the other: what it does is told as a part of it."""
    try:
        began = datetime.fromisoformat(checked_json.load_from(context.out, STARTED)["started"]).timestamp()
    except DataError:  # it is finished: nobody is told of this process's time
        began = time.time()
    with watched(watch, context.plan, context.out.uri, console, joins=began) as told:
        yield told


@contextmanager
def _warned() -> Iterator[None]:
    try:
        yield
    except RecipeError as error:
        warn(f"{error}; the run goes on without")
