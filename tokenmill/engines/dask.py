"""The Dask engine: Dask says where and when tasks run, and its p2p shuffle moves narrow rows.

A future is a shard, or some of many, in which the same function as everywhere reads and writes files with pyarrow.
Errors of ours come back as values: Dask is not asked to try again what no further try can mend. A dead worker's tasks
are Dask's own to repeat, on the others. Workers need this package, and the paths of the run; one thread each is best.
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
from tokenmill.engines.dask_worker import HoldContext, Told, decide, run_some, token_of
from tokenmill.engines.in_task import Outcome, first_failure
from tokenmill.engines.pool import POLL_S, TRIES
from tokenmill.engines.reduce import ReduceTask
from tokenmill.engines.task import Task
from tokenmill.engines.users_modules import pickled_whole
from tokenmill.engines.workers import Done, News

CONNECT_S = 30
_distributed: Any = distributed  # typed in parts
AHEAD = 3  # futures for each worker of our own: while one is told of, the next runs
FUTURES_PER_WORKER = 64  # in a phase: a future costs 10 to 20 ms of the scheduler and of the worker that has it
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
        """As Workers.run: a future for each, or for some of many."""
        many = FUTURES_PER_WORKER * max(1, len(self._client.nthreads()))
        # Dealt in turn: neighbours are often of one size.
        groups = [range(place, len(tasks), many) for place in range(min(many, len(tasks)))]

        def start(group: range) -> Any:
            # Of this driver alone: a scheduler may still know the tasks of one that died.
            key = f"{type(tasks[group[0]]).__name__}-{self._token}-{uuid.uuid4().hex}"
            return self._client.submit(run_some, self._token, [tasks[n] for n in group], key=key, pure=False)

        self._all(tasks, groups, start, AHEAD * self._own if self._own else AT_ONCE, done, news)

    def reduce(self, tasks: Sequence[ReduceTask], done: Done, news: News) -> None:
        """As Shuffling.reduce: some tasks that send, Dask's shuffle, then one for each of `tasks`."""
        partitions = shuffled(self._context, self._token, tasks, len(self._client.nthreads()))
        deciding = [delayed(decide)(self._token, t, p) for t, p in zip(tasks, partitions, strict=True)]
        futures = self._client.compute(deciding)
        groups = [range(number, number + 1) for number in range(len(tasks))]
        self._all(tasks, groups, lambda group: futures[group[0]], len(tasks), done, news)

    def _all(
        self,
        tasks: Sequence[Task],
        groups: Sequence[range],
        start: Callable[[range], Any],
        at_once: int,
        done: Done,
        news: News,
    ) -> None:
        """`start` all groups of tasks, `at_once` of them at a time, and hear of each on this thread."""
        ended: SimpleQueue[int] = SimpleQueue()
        futures: dict[int, Any] = {}
        failures: dict[int, TokenmillError] = {}
        waiting = iter(range(len(groups)))

        def next_one() -> None:
            place = next(waiting, None)
            if place is not None and not any(isinstance(f, EngineError) for f in failures.values()):
                futures[place] = start(groups[place])
                futures[place].add_done_callback(lambda _: ended.put(place))

        try:
            for _ in range(at_once):
                next_one()
            while futures:
                try:
                    place = ended.get(timeout=POLL_S)
                except Empty:
                    news({})
                    continue
                group = groups[place]
                for number, (outcome, counts) in zip(
                    group, self._result(futures.pop(place), tasks, group), strict=False
                ):
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

    def _result(self, future: Any, tasks: Sequence[Task], group: range) -> list[Told]:
        """What came of one future; what Dask itself could not do is an EngineError that names the first task of it."""
        what = tasks[group[0]].describe(self._context)
        if len(group) > 1:
            what += f" or one of {len(group) - 1} others"
        try:
            told: list[Told] = future.result()
        except distributed.KilledWorker as error:
            said = (
                f"{what}: the worker died, {error.allowed_failures + 1} times; "
                "give it more memory or look at that input, then run the same command again"
            )
        except Exception as error:
            said = f"{what}: Dask failed ({_reason(error)}); then run the same command again"
        else:
            return told
        return [(Outcome(None, EngineError(said), 0), {})]

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
