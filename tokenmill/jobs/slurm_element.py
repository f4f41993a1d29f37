"""One element of a job on Slurm: it does its share, and where no data are at fault it comes again.

Run by the scripts of `submit_slurm` in the place of their shell, so that `--signal=B:TERM@...` reaches it. It asks for
its place in the queue again (`scontrol requeue`: what depends on it goes on waiting) as often as each life leaves
receipts behind, and `retries` times in a row without. A node that dies costs none of them: that is Slurm's to requeue.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from tokenmill.jobs.lives import count_barren, tally_file

CANCELLED = "cancelled"  # a file in the job's folder: nobody comes again
CANCELLED_CODE = 143  # as one that was told to stop
FINAL = (0, 2, 3)  # exit codes: done, or the request or the data are wrong, and would be again
SCONTROL_S = 60


def main(arguments: list[str]) -> int:
    """FOLDER --name NAME --retries N, then what `tokenmill task FOLDER` is given. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="slurm_element", allow_abbrev=False)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--retries", type=int, required=True)
    known, task = parser.parse_known_args(arguments)
    if (known.folder / CANCELLED).exists():  # what closes a station begins even where its array was cancelled
        _say("cancelled; nothing done")
        return CANCELLED_CODE
    tally = tally_file(known.folder, known.name)
    command = [sys.executable, "-m", "tokenmill.jobs", "task", str(known.folder), *task, "--tally", str(tally)]
    code = _Life().run([*command, "--json"])
    done = tally.stat().st_size
    tally.unlink()
    if code in FINAL or (known.folder / CANCELLED).exists():
        return code
    barren = count_barren(known.folder, known.name, done)
    if barren > known.retries:
        _say(f"ended with exit code {code}, {barren} times in a row without one task done; not tried again")
    elif (job := _running_job()) is not None:
        _requeue(job, f"ended with exit code {code} after {done} tasks")
    return code


class _Life:
    """One run of a command that SIGTERM is handed on to, whenever that comes."""

    def __init__(self) -> None:
        self._task: subprocess.Popen[bytes] | None = None
        self._stopped = False
        signal.signal(signal.SIGTERM, self._stop)

    def run(self, command: list[str]) -> int:
        """Its exit code as a shell gives it. SIGTERM means nothing after."""
        self._task = subprocess.Popen(command)
        if self._stopped:
            self._task.terminate()
        code = self._task.wait()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a requeue ends this life with one, and so may the time limit
        return code if code >= 0 else 128 - code

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True
        if self._task is not None:
            self._task.terminate()


def _running_job() -> str | None:
    """What Slurm calls this element. None if it is being cancelled or preempted: then Slurm knows what it wants."""
    job = os.environ.get("SLURM_JOB_ID", "")
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    found = _scontrol("show", "job", "--oneliner", job)
    return job if found is not None and " JobState=RUNNING " in found.stdout else None


def _requeue(job: str, why: str) -> None:
    _say(f"{why}; requeued")
    found = _scontrol("requeue", job)
    if found is not None and found.returncode:
        _say(f"scontrol requeue {job}: {found.stderr.strip()}; submit the job again to go on")


def _scontrol(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(["scontrol", *arguments], capture_output=True, text=True, timeout=SCONTROL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        _say(f"scontrol does not answer ({error}); submit the job again to go on")
        return None


def _say(text: str) -> None:
    print(f"tokenmill: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
