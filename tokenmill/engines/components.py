"""Which documents hang together through the links that a round found: they are decided by one task.

Up to LINKS_IN_MEMORY links, one task joins them by union-find. Beyond, tasks over ranges of nodes do, each in the
memory of its range, by alternating stars (kernels/components.py) until nothing changes. Either gives the same.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import COMPONENTS, Verdict
from tokenmill.engines.address import Addresses, addresses, read_whole, shards_and_rows
from tokenmill.engines.context import Context
from tokenmill.engines.keyed_file import KeyedFile, key_range, read_keys
from tokenmill.engines.reduce import files_of, partition_name
from tokenmill.engines.task import Receipt, Report, Task
from tokenmill.kernels.components import both_ways, large_star, small_star
from tokenmill.kernels.union_find import Forest
from tokenmill.manifests.attempt import Attempt
from tokenmill.manifests.store import WORK

LINKS_IN_MEMORY = 100_000_000  # 40 bytes for each node of theirs: 4 to 8 GB
_K = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads addresses over the range of keys
_PAIRS = pa.schema([("key", pa.uint64()), ("node", pa.int64()), ("other", pa.int64())])


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentsTask(Task):
    """Union-find over all links of a round, in the memory of one task."""

    segment: int
    barrier: int
    round: int
    inputs: str

    def describe(self, context: Context) -> str:
        return f"components of {context.verdict(self.segment, self.barrier).name}"

    def receipt(self, context: Context) -> str:
        barrier = context.verdict(self.segment, self.barrier)
        return context.receipt(f"components-{barrier.name}", barrier.rounds[self.round].name)

    def run(self, context: Context, report: Report) -> Receipt:
        barrier = context.verdict(self.segment, self.barrier)
        forest = Forest()
        for path in files_of(context, "links", barrier, barrier.rounds[self.round]):
            links = read_whole(path)
            forest.add(addresses(links), addresses(links, "other_"))
        return self.write(context, *forest.components())

    def write(self, context: Context, nodes: Addresses, labels: Addresses) -> Receipt:
        """Commit the components of all nodes, which are ascending, however they were found."""
        barrier = context.verdict(self.segment, self.barrier)
        into = context.reduced("answers", barrier.name, barrier.rounds[self.round], "components")
        return _commit_components(self, context, into, nodes, labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class StarTask(Task):
    """One range of nodes in one step: 0 keys the links, odd ones are large stars, even ones small stars.

    The receipt counts `changes`; after a large and a small star without any, the rows are the components.
    """

    segment: int
    barrier: int
    round: int
    step: int
    partition: int
    of: int
    before: int  # files of the step before
    inputs: str

    def describe(self, context: Context) -> str:
        nodes = partition_name(self.partition, self.of)
        return f"{context.verdict(self.segment, self.barrier).name}, star step {self.step}, nodes {nodes}"

    def receipt(self, context: Context) -> str:
        barrier = context.verdict(self.segment, self.barrier)
        name = f"stars-{barrier.name}.{barrier.rounds[self.round].name}.{self.step}"
        return context.receipt(name, partition_name(self.partition, self.of))

    def run(self, context: Context, report: Report) -> Receipt:
        barrier = context.verdict(self.segment, self.barrier)
        changes = 0
        if self.step == 0:
            links = read_whole(files_of(context, "links", barrier, barrier.rounds[self.round])[self.partition])
            first, second = both_ways(addresses(links, "other_"), addresses(links))
        else:
            star = large_star if self.step % 2 else small_star
            files = _star_files(context, barrier, self.round, self.step - 1, self.before)
            first, second, changes = star(*_pairs(files, self.partition, self.of))
            if self.step % 2 == 0:
                first, second = both_ways(first, second)
        with Attempt(context.out) as attempt:
            name = partition_name(self.partition, self.of)
            path = _star_path(barrier, self.round, self.step, name)
            file = KeyedFile(attempt.file(path), _PAIRS)
            for start in range(0, len(first), 1 << 20):
                some = slice(start, start + (1 << 20))
                file.write(pa.record_batch([spread(first[some]), first[some], second[some]], schema=_PAIRS))
            file.close()
            return attempt.commit(self.receipt(context), {"inputs": self.fingerprint(context), "changes": changes})


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTask(Task):
    """The components of one range of nodes, from the rows of the last small star."""

    segment: int
    barrier: int
    round: int
    step: int  # the last
    partition: int
    of: int
    inputs: str

    def describe(self, context: Context) -> str:
        nodes = partition_name(self.partition, self.of)
        return f"components of {context.verdict(self.segment, self.barrier).name}, nodes {nodes}"

    def receipt(self, context: Context) -> str:
        barrier = context.verdict(self.segment, self.barrier)
        name = f"components-{barrier.name}.{barrier.rounds[self.round].name}"
        return context.receipt(name, partition_name(self.partition, self.of))

    def run(self, context: Context, report: Report) -> Receipt:
        barrier = context.verdict(self.segment, self.barrier)
        files = _star_files(context, barrier, self.round, self.step, self.of)
        nodes, labels = _pairs(files, self.partition, self.of)
        nodes, labels = nodes[labels <= nodes], labels[labels <= nodes]
        order = np.argsort(nodes)
        return self.write(context, nodes[order], labels[order])

    def write(self, context: Context, nodes: Addresses, labels: Addresses) -> Receipt:
        """Commit the components of those nodes, ascending, whose `spread` lies in this range of keys."""
        barrier = context.verdict(self.segment, self.barrier)
        name = f"components-{partition_name(self.partition, self.of)}"
        into = context.reduced("answers", barrier.name, barrier.rounds[self.round], name)
        return _commit_components(self, context, into, nodes, labels)


def spread(labels: Addresses) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Nodes as keys: a bijection, so that no two meet."""
    x = labels.view(np.uint64) * _K
    return (x ^ (x >> np.uint64(32))) * _K


def _commit_components(task: Task, context: Context, into: str, nodes: Addresses, labels: Addresses) -> Receipt:
    """Nodes are ascending. Counts documents and components; each component once, by its smallest node."""
    with Attempt(context.out) as attempt:
        with pa.ipc.new_file(attempt.file(into), COMPONENTS) as writer:
            columns = [*shards_and_rows(nodes), pa.array(spread(labels))]
            writer.write_table(pa.table(columns, schema=COMPONENTS))
        counts = {"documents": len(nodes), "components": int((nodes == labels).sum())}
        return attempt.commit(task.receipt(context), {"inputs": task.fingerprint(context), "counts": counts})


def _pairs(files: list[Path], partition: int, of: int) -> tuple[Addresses, Addresses]:
    """(node, other) of the rows of one range of nodes."""
    batches = [batch for path in files for batch in read_keys(path, *key_range(partition, of))]
    empty = np.zeros(0, np.int64)
    first, second = ([empty, *(b[name].to_numpy() for b in batches)] for name in ("node", "other"))
    return np.concatenate(first), np.concatenate(second)


def _star_files(context: Context, barrier: Verdict, round_: int, step: int, of: int) -> list[Path]:
    return [context.out.path(_star_path(barrier, round_, step, partition_name(n, of))) for n in range(of)]


def _star_path(barrier: Verdict, round_: int, step: int, partition: str) -> str:
    return f"{WORK}/stars/{barrier.name}.{barrier.rounds[round_].name}/{step}/{partition}.arrow"
