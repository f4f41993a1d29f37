"""The simulation of benchmarks/scale_simulation.py beside real runs: tasks that sleep, and shards of real pages.

    PYTHONPATH=. python benchmarks/scale_check.py [--data ../shared/data]

Asleep, tasks need no core, so a busy machine does not disturb them: what is compared is how they are handed out.
"""

import argparse
import gzip
import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.scale_simulation import Cluster, Floats, schedule, task_seconds
from tokenmill.engines.context import Context
from tokenmill.engines.local import LocalEngine
from tokenmill.engines.plan import make_plan
from tokenmill.engines.pool import Pool
from tokenmill.engines.run import run
from tokenmill.engines.task import Receipt, Report, Task
from tokenmill.jobs.sources import find_sources
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.store import store_at
from tokenmill.pipelines.extract import EXTRACT


def check(data: Path, shards: int = 300) -> None:
    """One worker's times of some hundred real shards, then two workers for real, beside what `schedule` says of two."""
    folder = Path(tempfile.mkdtemp(prefix="tokenmill-scale-check-"))
    try:
        _some_shards(data, folder / "in", shards)
        # One, two, two, one: what else the machine does changes, and so meets both alike.
        ones: list[Floats] = []
        twos: list[Floats] = []
        for place, workers in enumerate((1, 2, 2, 1)):
            ends = np.array(_run(EXTRACT, folder / "in", folder / str(place), workers))
            (ones if workers == 1 else twos).append(ends)
        seconds = np.mean([np.diff(ends) for ends in ones], axis=0)
        got = schedule(seconds, Cluster(nodes=1, cores=2, speed_sigma=0.0, slow_share=0.0, dispatch=1e9))
        real = float(np.mean([ends[-1] - ends[0] for ends in twos]))
        spread = float(np.std(np.log(seconds[seconds > 0])))
        facts: dict[str, Any] = {
            "tasks": len(seconds),
            "one worker, s": round(float(seconds.sum()), 2),
            "spread (sigma of log)": round(spread, 2),
            "two workers, simulated, s": round(got.makespan_s, 2),
            "two workers, real, s": round(real, 2),
            "real / simulated": round(real / got.makespan_s, 3),
        }
        print(json.dumps(facts, indent=1))
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep(Task):
    """A task that takes its time and does nothing: how tasks are handed out, without the machine's other work."""

    seconds: float
    inputs: str = ""

    def describe(self, context: Context) -> str:
        return f"sleep for {self.seconds} s"

    def receipt(self, context: Context) -> str:
        return "none"

    def run(self, context: Context, report: Report) -> Receipt:
        time.sleep(self.seconds)
        return {}


def asleep(data: Path, tasks: int = 300) -> None:
    """The real Pool over tasks that sleep for a known time, beside `schedule`: shards of one size, and of many."""
    print("| workers | tasks | spread | simulated, s | real, s | real / simulated |\n|" + "---|" * 6)
    one = str(data / "webtext" / "dj_redpajama-cc-2023-06-refined.jsonl")
    plan = make_plan(EXTRACT, find_sources([one]).sources, open_uri)
    with tempfile.TemporaryDirectory() as folder:
        context = Context(plan=plan, out=store_at(folder))
        for workers, sigma in ((2, 0.25), (2, 1.0), (8, 0.25), (8, 1.0)):
            seconds = task_seconds(tasks, 0.06 * workers, sigma)
            with Pool(context, workers) as pool:
                pool.run([Sleep(seconds=0.5)] * workers, lambda number, receipt: None, lambda news: None)  # all started
                begin = time.monotonic()
                pool.run([Sleep(seconds=float(s)) for s in seconds], lambda number, receipt: None, lambda news: None)
                real = time.monotonic() - begin
            steady = Cluster(nodes=1, cores=workers, speed_sigma=0.0, slow_share=0.0, dispatch=1e9)
            simulated = schedule(seconds, steady).makespan_s
            print(
                f"| {workers} | {tasks} | {sigma} | {simulated:.2f} | {real:.2f} | {real / simulated:.3f} |", flush=True
            )


def _some_shards(data: Path, into: Path, shards: int) -> None:
    """Real pages, 5 to 60 of them in a file, so that tasks differ."""
    pages = [page for page in pq.read_table(data / "html" / "trafilatura_eval.parquet")["html"].to_pylist() if page]
    rng = np.random.default_rng(0)
    into.mkdir(parents=True)
    for shard in range(shards):
        with (into / f"{shard:05d}.warc.gz").open("wb") as file:
            for number in rng.integers(0, len(pages), int(np.clip(rng.lognormal(2.5, 0.6), 5, 60))):
                page = pages[number]
                html = page.encode() if isinstance(page, str) else page
                body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + html
                head = (
                    "WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\n"
                    f"WARC-Target-URI: http://a/{shard}/{number}\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                file.write(gzip.compress(head.encode() + body + b"\r\n\r\n", 1, mtime=0))


class _Clock:
    """Notes when each task ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None: ...

    def news(self, counts: dict[str, int]) -> None: ...

    def task_done(self) -> None:
        self.ends.append(time.monotonic())


def _run(recipe: Any, source: Path, out: Path, workers: int) -> list[float]:
    """When each task ended: the first has compiled kernels and started workers, so count from there."""

    clock = _Clock()
    plan = make_plan(recipe, find_sources([str(source)]).sources, open_uri)
    run(plan, store_at(out), LocalEngine(workers=workers), progress=clock)
    return clock.ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    data = parser.parse_args().data
    asleep(data)
    check(data)


if __name__ == "__main__":
    main()
