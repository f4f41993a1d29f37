"""The Spark engine: Spark says where and when tasks run, and moves narrow rows; text never enters the JVM.

A shard is one task of Spark's, in which the same function as everywhere reads and writes files with pyarrow; where
there are very many, one task takes a few after the other, and a second try only those without a receipt. Errors of
ours come back as values, so that Spark does not try four times what no further try can mend; a lost executor's
tasks are Spark's own to repeat. A round's rows go through a DataFrame shuffle, its links through spark_components.py.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import pyarrow as pa
from pyspark import Accumulator, TaskContext
from pyspark.core.broadcast import Broadcast
from pyspark.sql import DataFrame, functions

from tokenmill.core.errors import EngineError, TokenmillError
from tokenmill.engines.components import LINKS_IN_MEMORY, ComponentsTask, LabelTask
from tokenmill.engines.context import Context
from tokenmill.engines.in_task import Outcome, first_failure, peak_bytes, run_task, settle
from tokenmill.engines.pool import TRIES
from tokenmill.engines.receipts import receipt_of
from tokenmill.engines.reduce import ReduceTask, names_of
from tokenmill.engines.shuffle import DecideTask, send
from tokenmill.engines.spark_components import PAIRS, Steps, forest, merged
from tokenmill.engines.spark_job import Jobs, Told
from tokenmill.engines.spark_links import LABELS_FOR_SPARK, WriteTask, in_order, read_links, to_ranges
from tokenmill.engines.spark_pickle import packed, unpacked
from tokenmill.engines.spark_session import is_one_process, reason, session
from tokenmill.engines.task import Task
from tokenmill.engines.workers import Done, News
from tokenmill.manifests.store import WORK, is_remote

Batches = Iterator[pa.RecordBatch]
SLICES_PER_CORE = 12  # a task of Spark's costs 30 ms of CPU, whatever it does
AT_ONCE = 32  # rows of the DataFrame that Spark hands to Python together
PACKED_FOR_SPARK = "range int, rows binary, failure binary"  # shuffle.PACKED
TASKS_PER_CORE = 4  # of those that read what is to be moved: enough to share the work out evenly
_TASK = re.compile(r"Task (\d+) in stage")
_NOTHING = "nothing int"  # the rows that a DataFrame of tasks gives: none


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkEngine:
    """Without `master`: what spark-submit or spark-defaults.conf say, else this machine. A session that is there is
    used, and left running. `checkpoints`: a folder of Spark's (a URL) for components of more than LINKS_IN_MEMORY
    links, by default within the run; s3:// is Spark's s3a://."""

    name: ClassVar[str] = "spark"

    master: str | None = None
    conf: Mapping[str, str] = field(default_factory=dict)
    checkpoints: str | None = None

    def workers_of(self, context: Context) -> "SparkWorkers":
        return SparkWorkers(context, self.master, self.conf, self.checkpoints)

    def facts(self) -> dict[str, Any]:
        return {"master": self.master}


@dataclass(frozen=True, slots=True)
class _Shared:
    """What goes to the executors with every task: the Context once for each, and the way for news to come back."""

    context: "Broadcast[bytes]"
    told: "Accumulator[Told]"
    job: str
    again: bool  # some of these tasks may have ended without a word of it

    def settled(self) -> Context:
        context = unpacked(self.context)
        settle(context)
        return context

    def run(self, number: int, task: Task, context: Context) -> None:
        counts: Counter[str] = Counter()
        self.tell(number, run_task(context, task, counts.update), counts)

    def tell(self, number: int, outcome: Outcome, counts: Mapping[str, int]) -> None:
        self.told.add([(self.job, (number, outcome, dict(counts)))])


Start = Callable[[_Shared, Sequence[int]], None]  # a job that tells of the tasks with these numbers


class SparkWorkers:
    """Executors of one session, which hold one Context. Use as a context manager."""

    def __init__(
        self, context: Context, master: str | None, conf: Mapping[str, str], checkpoints: str | None = None
    ) -> None:
        self._context = context
        self._wanted = (master, conf)
        self._checkpoints = checkpoints or checkpoint_url(context.out.uri)
        self._open = ExitStack()
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        with self._open:
            self._session = self._open.enter_context(session(*self._wanted))
            self._jobs = Jobs(self._session)
            self._shared = self._session.sparkContext.broadcast(packed(self._context))
            self._open.callback(self._forget_context)
            self._open = self._open.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _forget_context(self) -> None:
        with suppress(Exception):  # of a JVM that is gone
            self._shared.destroy()

    def run(self, tasks: Sequence[Task], done: Done, news: News) -> None:
        """As Workers.run: a task of Spark's for each, up to SLICES_PER_CORE."""
        spark = self._session.sparkContext
        slices = SLICES_PER_CORE * spark.defaultParallelism

        def start(shared: _Shared, missing: Sequence[int]) -> None:
            parts = [[(n, tasks[n]) for n in part] for part in _dealt(missing, slices)]
            spark.parallelize(parts, len(parts)).foreachPartition(partial(_run_each, shared))

        self._all(tasks, start, done, news, slices)

    def reduce(self, tasks: Sequence[ReduceTask], done: Done, news: News) -> None:
        """As Shuffling.reduce: tasks for all emitters, then one for each of `tasks`."""
        verdict = self._context.verdict(tasks[0].segment, tasks[0].barrier)
        senders = len(self._context.emitters(verdict))

        def start(shared: _Shared, missing: Sequence[int]) -> None:
            some = [tasks[n] for n in missing]
            sent = self._each(senders, rows_at_once=AT_ONCE).mapInArrow(
                partial(_send_each, shared, some), PACKED_FOR_SPARK
            )
            came = sent.repartitionById(len(some), "range")
            came.mapInArrow(partial(_decide, shared, missing, some), _NOTHING).collect()

        self._all(tasks, start, done, news)

    def components(self, tasks: Sequence[ComponentsTask] | Sequence[LabelTask], done: Done, news: News) -> None:
        """As Joining.components: by one task, or by stars where what each file comes to is too much for one."""
        barrier = self._context.verdict(tasks[0].segment, tasks[0].barrier)
        files = names_of(self._context, "links", barrier, barrier.rounds[tasks[0].round])

        def start(shared: _Shared, missing: Sequence[int]) -> None:
            edges = self._each(len(files), rows_at_once=1 << 16).mapInArrow(partial(_read_each, shared, files), PAIRS)
            some = [tasks[n] for n in missing]
            if isinstance(some[0], ComponentsTask):
                together = edges.repartitionById(1, functions.lit(0))
                together.mapInArrow(partial(_write_all, shared, some[0]), _NOTHING).collect()
                return
            steps = Steps(edges.sparkSession, f"{self._checkpoints}/{shared.job}")
            labels = steps.components(edges, LINKS_IN_MEMORY)
            parts = [task for task in some if isinstance(task, LabelTask)]
            ranges = labels.mapInArrow(partial(to_ranges, parts), LABELS_FOR_SPARK).repartitionById(len(parts), "range")
            ranges.mapInArrow(partial(_write_labels, shared, missing, parts), _NOTHING).collect()
            steps.forget()

        self._all(tasks, start, done, news)

    def _each(self, count: int, *, rows_at_once: int) -> DataFrame:
        """The numbers 0 to count - 1, several to a task where they are many: these tasks are short.

        In a session of its own: the user's keeps its settings.
        """
        apart = self._session.newSession()
        apart.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(rows_at_once))
        apart.conf.set("spark.sql.adaptive.enabled", "false")  # a partition must stay one task's
        return apart.range(0, count, 1, min(count, TASKS_PER_CORE * self._session.sparkContext.defaultParallelism))

    def _named(self, tasks: Sequence[Task], numbers: Sequence[int]) -> str:
        first = tasks[numbers[0]].describe(self._context)
        return first if len(numbers) == 1 else f"{first} and {len(numbers) - 1} more"

    def _start(self, start: Start, missing: Sequence[int], again: bool, job: str) -> None:
        start(_Shared(self._shared, self._jobs.told, job, again), missing)

    def _all(
        self,
        tasks: Sequence[Task],
        start: Start,
        done: Done,
        news: News,
        slices: int | None = None,
    ) -> None:
        """Jobs until no task is missing.

        One process that is driver and executor gives up at the first death of a Python worker; then the job starts
        again here, without what has ended, up to TRIES times.
        """
        failures: dict[int, TokenmillError] = {}
        ended: set[int] = set()

        def heard(message: Any) -> None:
            if message is None:
                news({})
                return
            number, outcome, counts = message
            ended.add(number)
            self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
            news(counts)
            if outcome.receipt is not None:
                done(number, outcome.receipt)
            elif outcome.error is not None:
                failures[number] = outcome.error
            if isinstance(outcome.error, EngineError):
                raise first_failure(failures)

        tries, again = TRIES if is_one_process(self._session) else 1, False
        while missing := [n for n in range(len(tasks)) if n not in ended]:
            what = self._named(tasks, missing)
            try:
                self._jobs.run(what, partial(self._start, start, missing, again), heard)
            except (TokenmillError, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                tries, again = tries - 1, True
                if not tries:
                    part = _TASK.search(str(error)) if slices else None
                    if part is not None and slices is not None:
                        what = self._named(tasks, _dealt(missing, slices)[int(part[1])])
                    raise EngineError(f"{what}: Spark gave up ({reason(error)}); run the same command again") from error
                news({"retries": 1})
        if failures:
            raise first_failure(failures)


def checkpoint_url(out: str) -> str:
    """Where Spark itself may write for a run at `out`."""
    if not is_remote(out):
        return f"{Path(out.removeprefix('file://')).resolve().as_uri()}/{WORK}/spark"
    return re.sub("^s3://", "s3a://", f"{out}/{WORK}/spark")


def _dealt(numbers: Sequence[int], slices: int) -> list[Sequence[int]]:
    """To at most so many, in turn: neighbours are often of one size."""
    return [numbers[place::slices] for place in range(min(slices, len(numbers)))]


def _run_each(shared: _Shared, parts: Iterator[list[tuple[int, Task]]]) -> None:
    context = shared.settled()
    where = TaskContext.get()
    again = shared.again or (where is not None and where.attemptNumber() > 0)
    for number, task in (numbered for part in parts for numbered in part):
        receipt = receipt_of(context, task) if again else None
        if receipt is None:
            shared.run(number, task, context)
        else:
            shared.tell(number, Outcome(receipt, None, peak_bytes()), {})


def _send_each(shared: _Shared, tasks: Sequence[ReduceTask], batches: Batches) -> Batches:
    emitters = [number for batch in batches for number in batch.column(0).to_pylist()]
    yield from send(shared.settled(), tasks, emitters)


def _decide(shared: _Shared, numbers: Sequence[int], tasks: Sequence[ReduceTask], batches: Batches) -> Batches:
    came = list(batches)
    (place,) = {n for batch in came for n in batch["range"].unique().to_pylist()}
    task = tasks[place]
    shared.run(numbers[place], DecideTask(task=task, packed=came, inputs=task.inputs), shared.settled())
    yield from ()


def _read_each(shared: _Shared, files: Sequence[str], batches: Batches) -> Batches:
    context = shared.settled()
    for batch in batches:
        for number in batch.column(0).to_pylist():
            yield from forest(read_links(context, files[number]))


def _write_all(shared: _Shared, task: ComponentsTask, batches: Batches) -> Batches:
    shared.run(0, WriteTask(task, lambda: merged(batches).components()), shared.settled())
    yield from ()


def _write_labels(shared: _Shared, numbers: Sequence[int], tasks: Sequence[LabelTask], batches: Batches) -> Batches:
    came = list(batches)
    (place,) = {n for batch in came for n in batch["range"].unique().to_pylist()}
    shared.run(numbers[place], WriteTask(tasks[place], lambda: in_order(came)), shared.settled())
    yield from ()
