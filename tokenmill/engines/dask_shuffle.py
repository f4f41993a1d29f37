"""A round's rows through Dask's p2p shuffle.

It moves pandas rows, and pandas would change types on the way (it has no fixed-size binary; a list becomes an object).
So a row of the DataFrame is a message of shuffle.py: what arrives is what left.
"""

from collections.abc import Sequence
from typing import Any

import dask
import dask.dataframe
import numpy as np
import pandas as pd
import pyarrow as pa

from tokenmill.engines.context import Context
from tokenmill.engines.dask_worker import held
from tokenmill.engines.in_task import settle
from tokenmill.engines.reduce import ReduceTask
from tokenmill.engines.shuffle import PACKED, send

_frames: Any = dask.dataframe  # typed in parts
_BYTES = pd.ArrowDtype(pa.large_binary())
SENDERS = 1_000  # tasks that send, at most
EACH_PARTITION, EACH_WORKER = 4, 4  # senders: of 64 MB or less, and enough that no worker waits long for the last
_RANGE = "_partitions"  # the column by which Dask's shuffle puts a row into a partition


def shuffled(context: Context, token: str, tasks: Sequence[ReduceTask], workers: int) -> list[Any]:
    """The rows of each of `tasks`, which are of one round, as a delayed DataFrame; nothing runs yet.

    Small shards are sent many at a time: a sender costs Dask some 5 ms, whatever it sends.
    """
    emitters = len(context.emitters(context.verdict(tasks[0].segment, tasks[0].barrier)))
    each = -(-emitters // min(SENDERS, max(EACH_PARTITION * len(tasks), EACH_WORKER * workers)))
    some = [range(start, min(start + each, emitters)) for start in range(0, emitters, each)]
    with dask.config.set({"dataframe.shuffle.method": "p2p"}):
        sent = _frames.from_map(_Sent(token, tuple(tasks)), some, meta=_frame([]), enforce_metadata=False)
        came = sent.shuffle(on=_RANGE, npartitions=len(tasks), shuffle_method="p2p")
        partitions: list[Any] = came.to_delayed()
    return partitions


class _Sent:
    """What some emitters have for each range: held in memory, once."""

    def __init__(self, token: str, tasks: tuple[ReduceTask, ...]) -> None:
        self._token = token
        self._tasks = tasks

    def __call__(self, emitters: range) -> pd.DataFrame:
        context = held(self._token)
        settle(context)
        return _frame(list(send(context, self._tasks, emitters)))


def _frame(packed: list[pa.RecordBatch]) -> pd.DataFrame:
    table = pa.Table.from_batches(packed, PACKED)
    binary = {name: table[name].cast(pa.large_binary()) for name in ("rows", "failure")}
    columns = {name: pd.Series(pd.arrays.ArrowExtensionArray(column), dtype=_BYTES) for name, column in binary.items()}
    return pd.DataFrame({_RANGE: table["range"].to_numpy().astype(np.int64), **columns})
