"""A run on Dask is the run that this machine would have made: same identity, same receipts, same words on errors."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from repeated_pages import write_repeated_pages
from toys import Count, Fragile, Length, SameFirstWord, SameLastWord, Silence, Slow, lines_source, run_here

pytest.importorskip("distributed", reason="needs the extra dask: pip install 'tokenmill[dask]'")

import distributed

from tokenmill.core.errors import DataError, EngineError
from tokenmill.core.recipe import Recipe
from tokenmill.engines import reduce
from tokenmill.engines.dask import DaskEngine
from tokenmill.engines.plan import make_plan
from tokenmill.engines.run import run
from tokenmill.jobs.cli import main
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.verify import verify

TWO = DaskEngine(workers=2)

MINE = """
from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.dedup.lines import LineDedup
from tokenmill.dedup.ngram_bloom import NgramBloom
from tokenmill.dedup.ngram_filter import NgramFilter
from tokenmill.dedup.substring import SubstringDedup
from tokenmill.ingest.extract_html import ExtractHtml
from toys import Slow

ALL = Recipe("all", (
    ExtractHtml(), ExactDedup(), FuzzyDedup(), SubstringDedup(length=20), LineDedup(),
    NgramFilter(one_in=1), NgramBloom(),
))
"""


TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    write_repeated_pages(tmp_path / "in")
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    (place / "fruit.txt").write_text("apple pie recipe\napple\npear tart\n!broken\nquince jelly recipe\n")
    (place / "tools.txt").write_text("saw\npear tart with cream\nhammer and nails\napple pie recipe\n")
    return place


def on_dask(recipe: Recipe, folder: Path, out: Path, engine: DaskEngine = TWO) -> Manifest:
    plan = make_plan(recipe, [lines_source(folder)], open_uri)
    return run(plan, LocalStore(out), engine, progress=Silence())


@pytest.mark.slow
def test_every_verdict_by_its_own_shuffle(pages, monkeypatch):
    """Rounds of several partitions: hashes, signatures, shingles, spans, a bloom filter's large values."""
    monkeypatch.setattr(reduce, "PARTITION_BYTES", 60_000)
    command = ["run", f"{pages}/mine.py:ALL", "--source", f"pages={pages}/in", "--workers", "2"]
    assert main([*command, "--out", f"{pages}/local"]) == 0
    assert main([*command, "--out", f"{pages}/dask", "--engine", "dask"]) == 0
    local, there = Manifest.load(LocalStore(pages / "local")), Manifest.load(LocalStore(pages / "dask"))
    assert there.identity == local.identity
    assert there.facts == local.facts
    assert verify(pages / "dask").problems == []
    told = json.loads((pages / "dask/provenance.json").read_text())
    assert (told["engine"], told["workers"]) == ("dask", 2)
    assert told["peak_bytes_per_worker"] > 50 << 20


DEDUP = Recipe("toy", (Count(), Length(), SameFirstWord(), SameLastWord()))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Somebody's own: two processes of two threads each."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
    ) as one:
        yield one


@pytest.mark.slow
def test_on_a_schedulers_address_and_with_a_client_that_stays_open(cluster, folder, tmp_path):
    plan = make_plan(DEDUP, [lines_source(folder)], open_uri)
    here = run_here(plan, tmp_path / "here")
    there = on_dask(DEDUP, folder, tmp_path / "address", DaskEngine(scheduler=cluster.scheduler_address))
    with distributed.Client(cluster, set_as_default=False) as client:
        again = on_dask(DEDUP, folder, tmp_path / "client", DaskEngine(scheduler=client))
        assert client.submit(sum, [1, 2]).result() == 3
        assert not any(name.startswith("tokenmill") for names in held_by(client) for name in names), "forgotten"
    assert here.identity == there.identity == again.identity
    assert here.facts == there.facts


def held_by(client: Any) -> list[list[str]]:
    return list(client.run(lambda dask_worker: list(dask_worker.plugins)).values())


@pytest.mark.slow
def test_an_error_is_said_as_here_and_what_dask_began_this_machine_finishes(cluster, folder, tmp_path):
    (folder / "zz.txt").write_text("apple of all")
    plan = make_plan(DEDUP, [lines_source(folder)], open_uri)
    (folder / "zz.txt").rename(tmp_path / "zz.txt")
    engine = DaskEngine(scheduler=cluster.scheduler_address)
    with pytest.raises(DataError) as there:
        run(plan, LocalStore(tmp_path / "there"), engine, progress=Silence())
    with pytest.raises(DataError) as here:
        run_here(plan, tmp_path / "here")
    assert str(there.value) == str(here.value)
    (tmp_path / "zz.txt").rename(folder / "zz.txt")
    heard = Heard()
    manifest = run_here(plan, tmp_path / "there", progress=heard)
    assert heard.already["segment 0"] == 2
    assert manifest.identity == run_here(plan, tmp_path / "here").identity


class Heard(Silence):
    """Remembers how many tasks of each phase were done before."""

    def __init__(self) -> None:
        self.already: dict[str, int] = {}

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None:
        self.already[name] = already


@pytest.mark.slow
def test_a_killed_worker_is_tried_again_and_a_shard_that_always_kills_is_named(folder, tmp_path):
    (folder / "tools.txt").write_text("kill me once\nand then go on\n")
    fuse = tmp_path / "fuse"
    fuse.touch()
    recipe = Recipe("toy", (Fragile(fuse=str(fuse)), Count()))
    assert on_dask(recipe, folder, tmp_path / "out").totals["kept"] == 6
    assert not fuse.exists()
    always = Recipe("toy", (Fragile(), Count()))
    with pytest.raises(EngineError, match=r"^lines-00001 .*tools\.txt.*: the worker died, 3 times; give it more"):
        on_dask(always, folder, tmp_path / "never")
    assert [p.name for p in (tmp_path / "never/_work/receipts/segment-0").iterdir()] == ["lines-00000.json"]


@pytest.mark.slow
def test_kill_nine_of_workers_in_the_middle(monkeypatch, tmp_path):
    """One in a segment, one in a shuffle: Dask starts others, and nothing is lost or twice."""
    monkeypatch.setattr(reduce, "PARTITION_BYTES", 2_000)
    recipe = Recipe("slow", (Slow(seconds_per_batch=0.2), Count(), SameFirstWord(), SameLastWord()))
    (tmp_path / "in").mkdir()
    for n in range(6):
        (tmp_path / "in" / f"{n}.txt").write_text("\n".join(f"w{n * i % 50} is {i}" for i in range(20)))
    plan = make_plan(recipe, [lines_source(tmp_path / "in")], open_uri)
    struck: list[str] = []

    class Strikes(Silence):
        def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None:
            if name in ("segment 0", "same_first_word"):
                threading.Timer(0.8 if name == "segment 0" else 0.1, strike, [name]).start()

    def strike(name: str) -> None:
        os.kill(workers_of_this_process()[0], signal.SIGKILL)
        struck.append(name)

    there = run(plan, LocalStore(tmp_path / "there"), TWO, progress=Strikes())
    assert struck == ["segment 0", "same_first_word"]
    here = run_here(plan, tmp_path / "here", workers=2)
    assert (there.identity, there.facts) == (here.identity, here.facts)
    assert verify(tmp_path / "there").problems == []


@pytest.mark.slow
def test_many_tasks_in_one_future_end_each_as_it_would_alone(cluster, folder, tmp_path, monkeypatch):
    """Two futures in all: what one task of four meets is told of that one, and the others are done."""
    monkeypatch.setattr("tokenmill.engines.dask.FUTURES_PER_WORKER", 1)
    for n in range(6):
        (folder / f"more{n}.txt").write_text(f"apple {n} tart and cream\n")
    plan = make_plan(DEDUP, [lines_source(folder)], open_uri)
    (folder / "more3.txt").rename(tmp_path / "more3.txt")
    engine = DaskEngine(scheduler=cluster.scheduler_address)
    with pytest.raises(DataError, match=r"more3\.txt"):
        run(plan, LocalStore(tmp_path / "there"), engine, progress=Silence())
    assert len([*(tmp_path / "there/_work/receipts/segment-0").iterdir()]) == 7
    (tmp_path / "more3.txt").rename(folder / "more3.txt")
    there = run(plan, LocalStore(tmp_path / "there"), engine, progress=Silence())
    assert there.identity == run_here(plan, tmp_path / "here").identity


@pytest.mark.slow
def test_a_worker_that_dies_on_one_of_many_tasks_has_the_others_done(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("tokenmill.engines.dask.FUTURES_PER_WORKER", 1)
    for n in range(6):
        (folder / f"more{n}.txt").write_text("kill me once\n" if n == 3 else f"apple {n} tart and cream\n")
    fuse = tmp_path / "fuse"
    fuse.touch()
    recipe = Recipe("toy", (Fragile(fuse=str(fuse)), Count()))
    there = on_dask(recipe, folder, tmp_path / "out")
    assert not fuse.exists()
    assert there.identity == run_here(make_plan(recipe, [lines_source(folder)], open_uri), tmp_path / "here").identity
    assert verify(tmp_path / "out").problems == []


@pytest.mark.slow
def test_kill_nine_of_the_driver_and_the_same_command_again(tmp_path, monkeypatch):
    """With its own workers, who end with it; what has a receipt is not done again."""
    (tmp_path / "in").mkdir()
    for n in range(8):
        (tmp_path / "in" / f"{n}.jsonl").write_text("".join(f'{{"text": "file {n} has {i}"}}\n' for i in range(20)))
    (tmp_path / "pace").write_text("0.7")
    (tmp_path / "paced_recipe.py").write_text(
        "from paced import Paced\nfrom tokenmill.core.recipe import Recipe\n"
        "from tokenmill.dedup.exact import ExactDedup\n"
        f"PACED = Recipe('paced', (Paced(pace={str(tmp_path / 'pace')!r}), ExactDedup()))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)
    run_ = ["run", f"{tmp_path}/paced_recipe.py:PACED", "--source", f"{tmp_path}/in", "--workers", "2"]
    command = [sys.executable, "-m", "tokenmill.jobs", *run_, "--out", f"{tmp_path}/there", "--engine", "dask"]
    receipts = tmp_path / "there/_work/receipts/segment-0"
    with subprocess.Popen(command, start_new_session=True) as driver:
        until = time.monotonic() + 60
        while not receipts.exists() or len([*receipts.glob("*.json")]) < 2:
            assert time.monotonic() < until and driver.poll() is None
            time.sleep(0.1)
        driver.kill()
    assert driver.returncode == -signal.SIGKILL
    done = len([*receipts.glob("*.json")])
    (tmp_path / "pace").unlink()
    assert main([*run_, "--out", f"{tmp_path}/there", "--engine", "dask"]) == 0
    assert 2 <= done < 8
    assert main([*run_, "--out", f"{tmp_path}/here"]) == 0
    assert Manifest.load(tmp_path / "there").identity == Manifest.load(tmp_path / "here").identity
    assert verify(tmp_path / "there").problems == []


def workers_of_this_process() -> list[int]:
    """Process ids of Dask's workers that this process has started."""
    found = []
    for place in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"spawn_main" in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return sorted(found)


def test_no_scheduler_is_an_engine_error_that_names_the_address(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("tokenmill.engines.dask.CONNECT_S", 1)
    with pytest.raises(EngineError, match=r"tcp://127\.0\.0\.1:9: no Dask scheduler answers"):
        on_dask(DEDUP, folder, tmp_path / "out", DaskEngine(scheduler="tcp://127.0.0.1:9"))
