"""What happens in a Dask worker: it holds the run's Context, and does tasks of ours."""

import contextlib
import hashlib
import pickle
import signal
from collections import Counter
from collections.abc import Sequence
from typing import Any

import distributed
import pandas as pd
import pyarrow as pa

from tokenmill.core.errors import EngineError
from tokenmill.engines.context import Context
from tokenmill.engines.in_task import Outcome, peak_bytes, run_task, settle
from tokenmill.engines.receipts import receipt_of
from tokenmill.engines.reduce import ReduceTask
from tokenmill.engines.shuffle import DecideTask
from tokenmill.engines.task import Task

Told = tuple[Outcome, dict[str, int]]  # how a task ended, and what it counted on the way

_held: dict[str, bytes | Context] = {}  # of this process, by token


def token_of(pickled: bytes) -> str:
    return hashlib.sha256(pickled).hexdigest()[:16]


class HoldContext(distributed.WorkerPlugin):
    """Gives every worker, those that come later too, what all tasks of a run need to know."""

    def __init__(self, token: str, pickled: bytes, *, own: bool) -> None:
        self.name = f"tokenmill-{token}"
        self._token = token
        self._pickled = pickled
        self._own = own

    def setup(self, worker: Any) -> None:
        _held.setdefault(self._token, self._pickled)
        if self._own:  # Ctrl-C reaches the whole group of processes; the one that waits decides
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    def teardown(self, worker: Any) -> None:
        _held.pop(self._token, None)


def held(token: str) -> Context:
    """Unpickled once per process."""
    found = _held[token]
    if isinstance(found, bytes):
        context: Context = pickle.loads(found)
        _held[token] = found = context
    return found


def run_some(token: str, tasks: Sequence[Task]) -> list[Told]:
    """How each ended, up to the first that the engine must answer for.

    Of several, those before may have been done already, by a worker that then died.
    """
    context = held(token)
    settle(context)
    told: list[Told] = []
    for task in tasks:
        receipt = receipt_of(context, task) if len(tasks) > 1 else None
        told.append(_run(context, task) if receipt is None else (Outcome(receipt, None, peak_bytes()), {}))
        if isinstance(told[-1][0].error, EngineError):
            break
    return told


def decide(token: str, task: ReduceTask, partition: pd.DataFrame) -> list[Told]:
    """One range of keys, whose rows Dask has brought here."""
    columns = {"range": pa.nulls(len(partition), pa.int32())}
    columns |= {name: pa.array(partition[name], pa.large_binary()) for name in ("rows", "failure")}
    packed = pa.RecordBatch.from_pydict(columns)
    return run_some(token, [DecideTask(task=task, packed=[packed], inputs=task.inputs)])


def _run(context: Context, task: Task) -> Told:
    counts: Counter[str] = Counter()
    outcome = run_task(context, task, counts.update)
    return outcome, dict(counts)
