"""What an element does at the end of each of its lives, where no Slurm is needed to see it."""

import os
import subprocess
import sys
from pathlib import Path

from tokenmill.jobs.lives import count_barren


def element(folder: Path, *arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tokenmill.jobs.slurm_element", str(folder), "--name", "000.3", "--retries", "1"]
    environment = {**os.environ, "PATH": path, "SLURM_JOB_ID": "1"}
    return subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_a_wrong_request_is_not_tried_again(tmp_path):
    found = element(tmp_path, "--station", "0", "--close")
    assert found.returncode == 2
    assert "holds no plan.pickle" in found.stderr
    assert list((tmp_path / "lives").iterdir()) == [], "no life is counted"


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
    found = element(tmp_path, "--station", "0", "--close")
    assert (found.returncode, found.stderr) == (143, "tokenmill: cancelled; nothing done\n")
    assert not (tmp_path / "lives").exists()


def test_only_lives_that_did_nothing_are_counted_and_only_in_a_row(tmp_path):
    assert [count_barren(tmp_path, "000.3", done) for done in (0, 0, 5, 0, 1, 0, 0, 0)] == [1, 2, 0, 1, 0, 1, 2, 3]


def test_what_a_life_has_done_counts_though_it_was_killed_before_it_could_say_so(tmp_path):
    """In the place of the interpreter: a task that does two things, notes them, and is killed."""
    killed = tmp_path / "bin" / "python"
    killed.parent.mkdir()
    killed.write_text(
        f"#!{sys.executable}\nimport os, signal, sys\n"
        'open(sys.argv[sys.argv.index("--tally") + 1], "ab").write(b"..")\n'
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed.chmod(0o755)
    (tmp_path / "lives").mkdir()
    (tmp_path / "lives" / "000.3").write_text("1")
    start = f"import sys; sys.executable = {str(killed)!r}\nfrom tokenmill.jobs.slurm_element import main\n"
    start += f"sys.exit(main([{str(tmp_path)!r}, '--name', '000.3', '--retries', '1']))"
    environment = {**os.environ, "PATH": str(tmp_path), "SLURM_JOB_ID": "1"}
    found = subprocess.run([sys.executable, "-c", start], env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 137
    assert "not tried again" not in found.stderr
    assert (tmp_path / "lives" / "000.3").read_text() == "0"
