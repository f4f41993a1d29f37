"""The Dask engine: Dask says where and when tasks run, and its p2p shuffle moves narrow rows.

A shard is one future, in which the same function as everywhere reads and writes files with pyarrow. Errors of ours
come back as values: Dask is not asked to try again what no further try can mend. A dead worker's tasks are Dask's own
to repeat, on the others. Workers need this package, and the paths of the run; one thread each is best.
"""

import logging
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, Self

import cloudpickle
import dask
import distributed
from dask.delayed import delayed

from tokenmill.core.errors import EngineError, TokenmillError
from tokenmill.engines.context import Context
from tokenmill.engines.dask_shuffle import shuffled
from tokenmill.engines.dask_worker import HoldContext, decide, run_one, token_of
from tokenmill.engines.in_task import Outcome, first_failure
from tokenmill.engines.pool import POLL_S, TRIES
from tokenmill.engines.reduce import ReduceTask
from tokenmill.engines.task import Task
from tokenmill.engines.users_modules import pickled_whole
from tokenmill.engines.workers import Done, News

CONNECT_S = 30
_distributed: Any = distributed  # typed in parts
AT_ONCE = 10_000  # futures with a scheduler: enough for it to call more workers, and a bound to what it keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class DaskEngine:
    """`scheduler`: an address, or a Client, which stays open. Without: `workers` processes on this machine."""

    name: ClassVar[str] = "dask"

    scheduler: str | distributed.Client | None = None
    workers: int | None = None

    def workers_of(self, context: Context) -> "DaskWorkers":
        return DaskWorkers(context, self.scheduler, self.workers)

    def facts(self) -> dict[str, Any]:
        client = isinstance(self.scheduler, distributed.Client)
        return {"scheduler": "a client" if client else self.scheduler, "workers": self.workers}


class DaskWorkers:
    """Those of one scheduler, which hold one Context. Use as a context manager."""

    def __init__(self, context: Context, scheduler: str | distributed.Client | None, workers: int | None) -> None:
        self._context = context
        self._scheduler = scheduler
        self._own = (workers or dask.system.CPU_COUNT) if scheduler is None else None
        self._open = ExitStack()
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        with self._open:
            self._client: Any = self._open.enter_context(self._connected())
            held = pickled_whole(cloudpickle, self._context)
            self._token = token_of(held)
            # A plugin, and no scattered value: workers that come later have it too, and none is lost with a worker.
            try:
                self._client.register_plugin(HoldContext(self._token, held, own=self._own is not None))
            except Exception as error:
                raise EngineError(
                    f"Dask's workers cannot take the run ({_reason(error)}); they need this package, as it is here"
                ) from error
            self._open.callback(self._forget)
            self._open = self._open.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def run(self, tasks: Sequence[Task], done: Done, news: News) -> None:
        """As Workers.run: a future for each."""

        def start(number: int) -> Any:
            # Of this driver alone: a scheduler may still know the tasks of one that died.
            key = f"{type(tasks[number]).__name__}-{self._token}-{uuid.uuid4().hex}"
            return self._client.submit(run_one, self._token, tasks[number], key=key, pure=False)

        self._all(tasks, start, self._own or AT_ONCE, done, news)

    def reduce(self, tasks: Sequence[ReduceTask], done: Done, news: News) -> None:
        """As Shuffling.reduce: a task for each emitter, Dask's shuffle, then one for each of `tasks`."""
        partitions = shuffled(self._context, self._token, tasks)
        deciding = [delayed(decide)(self._token, t, p) for t, p in zip(tasks, partitions, strict=True)]
        futures = self._client.compute(deciding)
        self._all(tasks, lambda number: futures[number], len(tasks), done, news)

    def _all(
        self,
        tasks: Sequence[Task],
        start: Callable[[int], Any],
        at_once: int,
        done: Done,
        news: News,
    ) -> None:
        """`start` all, `at_once` of them at a time, and hear of each on this thread."""
        ended: SimpleQueue[int] = SimpleQueue()
        futures: dict[int, Any] = {}
        failures: dict[int, TokenmillError] = {}
        waiting = iter(range(len(tasks)))

        def next_one() -> None:
            number = next(waiting, None)
            if number is not None and not any(isinstance(f, EngineError) for f in failures.values()):
                futures[number] = start(number)
                futures[number].add_done_callback(lambda _: ended.put(number))

        try:
            for _ in range(at_once):
                next_one()
            while futures:
                try:
                    number = ended.get(timeout=POLL_S)
                except Empty:
                    news({})
                    continue
                outcome, counts = self._result(futures.pop(number), tasks[number])
                self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
                news(counts)
                if outcome.receipt is not None:
                    done(number, outcome.receipt)
                elif outcome.error is not None:
                    failures[number] = outcome.error
                next_one()
        finally:
            if futures:
                self._client.cancel(list(futures.values()), force=True)
        if failures:
            raise first_failure(failures)

    def _result(self, future: Any, task: Task) -> tuple[Outcome, dict[str, int]]:
        """What came of one future; what Dask itself could not do is an EngineError that names the task."""
        try:
            outcome, counts = future.result()
        except distributed.KilledWorker as error:
            what = task.describe(self._context)
            told = (
                f"{what}: the worker died, {error.allowed_failures + 1} times; "
                "give it more memory or look at that input, then run the same command again"
            )
            return Outcome(None, EngineError(told), 0), {}
        except Exception as error:
            told = f"{task.describe(self._context)}: Dask failed ({_reason(error)}); then run the same command again"
            return Outcome(None, EngineError(told), 0), {}
        return outcome, counts

    def _connected(self) -> AbstractContextManager[Any]:
        if isinstance(self._scheduler, distributed.Client):
            return nullcontext(self._scheduler)
        if self._scheduler is None:
            return self._own_cluster()
        try:
            client: AbstractContextManager[Any] = _distributed.Client(
                self._scheduler, timeout=CONNECT_S, set_as_default=False
            )
        except (OSError, ValueError) as error:
            raise EngineError(f"{self._scheduler}: no Dask scheduler answers ({_reason(error)})") from error
        return client

    @contextmanager
    def _own_cluster(self) -> Iterator[Any]:
        """Processes of one thread each, for as long as this run; no memory limit: the task bounds what it takes."""
        folder = self._context.out.scratch()
        how = {"distributed.scheduler.allowed-failures": TRIES - 1}
        try:
            with (
                dask.config.set(how),
                _distributed.LocalCluster(
                    n_workers=self._own,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    memory_limit=0,
                    local_directory=str(folder),
                    silence_logs=logging.ERROR,
                ) as cluster,
                _distributed.Client(cluster, set_as_default=False) as client,
            ):
                yield client
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _forget(self) -> None:
        with suppress(Exception):  # the scheduler may be gone; there is nothing to forget then
            self._client.unregister_worker_plugin(f"tokenmill-{self._token}")


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
