"""What a cluster does with 100,000 shards, simulated: tails, stragglers, dying nodes, and how even ranges of keys are.

    PYTHONPATH=. python benchmarks/scale_simulation.py [--only schedules,granularity,phases,skew]
    PYTHONPATH=. python benchmarks/scale_simulation.py --only hot_keys --data ../shared/data    lines of real pages

Time is a number here; benchmarks/scale_check.py lets it pass. `schedule` is a discrete-event simulation of one phase
(all its tasks may run at once, the next phase needs them all) under one of three ways of handing out tasks:

    queue     one driver gives the next task to whoever is free, `dispatch` tasks a second (Spark, Dask, local)
    strides   element r of a Slurm array of K has the tasks r, r + K, r + 2K, ... (an element is a node here)
    helping   strides, but an element that is through takes what the slowest one has left, from its end

A node dies after an exponential time of mean `mtbf_s`; its running tasks are lost (receipts keep what was committed),
and it, or another in its place, begins again `restart_s` later.
"""

import argparse
import heapq
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """`nodes` of `cores` workers each. A node's speed is lognormal around 1; some nodes are slow."""

    nodes: int
    cores: int = 64
    speed_sigma: float = 0.05
    slow_share: float = 0.01
    slow_factor: float = 3.0
    mtbf_s: float = float("inf")  # of one node
    restart_s: float = 120.0  # shared/reference/engines.md: Slurm gave a dead node's tasks away after two minutes
    way: str = "queue"
    dispatch: float = 1500.0  # tasks a second; Ousterhout et al. 2013 for Spark
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of one phase. `done` has how often each task was committed: 1, or the simulation is wrong."""

    makespan_s: float
    ideal_s: float  # all work over all workers, nothing lost, nobody waiting
    lost_s: float  # worker-seconds thrown away with dying nodes
    deaths: int
    half_idle_s: float  # from when half of the workers have nothing to do until the end: the tail
    done: npt.NDArray[np.int64]


def schedule(seconds: Floats, cluster: Cluster) -> Outcome:
    """One phase of tasks that take `seconds` each on a worker of speed 1."""
    rng = np.random.default_rng(cluster.seed)
    speed = np.exp(rng.normal(0, cluster.speed_sigma, cluster.nodes))
    speed[rng.random(cluster.nodes) < cluster.slow_share] /= cluster.slow_factor
    workers = cluster.nodes * cluster.cores
    node_of = np.arange(workers) // cluster.cores
    tasks = _Tasks(len(seconds), cluster, node_of)
    done = np.zeros(len(seconds), np.int64)
    running: dict[int, tuple[int, float]] = {}  # worker -> task, since
    life = [0] * cluster.nodes  # of each node: events of an earlier life count no more
    events: list[tuple[float, int, str, int, int]] = []  # when, tie, what, who, life
    tie = 0

    def add(when: float, what: str, who: int) -> None:
        nonlocal tie
        tie += 1
        node = who if what in ("dies", "back") else int(node_of[who])
        heapq.heappush(events, (when, tie, what, who, life[node]))

    def begin(worker: int, now: float) -> bool:
        given = tasks.next(worker, now)
        if given is None:
            idle.add(worker)
            return False
        task, start = given
        idle.discard(worker)
        running[worker] = (task, start)
        add(start + float(seconds[task]) / float(speed[node_of[worker]]), "ends", worker)
        return True

    idle: set[int] = set()
    if np.isfinite(cluster.mtbf_s):
        for node in range(cluster.nodes):
            add(float(rng.exponential(cluster.mtbf_s)), "dies", node)
    for worker in range(workers):
        begin(worker, 0.0)
    left, lost, deaths, end, half = len(seconds), 0.0, 0, 0.0, 0.0
    while left:
        now, _, what, who, of_life = heapq.heappop(events)
        node = who if what in ("dies", "back") else int(node_of[who])
        if of_life != life[node]:
            continue
        if what == "ends":
            task, _ = running.pop(who)
            done[task] += 1
            left -= 1
            end = now
            begin(who, now)
        elif what == "dies":
            deaths += 1
            life[node] += 1
            for worker in range(node * cluster.cores, (node + 1) * cluster.cores):
                idle.discard(worker)
                if worker in running:
                    task, since = running.pop(worker)
                    lost += max(0.0, now - since)
                    tasks.give_back(task, worker)
            add(now + cluster.restart_s, "back", node)
            for worker in [w for w in idle if tasks.waiting]:  # what was lost goes to who has nothing to do
                begin(worker, now)
        else:
            add(now + float(rng.exponential(cluster.mtbf_s)), "dies", node)
            for worker in range(node * cluster.cores, (node + 1) * cluster.cores):
                begin(worker, now)
        if len(running) * 2 >= workers:
            half = now
    ideal = float(seconds.sum()) / workers
    return Outcome(makespan_s=end, ideal_s=ideal, lost_s=lost, deaths=deaths, half_idle_s=end - half, done=done)


class _Tasks:
    """Who gets which task next."""

    def __init__(self, n: int, cluster: Cluster, node_of: npt.NDArray[np.int64]) -> None:
        self._way, self._dispatch, self._free_at = cluster.way, cluster.dispatch, 0.0
        self._node_of = node_of
        self.waiting = n
        if cluster.way == "queue":
            self._queues = [deque(range(n))]
        else:  # an element is a node: its workers share its stride
            self._queues = [deque(range(rank, n, cluster.nodes)) for rank in range(cluster.nodes)]

    def next(self, worker: int, now: float) -> tuple[int, float] | None:
        """(task, when it starts)."""
        queue = self._queues[0 if self._way == "queue" else int(self._node_of[worker])]
        if not queue and self._way == "helping":
            queue = max(self._queues, key=len)
            if queue:
                self.waiting -= 1
                return queue.pop(), now
        if not queue:
            return None
        self.waiting -= 1
        if self._way != "queue":
            return queue.popleft(), now
        self._free_at = max(self._free_at, now) + 1 / self._dispatch
        return queue.popleft(), self._free_at

    def give_back(self, task: int, worker: int) -> None:
        self.waiting += 1
        self._queues[0 if self._way == "queue" else int(self._node_of[worker])].appendleft(task)


def task_seconds(n: int, mean_s: float, sigma: float = 0.25, seed: int = 0) -> Floats:
    """Lognormal of this mean. .25: the spread of shards of the check below, larger than that of equal WARC files."""
    return np.random.default_rng(seed).lognormal(np.log(mean_s) - sigma**2 / 2, sigma, n)


def schedules() -> None:
    """100,000 shards of 85 core-seconds: how much longer than nothing-ever-waits."""
    print("| way | workers | a node dies every | deaths | hours | over ideal | lost | tail, min |\n|" + "---|" * 8)
    seconds = task_seconds(100_000, 85.0)
    for nodes in (16, 64, 256):
        for way in ("queue", "strides", "helping"):
            for mtbf, name in ((float("inf"), "never"), (10 * HOUR, "10 h")):
                got = schedule(seconds, Cluster(nodes=nodes, way=way, mtbf_s=mtbf))
                assert (got.done == 1).all()
                print(
                    f"| {way} | {nodes * 64:,} | {name} | {got.deaths} | {got.makespan_s / HOUR:.2f} "
                    f"| {got.makespan_s / got.ideal_s - 1:.1%} | {got.lost_s / seconds.sum():.2%} "
                    f"| {got.half_idle_s / 60:.1f} |",
                    flush=True,
                )


def granularity() -> None:
    """The same work in shards of other sizes, on 4,096 workers by one queue of 1,500 tasks a second, and by strides."""
    print("| shards | seconds each | queue, over ideal | strides, over ideal |\n|" + "---|" * 4)
    for n in (10_000, 30_000, 90_000, 270_000, 1_350_000):
        seconds = task_seconds(n, 7.67e6 / n)
        over = [schedule(seconds, Cluster(nodes=64, way=way, mtbf_s=8766 * HOUR)) for way in ("queue", "strides")]
        print(
            f"| {n:,} | {7.67e6 / n:.1f} | " + " | ".join(f"{o.makespan_s / o.ideal_s - 1:.1%}" for o in over) + " |",
            flush=True,
        )


def phases() -> None:
    """All phases of web_en behind each other, as benchmarks/scale.py has them: what waiting between them costs."""
    stars = [(13, 60.0)] * 20  # 1.3e9 links in 13 ranges, some 10 rounds of two steps; a closing job does them
    tasks_of = [
        (90_000, 85.0), (176, 1.4), (133, 5.0), (176, 6.0), (547, 6.0), *stars, (90_000, 0.1), (176, 8.0), (725, 8.0),
        (90_000, 0.3), (176, 15.0), (1_374, 8.0), (1, 20.0), (90_000, 1.0),
    ]  # fmt: skip
    print("| engine | workers | s between stations | hours | over ideal | waiting | longest phases |\n|" + "---|" * 7)
    ways = (("Spark", "queue", 2.0), ("Slurm, elements stay", "helping", 15.0), ("Slurm, arrays", "strides", 90.0))
    for name, way, gap in ways:
        for nodes in (16, 64, 256):
            seconds, ideal, starring = [], 0.0, 0.0
            for n, mean in tasks_of:
                got = schedule(task_seconds(n, mean), Cluster(nodes=nodes, way=way, mtbf_s=8766 * HOUR))
                seconds.append(got.makespan_s)
                ideal += got.ideal_s
                starring += got.makespan_s if n == 13 else 0.0
            waiting = gap * 15
            total = sum(seconds) + waiting
            longest = f"segment 0 {seconds[0] / total:.0%}, stars {starring / total:.0%}"
            print(
                f"| {name} | {nodes * 64:,} | {gap:.0f} | {total / HOUR:.2f} | {total / ideal - 1:.0%} "
                f"| {waiting / total:.0%} | {longest} |",
                flush=True,
            )


def skew() -> None:
    """Ranges of hashed keys are even until one key, or one component, is large."""
    rng = np.random.default_rng(0)
    documents, of = 524e6, 547
    print("| largest cluster of 524 M documents | bands: largest range / mean | bytes | signatures | bytes |")
    print("|" + "---|" * 5)
    candidates, of2 = documents * 0.72, 725
    for share in (0.0, 1e-4, 1e-3, 1e-2, 1e-1):
        hot = documents * share
        # 14 bands of a cluster of copies: 14 keys, each in some range; the other rows are spread evenly.
        mean = documents * 14 / of
        largest = rng.poisson(mean, of).max() + hot
        even = rng.poisson(candidates / of2, of2).max() + hot
        print(
            f"| {hot:,.0f} | {largest / mean:.2f} | {largest * 20 / 1e6:,.0f} MB | {even / (candidates / of2):.1f} "
            f"| {even * 516 / 1e9:.2f} GB |"
        )


def hot_keys(data: Path) -> None:
    """How heavy the tail of real keys is: lines of real pages, by how many rows one key has."""
    from tokenmill.core.document import BATCH_BYTES
    from tokenmill.core.source import File
    from tokenmill.ingest.extract_html import ExtractHtml
    from tokenmill.ingest.files import Files
    from tokenmill.manifests.remote_stream import open_uri

    path = data / "warc" / "derived_trafilatura.warc.gz"
    source = Files(name="web", files=(File(name=path.name, uri=str(path), size=path.stat().st_size),))
    lines: dict[int, int] = {}
    for split in source.splits(open_uri):
        for chunk in source.read(split, open_uri, BATCH_BYTES):
            for text in ExtractHtml().apply(chunk.records)["text"].to_pylist():
                for line in (text or "").split("\n"):
                    if line.strip():
                        lines[hash(line.strip())] = lines.get(hash(line.strip()), 0) + 1
    counts = np.sort(np.array(list(lines.values())))[::-1]
    ranks = np.arange(1, len(counts) + 1)
    head = (counts > 2) & (ranks > 3)
    slope = np.polyfit(np.log(ranks[head]), np.log(counts[head]), 1)[0]
    share = counts[0] / counts.sum()
    print(
        f"lines: {counts.sum():,} rows, {len(counts):,} keys, largest {counts[0]} ({share:.2%}), exponent {slope:.2f}"
    )
    print("| rows of one round | ranges of 256 MB | largest key's rows | largest range / mean |\n|" + "---|" * 4)
    for rows in (1e9, 1e10, 2.6e10):
        of = max(1, int(np.ceil(rows * 76 / (256 << 20))))
        hot = zipf_head(rows, -slope, keys=int(rows * len(counts) / counts.sum()))
        sizes = np.bincount(np.random.default_rng(0).integers(0, of, len(hot)), weights=hot, minlength=of)
        rest = (rows - hot.sum()) / of
        print(f"| {rows:.2g} | {of:,} | {hot[0]:,.0f} | {(sizes.max() + rest) / (rows / of):.1f} |")


def zipf_head(rows: float, exponent: float, keys: int, head: int = 1_000_000) -> Floats:
    """Rows of the `head` most frequent of `keys` keys whose frequency falls with rank ** -exponent."""
    ranks = np.arange(1, min(head, keys) + 1, dtype=np.float64)
    # The sum beyond the head by its integral.
    beyond = (keys ** (1 - exponent) - len(ranks) ** (1 - exponent)) / (1 - exponent) if keys > len(ranks) else 0.0
    weights = ranks**-exponent
    found: Floats = weights / (weights.sum() + beyond) * rows
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="schedules,granularity,phases,skew")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    parts = {"schedules": schedules, "granularity": granularity, "phases": phases, "skew": skew}
    for name in arguments.only.split(","):
        print(f"\n# {name}", flush=True)
        hot_keys(arguments.data) if name == "hot_keys" else parts[name]()


if __name__ == "__main__":
    main()
