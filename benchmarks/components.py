"""How fast components are found, on one core, in how much memory, beside scipy and networkx.

    python benchmarks/components.py [EDGES ...]       1,000,000 and 10,000,000 by default; 1e8 wants 12 GB

Nodes are addresses, (shard << 40) + row with 2^20 rows in a shard, and edges come in random order. Each case runs in a
process of its own, pinned to one core where the system lets it, after a call that compiles. CPU seconds, the best of
three (of one at 1e8). Bytes are the peak of resident memory during the call beside the edges themselves, 16 bytes
each (Linux only). scipy wants nodes 0..n-1, so np.unique goes before it, as its users write it; networkx gets Python
integers, and no more than 1,000,000 edges. Both are asked for a label per node, but not for the smallest node.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tokenmill.kernels.components import both_ways, large_star, small_star
from tokenmill.kernels.union_find import Forest, components

Nodes: TypeAlias = npt.NDArray[np.int64]
Edges: TypeAlias = tuple[Nodes, Nodes]


def giant(n: int) -> Edges:
    """As many edges as nodes to choose from: one component of 80% of the nodes, and many small ones."""
    a, b = np.random.default_rng(1).integers(0, n, (2, n))
    return a, b


def sparse(n: int) -> Edges:
    """Four times as many nodes to choose from: components of few nodes."""
    a, b = np.random.default_rng(1).integers(0, 4 * n, (2, n))
    return a, b


def buckets(n: int) -> Edges:
    """What LSH gives: clusters of 2 to 20 documents, every link to the first of them found in three bands."""
    rng = np.random.default_rng(1)
    sizes = rng.integers(2, 21, n // 3 // 10 + 1)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes - 1)[: n // 3]
    other = np.flatnonzero(np.bincount(np.cumsum(sizes) - sizes, minlength=sizes.sum()) == 0)[: n // 3]
    order = rng.permutation(3 * len(first)) % len(first)
    return first[order], other[order]


def forest(n: int) -> Edges:
    """A random recursive tree in a random order of nodes."""
    rng = np.random.default_rng(1)
    names, children = rng.permutation(n + 1), rng.permutation(n) + 1
    return names[children], names[(rng.random(n) * children).astype(np.int64)]


def path(n: int) -> Edges:
    a = np.random.default_rng(1).permutation(n)
    return a, a + 1


def star(n: int) -> Edges:
    return np.full(n, n), np.random.default_rng(1).permutation(n)


def grown(a: Nodes, b: Nodes) -> None:
    """In parts of a million edges, into a forest that has to grow."""
    whole = Forest()
    for begin in range(0, len(a), 1_000_000):
        whole.add(a[begin : begin + 1_000_000], b[begin : begin + 1_000_000])
    whole.components()


def one_round(a: Nodes, b: Nodes) -> None:
    """Large-star and small-star of all rows, as if one task had them."""
    child, parent, _ = large_star(*both_ways(a, b))
    small_star(child, parent)


def scipy(a: Nodes, b: Nodes) -> None:
    nodes, dense = np.unique(np.concatenate((a, b)), return_inverse=True)
    matrix = import_module("scipy.sparse").coo_matrix(
        (np.ones(len(a), np.int8), (dense[: len(a)], dense[len(a) :])), shape=(len(nodes), len(nodes))
    )
    import_module("scipy.sparse.csgraph").connected_components(matrix, directed=False)


def networkx(a: Nodes, b: Nodes) -> None:
    graph = import_module("networkx").Graph()
    graph.add_edges_from(zip(a.tolist(), b.tolist(), strict=True))
    for _ in import_module("networkx").connected_components(graph):
        pass


SHAPES: dict[str, Callable[[int], Edges]] = {f.__name__: f for f in (giant, sparse, buckets, forest, path, star)}
WORKS: dict[str, Callable[[Nodes, Nodes], object]] = {
    "components": components,
    "Forest, growing": grown,
    "one round of stars": one_round,
    "scipy": scipy,
    "networkx": networkx,
}
AT_MOST = {"scipy": 20_000_000, "networkx": 1_000_000}  # edges: beyond, they want more than 4 GB, or minutes


def resident_bytes(field: str) -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(field))


def case(name: str, shape: str, n: int) -> str:
    """`seconds bytes` of one case, in this process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    work = WORKS[name]
    work(*SHAPES[shape](1000))
    a, b = ((side >> 20 << 40) + (side & (1 << 20) - 1) for side in SHAPES[shape](n))
    best, peak = float("inf"), 0
    for _ in range(3 if n < 50_000_000 else 1):
        before = resident_bytes("VmRSS")
        if before:
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        begin = time.process_time()
        work(a, b)
        best = min(best, time.process_time() - begin)
        peak = max(peak, resident_bytes("VmHWM") - before)
    return f"{best} {peak}"


def wanted(name: str, n: int) -> bool:
    if name not in AT_MOST:
        return True
    try:
        import_module(name)
    except ImportError:
        return False
    return n <= AT_MOST[name]


def main(sizes: list[int]) -> None:
    print("shape         edges what                  seconds  ns/edge  bytes/edge  x seconds  x bytes")
    # Large arrays go back to the system as soon as they are freed, so that peaks are those of the call.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "262144"}
    for n in sizes:
        for shape in SHAPES:
            first: tuple[float, float] | None = None
            for name in (name for name in WORKS if wanted(name, n)):
                command = [sys.executable, __file__, "--case", name, shape, str(n)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
                seconds, peak = (float(value) for value in done.stdout.split())
                first = first or (seconds, max(peak, 1.0))
                print(
                    f"{shape:8} {n:10,} {name:20} {seconds:8.2f} {seconds / n * 1e9:8.0f} {peak / n:11.0f} "
                    f"{seconds / first[0]:10.1f} {peak / first[1]:8.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        print(case(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    else:
        main([int(float(size)) for size in sys.argv[1:]] or [1_000_000, 10_000_000])
