"""Components that Spark finds: seconds, rounds and memory, by one last union-find and by stars to the end.

    python benchmarks/spark_components.py [EDGES] [one|stars ...]       10,000,000 edges, both ways, by default

A tenth of the edges is one star, a hundredth one path, and the others join two of as many nodes at random; nodes have
random numbers, and edges come in random order, in 8 Parquet files. Each way runs in a process of its own on local[2]
with a heap of 1 GB. Memory is the sum of what all its processes hold, the JVM and the Python workers and the driver,
at its highest: of pages that several share, each counts its part (Pss; Linux only; looked at twice a second). CPU
seconds are theirs too. What comes out is compared with one union-find over all edges in one process.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tokenmill.kernels import union_find

FILES = 8
CONF = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "8",
    "spark.ui.enabled": "false",
}


def make(n: int, folder: Path) -> None:
    """Edges below `folder`/edges, and what should come out."""
    rng = np.random.default_rng(1)
    star, path = n // 10, n // 100
    names = rng.permutation(2 * n)
    others = n - star - path
    first = np.concatenate(
        [np.zeros(star, np.int64), np.arange(star + 1, star + 1 + path), rng.integers(star + path + 2, 2 * n, others)]
    )
    second = np.concatenate(
        [np.arange(1, star + 1), np.arange(star + 2, star + 2 + path), rng.integers(star + path + 2, 2 * n, others)]
    )
    order = rng.permutation(n)
    first, second = names[first[order]], names[second[order]]
    (folder / "edges").mkdir()
    for part in range(FILES):
        pq.write_table(pa.table({"a": first[part::FILES], "b": second[part::FILES]}), folder / f"edges/{part}.parquet")
    begin = time.monotonic()
    nodes, labels = union_find.components(first, second)
    seconds = time.monotonic() - begin
    print(f"{n:,} edges, {len(nodes):,} nodes, {int((nodes == labels).sum()):,} components; alone {seconds:.1f} s")
    np.save(folder / "nodes.npy", nodes)
    np.save(folder / "labels.npy", labels)


def find(way: str, folder: Path) -> None:
    """In this process: prints how long what took."""
    from tokenmill.engines.spark_components import Steps
    from tokenmill.engines.spark_session import session

    scratch = {"spark.local.dir": str(folder), "spark.sql.warehouse.dir": str(folder)}
    with session("local[2]", CONF | scratch) as spark:
        spark.range(10).count()
        steps = Steps(spark, f"{folder}/{way}")
        begin = time.monotonic()
        forest = steps.forest(spark.read.parquet(f"{folder}/edges"))
        print(f"{way}: {forest.count():,} rows of forests after {time.monotonic() - begin:.1f} s", flush=True)
        found = steps.joined(forest) if way == "one" else steps.stars(forest)
        print(f"{way}: {time.monotonic() - begin:.1f} s in all, {steps.rounds} rounds", flush=True)
        found.write.parquet(f"{folder}/{way}/found")


def main(n: int, ways: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, __file__, "--make", str(n), name], check=True)
        for way in ways:
            process = subprocess.Popen([sys.executable, __file__, "--find", way, name], stderr=subprocess.DEVNULL)
            peak, cpu = 0, {}
            while process.poll() is None:
                held = {pid: resident_bytes(pid) for pid in (process.pid, *below(process.pid))}
                cpu |= {pid: cpu_seconds(pid) for pid in held if held[pid]}
                peak = max(peak, sum(held.values()))
                time.sleep(0.5)
            if process.returncode:
                raise SystemExit(f"{way}: ended with {process.returncode}")
            table = pq.read_table(folder / way / "found").sort_by("child")
            columns = zip(("child", "parent"), ("nodes", "labels"), strict=True)
            right = all(np.array_equal(table[c].to_numpy(), np.load(folder / f"{f}.npy")) for c, f in columns)
            judged = "right" if right else "WRONG"
            print(f"{way}: {judged}, {peak / 1e9:.2f} GB at most, {sum(cpu.values()):.0f} CPU seconds")


def below(pid: int) -> Iterator[int]:
    """All descendants of a process."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield child
        yield from below(child)


def resident_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--make", n, name]:
            make(int(n), Path(name))
        case ["--find", way, name]:
            find(way, Path(name))
        case arguments:
            numbers = [a for a in arguments if a not in ("one", "stars")]
            main(
                int(float(numbers[0])) if numbers else 10_000_000,
                [a for a in arguments if a not in numbers] or ["one", "stars"],
            )
