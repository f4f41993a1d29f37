"""Which nodes hang together: union-find over edges between any int64 values, as many as memory has room for nodes.

One open-addressing table holds the nodes and the trees: a slot is 16 bytes, the node and where its parent lies. The
smaller node of two roots becomes the root of both, so the root of a component is its smallest node, whatever the
order and direction of the edges. Finding halves the path (Tarjan and van Leeuwen 1984): O(log n) for an edge, in the
mean, without a rank to store; what costs is waiting for memory, so a block of edges asks for its slots side by side.

What comes out are edges again, one for each node, with the same components: results of parts merge by adding them to
one more `Forest`, in any order. Where all nodes together do not fit into one memory, see components.py.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.components import check_pairs, sort_by_key

Nodes = npt.NDArray[np.int64]

_AHEAD = 128  # edges whose slots are asked for before any is looked at; 32 to 256 measured the same
_FULL = 0.7  # share of slots in use before the table grows: a look-up then reads 2 slots, mostly of one cache line
_GROWTH = 1.5  # the old table lies beside the new one: 57 bytes per node at that moment
_SLOTS_AT_MOST = 1 << 32  # 64 GB; a slot is chosen by 32 bits of hash


def components(a: Nodes, b: Nodes) -> tuple[Nodes, Nodes]:
    """(distinct nodes, ascending; the smallest node of the component of each), from edges a[i] - b[i] in any order.

    An edge from a node to itself makes it known. Cost on one core: about 50 ns per edge and 120 ns per distinct node at
    10,000,000 edges, half as much again at 100,000,000; 40 bytes per distinct node beside the input. Raises ValueError
    where the arrays differ in length, or are not int64.
    """
    forest = Forest(expected_nodes(a, b))
    forest.add(a, b)
    nodes, labels = forest._rows()
    del forest  # before sorting wants memory of its own
    return sort_by_key(nodes, labels)


def expected_nodes(a: Nodes, b: Nodes) -> int:
    """About how many distinct nodes: 64 times those whose hash ends in 6 zero bits, to about 1% at 640,000 nodes."""
    check_pairs(a, b)
    if len(a) < 1 << 16:
        return 2 * len(a)
    sample = _some(a, b)
    return 64 * len(np.unique(sample)) + 1024


class Forest:
    """Components of edges that arrive in parts; the parts and their order leave no trace in the result."""

    def __init__(self, expected_nodes: int = 0) -> None:
        """Room for `expected_nodes` spares growing: 23 bytes for each, or up to 34 at rest and 57 at worst without."""
        self._table = _empty(int(expected_nodes * 1.03 / _FULL) + 4 * _AHEAD)
        self._used = 0

    def __len__(self) -> int:
        """Distinct nodes so far."""
        return self._used

    def add(self, a: Nodes, b: Nodes) -> None:
        """Edges a[i] - b[i]. Raises ValueError where the arrays differ in length, are not int64, or too many."""
        check_pairs(a, b)
        done, self._used = _link(self._table, self._used, self._limit, a, b, 0)
        while done < len(a):
            larger = _empty(int(len(self._table) * _GROWTH) + 4 * _AHEAD)
            _move(self._table, larger)
            self._table = larger
            done, self._used = _link(self._table, self._used, self._limit, a, b, done)

    def components(self) -> tuple[Nodes, Nodes]:
        """As `components`, of all edges so far. More may be added behind it."""
        return sort_by_key(*self._rows())

    def _rows(self) -> tuple[Nodes, Nodes]:
        nodes, labels = np.empty(self._used, np.int64), np.empty(self._used, np.int64)
        _read(self._table, nodes, labels)
        return nodes, labels

    @property
    def _limit(self) -> int:
        return int(len(self._table) * _FULL)


def _empty(slots: int) -> npt.NDArray[np.int64]:
    """[slots, 2]: a node, and 1 + the slot of its parent; 0 where the slot is free. Untouched pages cost nothing."""
    if slots > _SLOTS_AT_MOST:
        raise ValueError(f"{slots:,} slots for nodes, at most 2^32 fit; divide the edges by ranges of nodes instead")
    return np.zeros((slots, 2), np.int64)


@njit(inline="always")
def _mixed(node: Any) -> Any:
    h = np.uint64(node)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return h ^ (h >> np.uint64(32))


@njit(inline="always")
def _home(node: Any, slots: Any) -> Any:
    """By the upper bits, so that a larger table has its nodes in nearly the same order, and growing reads it once."""
    return np.int64(((_mixed(node) >> np.uint64(32)) * np.uint64(slots)) >> np.uint64(32))


@njit(inline="always")
def _slot(table: Any, node: Any, home: Any) -> Any:
    """Where `node` is, or could be."""
    slot = home
    while table[slot, 1] != 0 and table[slot, 0] != node:
        slot += 1
        if slot == len(table):
            slot = 0
    return slot


@njit(inline="always")
def _root(table: Any, slot: Any) -> Any:
    while True:
        parent = table[slot, 1] - 1
        if parent == slot:
            return slot
        grandparent = table[parent, 1]
        table[slot, 1] = grandparent
        slot = grandparent - 1


@compiled
def _some(a: Any, b: Any) -> Any:
    low = np.uint64(63)
    n = 0
    for i in range(len(a)):
        n += ((_mixed(a[i]) & low) == 0) + ((_mixed(b[i]) & low) == 0)
    some = np.empty(n, np.int64)
    n = 0
    for i in range(len(a)):
        if (_mixed(a[i]) & low) == 0:
            some[n] = a[i]
            n += 1
        if (_mixed(b[i]) & low) == 0:
            some[n] = b[i]
            n += 1
    return some


@compiled
def _link(table: Any, used: Any, limit: Any, a: Any, b: Any, begin: Any) -> Any:
    """(edges done, nodes): stops early where the next block might fill the table beyond `limit`."""
    homes = np.empty((_AHEAD, 2), np.int64)
    touched = np.int64(0)
    while begin < len(a) and used + 2 * _AHEAD <= limit:
        end = min(begin + _AHEAD, len(a))
        for i in range(begin, end):
            x, y = _home(a[i], len(table)), _home(b[i], len(table))
            homes[i - begin, 0], homes[i - begin, 1] = x, y
            touched |= table[x, 1] | table[y, 1]  # nobody waits for these: they come side by side
        for i in range(begin, end):
            x = _slot(table, a[i], homes[i - begin, 0])
            if table[x, 1] == 0:
                table[x, 0], table[x, 1] = a[i], x + 1
                used += 1
            y = _slot(table, b[i], homes[i - begin, 1])
            if table[y, 1] == 0:
                table[y, 0], table[y, 1] = b[i], y + 1
                used += 1
            homes[i - begin, 0], homes[i - begin, 1] = x, y
            touched |= table[table[x, 1] - 1, 1] | table[table[y, 1] - 1, 1]  # so do the parents
        for i in range(begin, end):
            x, y = _root(table, homes[i - begin, 0]), _root(table, homes[i - begin, 1])
            if table[x, 0] < table[y, 0]:
                table[y, 1] = x + 1
            elif x != y:
                table[x, 1] = y + 1
        begin = end
    if touched < 0:  # never: so that the compiler cannot leave the reads out
        used = np.int64(-1)
    return begin, used


@compiled
def _move(old: Any, new: Any) -> None:
    """All nodes of `old` to `new`; `old` is used up: where a node was stands where it went."""
    for slot in range(len(old)):
        if old[slot, 1] != 0:
            to = _slot(new, old[slot, 0], _home(old[slot, 0], len(new)))
            new[to, 0], new[to, 1] = old[slot, 0], old[slot, 1]
            old[slot, 0] = to
    for slot in range(len(new)):
        if new[slot, 1] != 0:
            new[slot, 1] = old[new[slot, 1] - 1, 0] + 1


@compiled
def _read(table: Any, nodes: Any, labels: Any) -> Any:
    n = 0
    touched = np.int64(0)
    for begin in range(0, len(table), _AHEAD):
        end = min(begin + _AHEAD, len(table))
        for slot in range(begin, end):
            if table[slot, 1] != 0:
                touched |= table[table[slot, 1] - 1, 1]
        for slot in range(begin, end):
            if table[slot, 1] != 0:
                touched |= table[table[table[slot, 1] - 1, 1] - 1, 1]
        for slot in range(begin, end):
            if table[slot, 1] != 0:
                root = _root(table, slot)
                nodes[n], labels[n] = table[slot, 0], table[root, 0]
                n += 1
    return touched
