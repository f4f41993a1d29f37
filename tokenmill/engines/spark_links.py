"""The links of a round, as edges for Spark; and components on their way back to the tasks that write them."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from tokenmill.engines.address import Addresses, addresses, read_whole
from tokenmill.engines.components import ComponentsTask, LabelTask, spread
from tokenmill.engines.context import Context
from tokenmill.engines.keyed_file import key_range
from tokenmill.engines.task import Receipt, Report, Task

LABELS = pa.schema([("range", pa.int32()), ("node", pa.int64()), ("component", pa.int64())])
LABELS_FOR_SPARK = "range int, node bigint, component bigint"


class WriteTask(Task):
    """A ComponentsTask or LabelTask that need not find what it writes: `find` does, when it runs."""

    def __init__(self, task: ComponentsTask | LabelTask, find: Callable[[], tuple[Addresses, Addresses]]) -> None:
        self._task = task
        self._find = find
        self.inputs = task.inputs

    def describe(self, context: Context) -> str:
        return self._task.describe(context)

    def receipt(self, context: Context) -> str:
        return self._task.receipt(context)

    def run(self, context: Context, report: Report) -> Receipt:
        return self._task.write(context, *self._find())


def read_links(context: Context, name: str) -> Iterator[pa.RecordBatch]:
    """The links in one file, as two columns of addresses."""
    for links in read_whole(context.out.path(name)).to_batches():
        yield pa.record_batch({"child": addresses(links, "other_"), "parent": addresses(links)})


def to_ranges(tasks: Sequence[LabelTask], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """LABELS: (node, component) with the number of the task that writes them, and a row of nulls for each task."""
    yield _labels(np.arange(len(tasks), dtype=np.int32), None, None)
    lows = np.array([key_range(p, tasks[0].of)[0] for p in range(tasks[0].of)], np.uint64)
    number_of = np.full(tasks[0].of, -1, np.int32)
    number_of[[task.partition for task in tasks]] = np.arange(len(tasks), dtype=np.int32)
    for batch in batches:
        nodes, components = (batch.column(n).to_numpy() for n in range(2))
        to = number_of[np.searchsorted(lows, spread(nodes), side="right") - 1]
        wanted = to >= 0
        yield _labels(to[wanted], nodes[wanted], components[wanted])


def in_order(batches: Sequence[pa.RecordBatch]) -> tuple[Addresses, Addresses]:
    """(nodes, components) of LABELS, by node."""
    table = pa.Table.from_batches(batches, LABELS).drop_null()
    nodes, components = (table[name].to_numpy() for name in ("node", "component"))
    order = np.argsort(nodes)
    return nodes[order], components[order]


def _labels(of: np.ndarray, nodes: Addresses | None, components: Addresses | None) -> pa.RecordBatch:
    nothing = pa.nulls(len(of), pa.int64())
    columns = [nothing if c is None else pa.array(c) for c in (nodes, components)]
    return pa.record_batch([pa.array(of), *columns], schema=LABELS)
