"""What an element does at the end of each of its lives, where no Slurm is needed to see it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tokenmill.jobs.slurm_element import _count_barren, _done


def element(folder: Path, *arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tokenmill.jobs.slurm_element", str(folder), "--name", "000.3", "--retries", "1"]
    environment = {**os.environ, "PATH": path, "SLURM_JOB_ID": "1"}
    return subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_a_wrong_request_is_not_tried_again(tmp_path):
    found = element(tmp_path, "--station", "0", "--close")
    assert found.returncode == 2
    assert "holds no plan.pickle" in found.stderr
    assert list(tmp_path.iterdir()) == [], "no life is counted"


def test_what_the_machine_has_done_is_tried_again(tmp_path):
    (tmp_path / "plan.pickle").mkdir()  # as a disk does that gives no plan: no error of ours, and no exit code of ours
    for life in ("1", "2"):
        found = element(tmp_path, "--station", "0", "--close", path=str(tmp_path))
        assert found.returncode not in (0, 2, 3)
        assert (tmp_path / "lives" / "000.3").read_text() == life
    assert "2 times in a row without one task done; not tried again" in found.stderr


def test_nobody_comes_again_once_the_job_is_cancelled(tmp_path):
    (tmp_path / "plan.pickle").mkdir()
    (tmp_path / "cancelled").touch()
    assert element(tmp_path, "--station", "0", "--close").returncode not in (0, 2, 3)
    assert not (tmp_path / "lives").exists()


def test_only_lives_that_did_nothing_are_counted_and_only_in_a_row(tmp_path):
    lives = tmp_path / "lives" / "000.3"
    assert [_count_barren(lives, done) for done in (0, 0, 5, 0, 1, 0, 0, 0)] == [1, 2, 0, 1, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("told", "done"),
    [
        pytest.param('{\n "done": 3,\n "name": "segment 0"\n}\n', 3, id="as it ends"),
        pytest.param('{"done": 3, "error": "EngineError"}\n', 3, id="as it fails"),
        pytest.param('set up\n{\n "done": 3\n}\n', 3, id="after what a setup line said"),
        pytest.param("", 0, id="killed by -9"),
        pytest.param('{\n "do', 0, id="killed while it said it"),
        pytest.param("{braces} of somebody else\n", 0, id="no JSON"),
    ],
)
def test_what_it_has_done_is_what_the_task_says(told, done):
    assert _done(told) == done
