"""Elements that nobody coordinates: shares and closings, one by one or all at once, give the run's identity."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toys import Silence

from tokenmill.engines.plan import make_plan
from tokenmill.engines.share import prepare
from tokenmill.engines.stations import stations
from tokenmill.jobs.cli import main
from tokenmill.jobs.plan_file import read_plan, write_plan
from tokenmill.jobs.recipes import find_recipe
from tokenmill.jobs.sources import find_sources
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.remote_stream import open_uri

WORDS = [f"word{i}" for i in range(400)]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Six files of pages that drift, so that each resembles the next."""
    folder = tmp_path / "pages"
    folder.mkdir()
    for file in range(6):
        with (folder / f"{file}.jsonl").open("w") as lines:
            for i in range(file, 200, 6):
                text = " ".join([*WORDS[i : i + 100], f"own{i // 3}"])
                lines.write(json.dumps({"text": text}) + "\n")
    return folder


def settle(pages: Path, tmp_path: Path, recipe: str = "fuzzy_dedup") -> Path:
    folder = tmp_path / "job"
    folder.mkdir()
    plan = make_plan(find_recipe(recipe), find_sources([str(pages)]).sources, open_uri)
    write_plan(folder, plan, str(tmp_path / "out"), "cpu")
    prepare(read_plan(folder), Silence(), anew=True)
    return folder


def here(pages: Path, tmp_path: Path, recipe: str = "fuzzy_dedup") -> str:
    assert main(["run", recipe, "--source", str(pages), "--out", f"{tmp_path}/here", "--workers", "1"]) == 0
    return Manifest.load(tmp_path / "here").identity


def test_shares_and_closings_give_the_runs_identity(pages, tmp_path):
    folder = settle(pages, tmp_path)
    names = [s.name for s in stations(read_plan(folder))]
    assert names[0] == "segment 0" and names[-1] == "finish"
    assert "fuzzy_dedup.bands, components" in names
    for number in range(len(names)):
        if number % 2 == 0:  # elements of the others never come: who closes does their work
            for rank in range(2):
                assert main(["task", str(folder), "--station", str(number), "--rank", str(rank), "--of", "2"]) == 0
        assert main(["task", str(folder), "--station", str(number), "--close"]) == 0
    assert Manifest.load(tmp_path / "out").identity == here(pages, tmp_path)
    assert not (tmp_path / "out" / "_work").exists()
    assert main(["task", str(folder), "--station", "0", "--rank", "0", "--of", "2"]) == 0  # late, and nothing to do


def test_what_closes_only_where_it_is_open_does_nothing_where_it_is_not(pages, tmp_path, capsys):
    folder = settle(pages, tmp_path)
    assert main(["task", str(folder), "--station", "1", "--close", "--if-open", "1"]) == 2
    assert "what is before it is not closed, so nothing is done here" in capsys.readouterr().err
    assert main(["task", str(folder), "--station", "0", "--close", "--if-open", "0"]) == 0
    assert main(["task", str(folder), "--station", "1", "--close", "--if-open", "1"]) == 0


def test_an_element_that_is_too_early_says_so(pages, tmp_path, capsys):
    folder = settle(pages, tmp_path)
    assert main(["task", str(folder), "--station", "2", "--rank", "0", "--of", "2"]) == 4
    assert "stations before 2" in capsys.readouterr().err


def test_three_elements_go_through_all_stations_in_step(pages, tmp_path):
    folder = settle(pages, tmp_path)
    command = [sys.executable, "-m", "tokenmill.jobs", "work", str(folder), "--of", "3", "--patience", "1"]
    elements = [subprocess.Popen([*command, "--rank", str(rank)]) for rank in (2, 0)]  # 1 never comes
    assert [element.wait(120) for element in elements] == [0, 0]
    assert Manifest.load(tmp_path / "out").identity == here(pages, tmp_path)


def test_an_element_that_hears_nothing_of_who_closes_gives_up(pages, tmp_path, capsys):
    folder = settle(pages, tmp_path)
    waiting = ["work", str(folder), "--of", "2", "--no-closing", "--stations", "3", "--patience", "0.2"]
    assert main([*waiting, "--silence", "1"]) == 4
    assert "station 0: nothing was heard of the other elements" in capsys.readouterr().err


def test_who_waits_looks_for_a_ticket_and_not_at_receipts(pages, tmp_path, monkeypatch):
    """A listing as it begins to wait, one when its patience is over: not one for each look."""
    folder = settle(pages, tmp_path)
    listed, looked = [], []
    names, exists = LocalStore.names, LocalStore.exists
    monkeypatch.setattr(LocalStore, "names", lambda s, p="": (listed.append(p), names(s, p))[1])
    monkeypatch.setattr(LocalStore, "exists", lambda s, n: (looked.append(n), exists(s, n))[1])
    monkeypatch.setattr("tokenmill.jobs.work.LOOKS_S", (0.02, 0.1))
    waiting = ["work", str(folder), "--of", "2", "--no-closing", "--stations", "3", "--patience", "1"]
    assert main([*waiting, "--silence", "1"]) == 4
    assert looked.count("_work/tickets/001.pickle") > 15
    assert len([place for place in listed if place.startswith("_work/receipts")]) <= 6


def test_one_that_is_stopped_before_any_task_is_done_counts_after_its_retries(pages, tmp_path):
    """As by a time limit that is shorter than one task."""
    folder = settle(pages, tmp_path)
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(
        "import sys, time\n"
        "import tokenmill.jobs.work as work\n"
        "def slow(*_, **__):\n    print('at work', flush=True)\n    time.sleep(60)\n"
        "work.run_share = slow\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "slow")}
    codes = []
    for _ in range(3):
        command = [sys.executable, "-m", "tokenmill.jobs", "work", str(folder), "--retries", "1"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None and process.stdout.readline() == "at work\n"
        process.terminate()
        process.communicate(timeout=30)
        codes.append(process.returncode)
    assert codes == [143, 4, 4]


def test_sigterm_leaves_receipts_and_the_next_life_goes_on(pages, tmp_path):
    folder = settle(pages, tmp_path)
    command = [sys.executable, "-m", "tokenmill.jobs", "work", str(folder), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    receipts = tmp_path / "out" / "_work" / "receipts" / "segment-0"
    deadline = time.monotonic() + 60
    while not (receipts.exists() and any(receipts.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    told, _ = process.communicate(timeout=30)
    assert process.returncode == 143
    assert json.loads(told)["terminated"]
    assert main(["work", str(folder)]) == 0
    assert Manifest.load(tmp_path / "out").identity == here(pages, tmp_path)


def test_the_plan_of_a_users_own_steps_is_read_elsewhere(pages, tmp_path):
    own = tmp_path / "own_steps_of_a_user.py"
    own.write_text(
        "from dataclasses import dataclass\n"
        "import pyarrow as pa\n"
        "import pyarrow.compute as pc\n"
        "from typing import ClassVar\n"
        "from tokenmill.core.recipe import Recipe\n"
        "from tokenmill.core.stage import Filter\n"
        "@dataclass(frozen=True, slots=True, kw_only=True)\n"
        "class Long(Filter):\n"
        "    name: ClassVar[str] = 'long'\n"
        "    revision: ClassVar[int] = 1\n"
        "    reads: ClassVar[pa.Schema] = pa.schema([('text', pa.large_string())])\n"
        "    def keep(self, batch):\n"
        "        return pc.greater(pc.utf8_length(batch['text']), 700)\n"
        "OWN = Recipe('own', (Long(),))\n"
    )
    folder = settle(pages, tmp_path, f"{own}:OWN")
    command = [sys.executable, "-m", "tokenmill.jobs", "work", str(folder)]
    assert subprocess.run(command, cwd="/", check=False).returncode == 0
    assert Manifest.load(tmp_path / "out").name == "own"


def test_a_folder_without_a_plan_is_refused(tmp_path, capsys):
    assert main(["task", str(tmp_path), "--station", "0", "--close"]) == 2
    assert "holds no plan.pickle" in capsys.readouterr().err
