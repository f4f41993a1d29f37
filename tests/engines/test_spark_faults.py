"""kill -9 of a Python worker, an executor, the driver, while a run goes on: it ends as one that nobody disturbed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from spark_session import TINY, TWO_EXECUTORS, spark_environment
from toys import Count, Length, SameFirstWord, Silence, Slow, lines_source, run_here

from tokenmill.core.recipe import Recipe
from tokenmill.engines.plan import Plan, make_plan
from tokenmill.engines.run import run
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.verify import verify

ANIMALS = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibex", "jay", "kite", "lark")
TESTS = Path(__file__).resolve().parents[1]
RECIPE = Recipe("slow", (Count(), Slow(seconds_per_batch=0.15), Length(), SameFirstWord()))


def plan(folder: Path) -> Plan:
    return make_plan(RECIPE, [lines_source(folder)], open_uri)


def go(folder: Path, out: Path, master: str) -> str:
    """In a process of its own."""
    from tokenmill.engines.spark import SparkEngine

    return run(plan(folder), LocalStore(out), SparkEngine(master=master, conf=TINY), progress=Silence()).identity


def below(pid: int) -> Iterator[int]:
    """All descendants of a process."""
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, thread.read_text().split()):
            yield child
            yield from below(child)


def one_that_is(kind: str, pid: int) -> int:
    """A descendant with `kind` in its command line, the latest."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            found = [p for p in below(pid) if kind in Path(f"/proc/{p}/cmdline").read_text()]
        except OSError:  # one ended while it was looked at
            continue
        if found:
            return max(found)
        time.sleep(0.1)
    raise AssertionError(f"no {kind} below {pid}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for n in range(8):
        lines = [f"{word} {n} of them" for word in ANIMALS] * 3
        (tmp_path / "in" / f"{n}.txt").write_text("\n".join(lines))
    return tmp_path


def start(folder: Path, master: str) -> subprocess.Popen[str]:
    code = (
        "from pathlib import Path\n"
        f"import sys; sys.path[:0] = {[str(TESTS.parent), str(TESTS), str(TESTS / 'engines')]!r}\n"
        "from test_spark_faults import go\n"
        f"print(go(Path({str(folder / 'in')!r}), Path({str(folder / 'out')!r}), {master!r}))\n"
    )
    environment = spark_environment(folder)
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def kill_when(folder: Path, process: subprocess.Popen[str], receipts: int, kind: str) -> None:
    """With SIGKILL, when so many of the first segment's eight shards are done."""
    place = folder / "out/_work/receipts/segment-0"
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until and len(list(place.glob("*.json"))) < receipts:
        time.sleep(0.05)
    os.kill(one_that_is(kind, process.pid), signal.SIGKILL)
    assert len(list(place.glob("*.json"))) < 8, "it was struck while it worked"


@pytest.mark.slow
def test_a_python_worker_and_an_executor_are_killed(folder):
    process = start(folder, TWO_EXECUTORS)
    try:
        kill_when(folder, process, 1, "pyspark.daemon")
        kill_when(folder, process, 3, "CoarseGrainedExecutorBackend")
        told, said = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 0, said[-4000:]
    assert told.split() == [run_here(plan(folder / "in"), folder / "calm", workers=2).identity]
    assert verify(folder / "out").problems == []


@pytest.mark.slow
def test_the_driver_s_jvm_is_killed_and_another_engine_ends_the_run(folder):
    process = start(folder, "local[2]")
    try:
        kill_when(folder, process, 1, "java")
        told, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1 and told == ""
    assert "EngineError: lines-0000" in said and said.rstrip().endswith("run the same command again")
    assert any((folder / "out/_work/receipts/segment-0").iterdir())
    ended = run_here(plan(folder / "in"), folder / "out", workers=2).identity
    assert ended == run_here(plan(folder / "in"), folder / "calm", workers=2).identity
