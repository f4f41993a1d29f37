"""What an engine gives the driver: hands that take tasks. Two kinds, by whether they have a shuffle of their own."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from tokenmill.engines.components import ComponentsTask, LabelTask
from tokenmill.engines.context import Context
from tokenmill.engines.reduce import ReduceTask
from tokenmill.engines.task import Receipt, Task

Done = Callable[[int, Receipt], None]  # the number of a task among those given, and its receipt
News = Callable[[dict[str, int]], None]  # documents, kept and bytes since the last call; retries


class Workers(Protocol):
    """Hold one Context, and run tasks of it."""

    peak_bytes: int  # the largest resident set that any worker reported

    def run(self, tasks: Sequence[Task], done: Done, news: News) -> None:
        """Run all tasks; `done` as each ends, in any order, on the calling thread.

        A task that fails leaves the others running. Then the first failure, in the order of the tasks, is raised:
        DataError with the shard's name, EngineError if a machine is at fault (no new task starts after that).
        """
        ...


@runtime_checkable
class Shuffling(Protocol):
    """Workers of an engine that moves narrow rows itself. What comes out is the same, receipts included."""

    def reduce(self, tasks: Sequence[ReduceTask], done: Done, news: News) -> None:
        """As `run`, of one round: rows go from those who emitted them to `decide` by the engine's own shuffle."""
        ...


@runtime_checkable
class Joining(Protocol):
    """Workers of an engine that finds components itself."""

    def components(self, tasks: Sequence[ComponentsTask] | Sequence[LabelTask], done: Done, news: News) -> None:
        """As `run`, of the links of one round: nodes and labels go to each task's `write`."""
        ...


class Engine(Protocol):
    """Where work runs: small, and made before anything is known of the run."""

    @property
    def name(self) -> str: ...

    def workers_of(self, context: Context) -> AbstractContextManager[Workers]: ...

    def facts(self) -> dict[str, Any]:
        """What provenance.json says of it."""
        ...
