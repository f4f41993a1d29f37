"""An engine that does every task here and now: for tests of what lies around a run, at milliseconds a run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tokenmill.engines.context import Context
from tokenmill.engines.in_task import run_task
from tokenmill.engines.task import Task
from tokenmill.engines.workers import Done, News, Workers


class OneProcess:
    """As tokenmill.engines.workers.Engine wants it."""

    name = "one process"

    @contextmanager
    def workers_of(self, context: Context) -> Iterator[Workers]:
        yield _Hands(context)

    def facts(self) -> dict[str, Any]:
        return {}


class _Hands:
    def __init__(self, context: Context) -> None:
        self._context = context
        self.peak_bytes = 0

    def run(self, tasks: Sequence[Task], done: Done, news: News) -> None:
        for number, task in enumerate(tasks):
            outcome = run_task(self._context, task, news)
            if outcome.error is not None:
                raise outcome.error
            assert outcome.receipt is not None
            done(number, outcome.receipt)
