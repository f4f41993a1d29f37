"""A process of this machine as something that was submitted: started in the background, asked, told to stop.

A shell script runs it and writes down how it ended. A process is known by its number and by when it started: numbers
are given out again.
"""

import os
import platform
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenmill.core.errors import EngineError
from tokenmill.jobs.prepared import State

EXIT_CODE = "exit_code"  # a file in the process's folder
STOPPED = (130, 143)
GONE = "gone"


def script(command: Sequence[str], setup: Sequence[str], variables: Mapping[str, str]) -> str:
    """A bash script that runs `command` and leaves its exit code, or that of a setup line that failed, in EXIT_CODE."""
    return "\n".join(
        [
            "#!/bin/bash",
            "set -e",
            "here=$PWD",
            "trap : TERM INT HUP  # the command is told too; this shell stays to write down how it ended",
            f"trap 'echo $? > \"$here/{EXIT_CODE}\"' EXIT",
            *setup,
            *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
            shlex.join(command),
            "",
        ]
    )


def start(script_file: Path, log: Path, variables: Mapping[str, str]) -> str:
    """Run the script in its own folder, in a process group of its own; its id for `state_of` and `stop`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    # By a shell that ends at once: the process is nobody's child, and leaves no remains to be waited for.
    result = subprocess.run(
        ["bash", "-c", 'setsid bash "$1" </dev/null >"$2" 2>&1 & echo $!', "start", str(script_file), str(log)],
        cwd=script_file.parent,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if not result.stdout.strip().isdigit():
        raise EngineError(f"{script_file}: did not start: {result.stderr.strip()}")
    pid = int(result.stdout)
    return f"{platform.node()}/{pid}/{_started(pid)}"


def exit_code(folder: Path) -> int | None:
    """What the script in `folder` ended with; None while it runs, or if it was killed."""
    file = folder / EXIT_CODE
    said = file.read_text().strip() if file.exists() else ""
    return int(said) if said else None


def state_of(process: str, folder: Path) -> tuple[State, str]:
    """Its state, and what there is to say about it."""
    host, pid, started = process.rsplit("/", 2)
    code = exit_code(folder)
    if code is not None:
        if code in STOPPED:
            return "cancelled", ""
        return ("failed", f"exit code {code}") if code else ("done", "")
    if host != platform.node():
        return "unknown", f"process {pid} of {host}; ask there"
    if _is_alive(pid, started):
        return "running", ""
    return "failed", "it was killed before it could say how it ended"


def stop(process: str) -> None:
    """SIGTERM to it and all that it started. It may be gone. Raises EngineError for one of another machine."""
    host, pid, started = process.rsplit("/", 2)
    if host != platform.node():
        raise EngineError(f"process {pid} runs on {host}, and this is {platform.node()}; run the same command there")
    if _is_alive(pid, started):
        os.killpg(int(pid), signal.SIGTERM)


def _is_alive(pid: str, started: str) -> bool:
    return started != GONE and _started(int(pid)) == started


def _started(pid: int) -> str:
    """Clock ticks from the machine's start to the process's; GONE where there is none, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return GONE
    return GONE if fields[0] in "ZX" else fields[19]
