"""Ctrl-C on datatrove and on Dask, as a terminal sends it: to the whole group. All processes go, the receipts stay."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paced import Paced

from tokenmill.jobs.cli import main
from tokenmill.manifests.verify import verify

RECIPE = """
from paced import Paced
from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup

PACED = Recipe("paced", (Paced(pace={pace!r}), ExactDedup()))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "needs"), [("dask", "distributed"), ("datatrove", "datatrove")])
def test_ctrl_c_leaves_no_process_and_the_same_command_goes_on(engine, needs, tmp_path):
    pytest.importorskip(needs)
    assert Paced.name == "paced"
    pace = tmp_path / "pace"
    (tmp_path / "in").mkdir()
    for n in range(6):
        (tmp_path / "in" / f"{n}.jsonl").write_text(json.dumps({"text": f"this is text number {n} of all"}))
    (tmp_path / "mine.py").write_text(RECIPE.format(pace=str(pace)))
    arguments = ["run", f"{tmp_path}/mine.py:PACED", "--source", f"in={tmp_path}/in", "--out", f"{tmp_path}/out"]
    arguments += ["--engine", engine, "--workers", "2"]
    pace.write_text("0.7")
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'tests'}"}
    command = [sys.executable, "-m", "tokenmill.jobs", *arguments]
    run = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True)
    receipts = tmp_path / "out/_work/receipts/segment-0"
    wait_for(lambda: receipts.is_dir() and len(list(receipts.iterdir())) >= 2, 60)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=30)
    assert run.returncode == 130, said
    assert "Traceback" not in said
    wait_for(lambda: not group(run.pid), 10)
    assert not (tmp_path / "out/manifest.json").exists()
    done = len(list(receipts.iterdir()))
    assert 2 <= done < 6
    pace.unlink()
    assert main(arguments) == 0
    assert verify(tmp_path / "out").problems == []


def group(leader: int) -> list[int]:
    """Living processes of that group."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                state, _, its_group = (place / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(its_group) == leader and state != "Z":
                found.append(int(place.name))
    return found


def wait_for(reached: object, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not reached():  # type: ignore[operator]
        assert time.monotonic() < ends, f"not within {seconds} s"
        time.sleep(0.1)
