"""One task of ours as one rank of a datatrove pipeline that has no other step."""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Sequence
from functools import lru_cache
from multiprocessing.connection import Client, Connection, wait
from pathlib import Path
from typing import Any

import multiprocess
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from tokenmill.engines.context import Context
from tokenmill.engines.in_task import run_task, settle
from tokenmill.engines.task import Task

CONTEXT, TASKS = "context.pickle", "tasks.pickle"


class TaskStep(PipelineStep):  # type: ignore[misc]
    """Runs the task `numbers[rank]` of those in `folder`, and tells who waits at the socket `address`."""

    name = "task"
    type = "🧱 - TOKENMILL"

    def __init__(self, folder: Path, numbers: Sequence[int], address: str, key: bytes) -> None:
        super().__init__()
        self.folder = folder
        self.numbers = numbers
        self.address = address
        self.key = key

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        _die_with(multiprocess.parent_process())
        number = self.numbers[rank]
        with Client(self.address, "AF_UNIX", authkey=self.key) as told:
            told.send((str(self.folder), number))

            def report(news: dict[str, int]) -> None:
                told.send(("progress", news))
                for name, value in news.items():
                    self.stat_update(name, value=value)

            context, tasks = _loaded(self.folder)
            settle(context)
            told.send(("ended", run_task(context, tasks[number], report)))
        return None


def serve(orders: "Connection[Any, Any]", log: Path, workers: int, address: str, key: bytes) -> None:
    """In a process of its own, which may be killed: datatrove's local executor, for one phase after the other.

    An order is (folder, numbers); the folder comes back when its executor has ended. Logs and marks of completion lie
    in a new folder for each: a receipt alone says what is done.
    """
    # A group of its own: Ctrl-C is for who waits. And whoever ends it ends all: datatrove's manager would outlive it.
    os.setpgid(0, 0)
    _die_with(multiprocessing.parent_process(), group=True)
    into = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o666)
    for stream in (1, 2):
        os.dup2(into, stream)
    while True:
        try:
            folder, numbers = orders.recv()
        except (EOFError, OSError):
            return
        _loaded(folder)
        # Workers come from a process that has loaded all they need, and has no threads whose locks they could inherit.
        loaded = [name for name in sys.modules if name.startswith("tokenmill.")]
        multiprocess.set_forkserver_preload([*loaded, "tokenmill.engines.datatrove_preload"])
        LocalPipelineExecutor(
            [TaskStep(folder, numbers, address, key)],
            tasks=len(numbers),
            workers=min(workers, len(numbers)),
            logging_dir=str(folder / "datatrove"),
            skip_completed=False,
            start_method="forkserver",
        ).run()
        orders.send(folder)


def write(folder: Path, context: Context, tasks: Sequence[Task]) -> None:
    (folder / CONTEXT).write_bytes(pickle.dumps(context))
    (folder / TASKS).write_bytes(pickle.dumps(tasks))


@lru_cache(maxsize=1)
def _loaded(folder: Path) -> tuple[Context, Sequence[Task]]:
    context: Context = pickle.loads((folder / CONTEXT).read_bytes())
    tasks: Sequence[Task] = pickle.loads((folder / TASKS).read_bytes())
    return context, tasks


_watched: set[int] = set()


def _die_with(parent: Any, *, group: bool = False) -> None:
    """End this process (or all of its group) as soon as `parent` is gone, even by kill -9."""
    if parent is None or parent.pid in _watched:
        return
    _watched.add(parent.pid)

    def watch() -> None:
        wait([parent.sentinel])
        if group:
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
