"""Worker processes that may die: a task whose worker is killed is tried again, and the others never notice."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pyarrow as pa

from tokenmill.core.errors import DataError, EngineError, TokenmillError
from tokenmill.engines.context import Context
from tokenmill.engines.task import Task
from tokenmill.kernels.device import choose

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

    def run(
        self,
        tasks: Iterable[Task],
        done: Callable[[int, dict[str, Any]], None],
        progress: Callable[[dict[str, int]], None],
    ) -> None:
        """Run all tasks; `done(number, receipt)` as each ends, in any order.

        A task that fails leaves the others running. Then the first failure, in the order of the tasks, is raised:
        DataError with the shard's name, EngineError if the machine is at fault (no new task starts after that).
        """
        tasks = list(tasks)
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
                    progress(message[1])
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
                        progress({"retries": 1})
                    else:
                        what = tasks[number].describe(self._context)
                        failures[number] = EngineError(
                            f"{what}: the worker {reason}, {TRIES} times; "
                            "give it more memory or look at that input, then run the same command again"
                        )
                elif message[0] == "done":
                    self.peak_bytes = max(self.peak_bytes, message[2])
                    done(number, message[1])
                else:
                    failures[number] = message[1]
            progress({})
        if failures:
            first = failures[min(failures)]
            others = f" ({len(failures) - 1} more shards failed)" if len(failures) > 1 else ""
            raise type(first)(f"{first}{others}")

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
    pa.set_cpu_count(1)  # a worker is one core; more workers, not more threads
    pa.set_io_thread_count(1)
    _die_with_parent()
    choose(context.device)

    def report(news: dict[str, int]) -> None:
        pipe.send(("progress", news))

    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            body = task.run(context, report)
            pipe.send(("done", body, _peak_bytes()))
        except BaseException as error:
            pipe.send(("failed", _as_ours(error, task.describe(context))))


def _peak_bytes() -> int:
    """The largest resident set of this process so far. Not ru_maxrss: on Linux a child inherits its parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _as_ours(error: BaseException, where: str) -> TokenmillError:
    """Any exception as one of the three errors, with the shard's name."""
    match error:
        case TokenmillError():
            return type(error)(f"{where}: {error}")
        case FileNotFoundError():
            return DataError(f"{where}: {error.filename or error} is gone; restore it and run the same command again")
        case OSError():
            return EngineError(
                f"{where}: {error.strerror or error}: {error.filename or 'output'}; "
                "free space or mend the disk, then run the same command again"
            )
        case MemoryError():
            return EngineError(f"{where}: out of memory; use fewer workers, then run the same command again")
        case _:
            return DataError(f"{where}: {type(error).__name__}: {error}")


def _die_with_parent() -> None:
    """End this process as soon as the parent is gone, even by kill -9."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
