"""The datatrove engine: each phase is a pipeline of one step on its LocalPipelineExecutor, a rank for each task.

The executor runs in a process of its own, and its workers tell the driver over a socket what becomes of each task: so
the driver hears of every end at once, and of a worker's death too, behind which datatrove itself would wait for ever.
`datatrove_slurm` has the chain of its Slurm executors.
"""

import multiprocessing
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, Self

from tokenmill.core.errors import EngineError, TokenmillError
from tokenmill.engines.context import Context
from tokenmill.engines.datatrove_task import serve, write
from tokenmill.engines.in_task import Outcome, first_failure
from tokenmill.engines.pool import POLL_S, TRIES
from tokenmill.engines.task import Task
from tokenmill.engines.workers import Done, News

Heard = tuple[str, int, Any]  # of which executor (its folder), the task's number, what it says; None: it died
LOG = "executor.log"
LEAVE_S = 20  # for an executor to write its statistics when all ranks have ended


@dataclass(frozen=True, slots=True, kw_only=True)
class DatatroveEngine:
    """`workers` processes of datatrove's on this machine."""

    name: ClassVar[str] = "datatrove"

    workers: int

    def workers_of(self, context: Context) -> "DatatroveWorkers":
        return DatatroveWorkers(context, self.workers)

    def facts(self) -> dict[str, Any]:
        return {"workers": self.workers}


@dataclass(slots=True)
class _Phase:
    """What is known of the tasks of one phase."""

    tasks: Sequence[Task]
    missing: set[int]  # without a receipt and an error
    deaths: dict[int, int] = field(default_factory=dict)
    failures: dict[int, TokenmillError] = field(default_factory=dict)

    def is_broken(self) -> bool:
        return any(isinstance(failure, EngineError) for failure in self.failures.values())


class DatatroveWorkers:
    """Executors, one after the other, whose tasks know one Context. Use as a context manager."""

    def __init__(self, context: Context, workers: int) -> None:
        self._context = context
        self._workers = workers
        self._spawn = multiprocessing.get_context("spawn")
        self._heard: SimpleQueue[Heard] = SimpleQueue()
        self._process: BaseProcess | None = None
        self._key = secrets.token_bytes(16)
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        # Not below the run: the path of a socket may have 108 characters.
        self._place = Path(tempfile.mkdtemp(prefix="tokenmill-"))
        self._address = str(self._place / "told")
        listener = Listener(self._address, "AF_UNIX", backlog=128, authkey=self._key)
        self._ear = threading.Thread(target=_hear, args=(listener, self._heard), daemon=True)
        self._ear.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        with Client(self._address, "AF_UNIX", authkey=self._key) as told:
            told.send(None)
        self._ear.join()
        shutil.rmtree(self._place, ignore_errors=True)

    def run(self, tasks: Sequence[Task], done: Done, news: News) -> None:
        """As Workers.run. A task whose worker dies is tried TRIES times, by another executor."""
        phase = _Phase(tasks, set(range(len(tasks))))
        while phase.missing and not phase.is_broken():
            folder = self._context.out.scratch()
            try:
                self._execute(folder, phase, done, news)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        if phase.failures:
            raise first_failure(phase.failures)

    def _execute(self, folder: Path, phase: _Phase, done: Done, news: News) -> None:
        """One executor over all that is missing, until each of these has ended or died."""
        write(folder, self._context, phase.tasks)
        numbers = tuple(sorted(phase.missing, key=lambda n: (phase.deaths.get(n, 0), n)))  # who killed, last
        orders = self._started()
        orders.send((folder, numbers))
        expected, began = set(numbers), False
        try:
            while expected and not phase.is_broken():
                try:
                    of, number, message = self._heard.get(timeout=POLL_S)
                except Empty:
                    news({})
                    if self._process is None or self._process.exitcode is not None:
                        break
                    continue
                if of != str(folder):  # of an executor that was given up
                    continue
                began = True
                if message is not None and message[0] == "progress":
                    news(message[1])
                elif message is not None:
                    expected.discard(number)
                    phase.missing.discard(number)
                    self._ended(number, message[1], phase, done)
                elif number in expected:
                    expected.discard(number)
                    self._died(number, phase, news)
            if not began:
                raise EngineError(f"datatrove's executor ended before any task began: {self._end_of_log()}")
        except BaseException:
            self._end()
            raise
        if phase.missing or phase.is_broken() or not orders.poll(LEAVE_S):
            self._end()  # behind a dead worker it waits for ever
        else:
            orders.recv()

    def _started(self) -> "Connection[Any, Any]":
        """The way to the executor's process, which is started if there is none."""
        if self._process is not None and not self._process.is_alive():
            self._end()
        if self._process is None:
            self._orders, theirs = self._spawn.Pipe()
            how = (theirs, self._place / LOG, self._workers, self._address, self._key)
            self._process = self._spawn.Process(target=serve, args=how)
            self._process.start()
            theirs.close()
        return self._orders

    def _end(self) -> None:
        """With all that it has started, even if it is dead itself."""
        if self._process is None or self._process.pid is None:
            return
        self._orders.close()
        with suppress(ProcessLookupError):  # it may not have come to make its group
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._process.close()
        self._process = None

    def _end_of_log(self) -> str:
        log = self._place / LOG
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return " / ".join(lines[-3:]) or "its log is empty"

    def _ended(self, number: int, outcome: Outcome, phase: _Phase, done: Done) -> None:
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        if outcome.receipt is not None:
            done(number, outcome.receipt)
        elif outcome.error is not None:
            phase.failures[number] = outcome.error

    def _died(self, number: int, phase: _Phase, news: News) -> None:
        phase.deaths[number] = phase.deaths.get(number, 0) + 1
        if phase.deaths[number] < TRIES:
            news({"retries": 1})
            return
        phase.missing.discard(number)
        phase.failures[number] = EngineError(
            f"{phase.tasks[number].describe(self._context)}: the worker died, {TRIES} times; "
            "give it more memory or look at that input, then run the same command again"
        )


def _hear(listener: Listener, heard: "SimpleQueue[Heard]") -> None:
    """Take connections until one says None; each is a task's, from its beginning to its end or death."""
    with listener:
        while True:
            try:
                told = listener.accept()
                first = told.recv()
            except (OSError, EOFError, AuthenticationError):
                continue
            if first is None:
                told.close()
                return
            threading.Thread(target=_hear_one, args=(told, *first, heard), daemon=True).start()


def _hear_one(told: "Connection[Any, Any]", of: str, number: int, heard: "SimpleQueue[Heard]") -> None:
    with told:
        message: Any = ("progress", {})
        while message is not None and message[0] == "progress":
            heard.put((of, number, message))
            try:
                message = told.recv()
            except (EOFError, OSError):
                message = None
        heard.put((of, number, message))
