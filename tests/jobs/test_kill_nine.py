"""The real recipes on real crawls: workers, places and kill -9 at ten random moments give one identity."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tokenmill.manifests.verify import verify

ROOT = Path(__file__).resolve().parents[2]
CRAWLS = ROOT / ".." / "shared" / "data" / "warc"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CRAWLS.is_dir(), reason="the real crawls are absent: ../shared/data/warc"),
]


RECIPES = ("web_en", "nemotron_cc")  # filters and two verdicts; three verdicts of six rounds, one that cuts


def start(recipe: str, out: Path, workers: int, source: str = str(CRAWLS), cwd: Path = ROOT) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tokenmill.jobs", "run", recipe, "--source", source, "--out", str(out), "--json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, "--workers", str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment,
        start_new_session=True,
    )


def identity(process: subprocess.Popen[str]) -> str:
    told, complaint = process.communicate(timeout=300)
    assert process.returncode == 0, complaint
    return str(json.loads(told)["identity"])


@pytest.fixture(scope="module", params=RECIPES)
def recipe(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def calm(recipe: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return identity(start(recipe, tmp_path_factory.mktemp("calm") / "out", workers=1))


def test_two_workers_from_another_directory_and_a_copy(recipe, calm, tmp_path):
    shutil.copytree(CRAWLS, tmp_path / "copy")
    assert identity(start(recipe, tmp_path / "out", workers=2, source=".", cwd=tmp_path / "copy")) == calm


def test_kill_nine_at_ten_random_moments(recipe, calm, tmp_path):
    rng = random.Random(20)
    struck = 0
    while struck < 10:
        process = start(recipe, tmp_path / "out", workers=2)
        time.sleep(rng.uniform(0.5, 6.0))
        if process.poll() is not None:  # it was done before we struck: once more from the beginning
            process.communicate()
            shutil.rmtree(tmp_path / "out")
            continue
        if rng.random() < 0.5:
            os.kill(process.pid, signal.SIGKILL)  # the run alone: its workers must follow by themselves
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        struck += 1
    assert identity(start(recipe, tmp_path / "out", workers=2)) == calm
    found = verify(tmp_path / "out")
    assert (found.problems, found.identity) == ([], calm)


def test_control_c_says_that_it_goes_on(recipe, calm, tmp_path):
    process = start(recipe, tmp_path / "out", workers=2)
    time.sleep(2.5)
    os.killpg(process.pid, signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in complaint
    assert identity(start(recipe, tmp_path / "out", workers=1)) == calm
