"""Worker processes that may die: a task whose worker is killed is tried again, and the others never notice."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from tokenmill.core.errors import EngineError, TokenmillError
from tokenmill.engines.context import Context
from tokenmill.engines.in_task import Outcome, first_failure, run_task, settle
from tokenmill.engines.task import Task
from tokenmill.engines.workers import Done, News

TRIES = 3  # of a task whose worker dies: a one-off is survived, a document that kills every worker is named
POLL_S = 0.5  # how often Ctrl-C and the progress bar are looked after while nothing happens


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: int | None = None


class Pool:
    """`workers` processes that run tasks of one Context. Use as a context manager; leaving ends them."""

    def __init__(self, context: Context, workers: int) -> None:
        self._context = context
        self._spawn = multiprocessing.get_context("spawn")  # fork would copy locks held by Arrow's threads
        self._workers: list[_Worker] = []
        self._size = workers
        self.peak_bytes = 0  # the largest resident set that any worker reported

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    def run(self, tasks: Sequence[Task], done: Done, news: News) -> None:
        """As Workers.run. A task whose worker dies is tried TRIES times."""
        waiting = deque(range(len(tasks)))
        deaths: dict[int, int] = {}
        failures: dict[int, TokenmillError] = {}
        running = 0
        while waiting or running:
            if any(isinstance(f, EngineError) for f in failures.values()):
                waiting.clear()
            while waiting and running < self._size:
                number = waiting.popleft()
                self._give(number, tasks[number])
                running += 1
            for worker in self._ready():
                message = _receive(worker)
                if message is not None and message[0] == "progress":
                    news(message[1])
                    continue
                number = worker.task if worker.task is not None else -1
                running -= 1
                worker.task = None
                if message is None:
                    self._bury(worker)
                    deaths[number] = deaths.get(number, 0) + 1
                    reason = _cause(worker.process.exitcode)
                    if deaths[number] < TRIES:
                        waiting.appendleft(number)
                        news({"retries": 1})
                    else:
                        what = tasks[number].describe(self._context)
                        failures[number] = EngineError(
                            f"{what}: the worker {reason}, {TRIES} times; "
                            "give it more memory or look at that input, then run the same command again"
                        )
                    continue
                outcome: Outcome = message[1]
                self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
                if outcome.receipt is not None:
                    done(number, outcome.receipt)
                elif outcome.error is not None:
                    failures[number] = outcome.error
            news({})
        if failures:
            raise first_failure(failures)

    def _give(self, number: int, task: Task) -> None:
        idle = next((w for w in self._workers if w.task is None), None)
        if idle is None:
            ours, theirs = self._spawn.Pipe()
            process = self._spawn.Process(target=_work, args=(theirs, self._context), daemon=True)
            process.start()
            theirs.close()
            idle = _Worker(process, ours)
            self._workers.append(idle)
        idle.task = number
        try:
            idle.pipe.send(task)
        except OSError:  # it died while idle: its end is met in `_ready`, and the task is given out again
            pass

    def _ready(self) -> list[_Worker]:
        busy = {w.pipe: w for w in self._workers if w.task is not None}
        return [busy[pipe] for pipe in wait(list(busy), timeout=POLL_S) if isinstance(pipe, Connection)]

    def _bury(self, worker: _Worker) -> None:
        worker.process.join(5)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)


def _receive(worker: _Worker) -> Any:
    """The worker's next message; None if it is dead."""
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        return None


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"ended with exit code {exitcode}"


def _work(pipe: Connection, context: Context) -> None:
    """A worker's life: one task after the other until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _die_with_parent()
    settle(context)

    def report(news: dict[str, int]) -> None:
        pipe.send(("progress", news))

    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(("ended", run_task(context, task, report)))


def _die_with_parent() -> None:
    """End this process as soon as the parent is gone, even by kill -9."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
