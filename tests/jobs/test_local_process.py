"""A process in the background: how it ended is known to whoever asks later, from its folder alone."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tokenmill.core.errors import EngineError
from tokenmill.jobs import local_process

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"]


def started(folder: Path, command: Sequence[str], setup: Sequence[str] = (), **variables: str) -> str:
    file = folder / "run.sh"
    file.write_text(local_process.script(command, setup, variables))
    return local_process.start(file, folder / "logs" / "log", {"GIVEN": "by start"})


def ended(process: str, folder: Path) -> tuple[str, str]:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        state, detail = local_process.state_of(process, folder)
        if state != "running":
            return state, detail
        time.sleep(0.02)
    raise AssertionError("still running")


def wait_for(text: str, log: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and text not in log.read_text():
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("code", "said"), [(0, ("done", "")), (3, ("failed", "exit code 3")), (143, ("cancelled", ""))]
)
def test_its_exit_code_says_how_it_ended(tmp_path, code, said):
    assert ended(started(tmp_path, [sys.executable, "-c", f"raise SystemExit({code})"]), tmp_path) == said


def test_a_setup_line_that_fails_ends_it(tmp_path):
    process = started(tmp_path, ["touch", "reached"], ["cd /", "false"])
    assert ended(process, tmp_path) == ("failed", "exit code 1")
    assert not (tmp_path / "reached").exists()


def test_words_and_variables_arrive_as_they_are(tmp_path):
    nasty = "'$(x) \" \\ `y`\n"
    show = "import os, sys; print(ascii([sys.argv[1], os.environ['V'], os.environ['GIVEN']]))"
    assert ended(started(tmp_path, [sys.executable, "-c", show, nasty], V=nasty), tmp_path) == ("done", "")
    assert (tmp_path / "logs" / "log").read_text() == f"{[nasty, nasty, 'by start']!a}\n"


@pytest.mark.parametrize("setup", [[], ["sleep 60"]], ids=["in the command", "in a setup line"])
def test_stop_ends_it_and_all_that_it_started(tmp_path, setup):
    process = started(tmp_path, SLEEP, ["echo begun", *setup])
    wait_for("begun" if setup else "ready", tmp_path / "logs" / "log")
    assert local_process.state_of(process, tmp_path) == ("running", "")
    local_process.stop(process)
    assert ended(process, tmp_path) == ("cancelled", "")
    local_process.stop(process)  # it may be gone


def test_one_that_is_killed_has_failed(tmp_path):
    process = started(tmp_path, SLEEP)
    wait_for("ready", tmp_path / "logs" / "log")
    os.killpg(int(process.split("/")[1]), signal.SIGKILL)
    state, detail = ended(process, tmp_path)
    assert (state, "killed" in detail) == ("failed", True)


def test_a_number_that_was_given_out_again_is_not_it(tmp_path):
    host, *_ = started(tmp_path / "", ["true"]).split("/")
    (tmp_path / "other").mkdir()
    again = f"{host}/{os.getpid()}/1"  # this process, said to have started with the machine
    assert local_process.state_of(again, tmp_path / "other")[0] == "failed"
    local_process.stop(again)  # and it is not stopped


def test_of_another_machine_s_process_nothing_is_known(tmp_path):
    assert local_process.state_of("elsewhere/1/1", tmp_path)[0] == "unknown"
    with pytest.raises(EngineError, match=r"process 1 runs on elsewhere, and this is .*; run the same command there"):
        local_process.stop("elsewhere/1/1")
