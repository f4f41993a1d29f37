"""A run as a chain of datatrove's Slurm executors: for each station one over its shares, then one that closes it.

A rank is a command (`tokenmill task JOBDIR --station N --rank R --of K`, or `--close`): what is done is told by
receipts alone, so datatrove's marks of completion are not asked. Each executor depends on the one before.
"""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from tokenmill.core.errors import EngineError, RecipeError

LOGS = "datatrove"  # below the job's folder
MAX_ARRAY = 1_001  # Slurm's MaxArraySize unless a site has changed it


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmStation:
    """What one executor of the chain runs: a command for each rank."""

    name: str
    commands: Sequence[Sequence[str]]
    at_once: int = -1  # -1: all
    sbatch: Mapping[str, str | None] = field(default_factory=dict)  # options, as sbatch spells them: time, mem, ...


class CommandStep(PipelineStep):  # type: ignore[misc]
    """Runs the command of its rank. SIGTERM, which Slurm gives to all processes of a step, is the command's to heed."""

    name = "command"
    type = "🧱 - TOKENMILL"

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        super().__init__()
        self.commands = [list(command) for command in commands]

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        command = self.commands[rank]
        before = signal.signal(signal.SIGTERM, _heed_not)
        try:
            code = subprocess.run(command, check=False).returncode
        finally:
            signal.signal(signal.SIGTERM, before)
        if code:
            raise EngineError(f"{shlex.join(command)}: ended with exit code {code}")


def _heed_not(number: int, frame: FrameType | None) -> None:
    """A function, and not SIG_IGN, which the command would inherit."""


class StationExecutor(SlurmPipelineExecutor):  # type: ignore[misc]
    """One of the chain: sbatch is told what its station says, and nothing that nobody asked for."""

    def get_sbatch_args(self, max_array: int = 1) -> dict[str, Any]:
        told: dict[str, Any] = super().get_sbatch_args(max_array)
        ours = {"array", "job-name", "output", "error", "nodes", "requeue"}
        return {name: value for name, value in told.items() if name in ours or name in self._sbatch_args}

    def launch_merge_stats(self) -> None:
        """What datatrove counts of a command is not worth a job of its own."""


def chain(
    stations: Sequence[SlurmStation], folder: Path, *, python: str, setup: Sequence[str] = ()
) -> list[StationExecutor]:
    """Executors in the order in which they run; nothing is submitted yet.

    `folder` is on a file system that all nodes see, `python` an interpreter there with this package and datatrove.
    `setup`: lines of shell that each job begins with.
    Raises RecipeError for a folder that datatrove's scripts cannot name.
    """
    if re.search(r"[\s%'\"$\\]", str(folder)):
        raise RecipeError(
            f"{str(folder)!r}: datatrove writes paths into its scripts unquoted; choose one without blanks"
        )
    executors: list[StationExecutor] = []
    path = f"export PATH={shlex.quote(os.path.dirname(python))}:$PATH"
    for number, station in enumerate(stations):
        place = folder / LOGS / f"{number:03d}"
        executor = StationExecutor(
            [CommandStep(station.commands)],
            tasks=len(station.commands),
            time=None,
            partition=None,
            workers=station.at_once,
            job_name=re.sub(r"[^\w.-]+", "_", station.name),  # datatrove does not quote it
            env_command="\n".join([path, *setup]),
            sbatch_args={"kill-on-invalid-dep": "yes", **station.sbatch},
            qos=None,
            max_array_size=MAX_ARRAY,
            depends=executors[-1] if executors else None,
            logging_dir=str(place),
            slurm_logs_folder=str(place / "slurm"),
            skip_completed=False,
            requeue_signals=None,
        )
        executors.append(executor)
    return executors


def submit(executors: Sequence[StationExecutor]) -> Iterator[str]:
    """Hand them to Slurm, one after the other; the numbers that it gives them. EngineError where sbatch refuses."""
    for executor in executors:
        try:
            executor.launch_job()
        except (OSError, subprocess.CalledProcessError) as error:
            raise EngineError(f"sbatch for {executor.job_name}: {error}") from error
        yield str(executor.job_id)
