"""What Slurm says of our jobs: squeue while it remembers them, sacct where there is accounting."""

import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.jobs.prepared import State

ANSWER_S = 120
WHOLE = ""  # the one element of a job that is no array
FORGOTTEN = "Invalid job id"
OUT_OF_REACH = re.compile(
    r"[Uu]nable to (contact|connect)|timed out|[Cc]onnection|[Cc]ommunication|temporarily|[Ss]ocket"
)

STATES: Mapping[str, State] = {
    **dict.fromkeys(("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD"), "pending"),
    **dict.fromkeys(("RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED"), "running"),
    "COMPLETED": "done",
    "CANCELLED": "cancelled",
    **dict.fromkeys(
        ("BOOT_FAIL", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "SPECIAL_EXIT", "TIMEOUT"),
        "failed",
    ),
}


@dataclass(slots=True)
class JobStates:
    """Of one job: the state of each element of its array by rank, or of the whole under WHOLE."""

    by_element: dict[str, State] = field(default_factory=dict)
    reason: str = ""  # why it waits, in Slurm's words

    def state(self, element: str) -> State:
        return self.by_element.get(element, "unknown")

    def counts(self) -> dict[State, int]:
        return dict(Counter(self.by_element.values()))


def element_states(jobs: Sequence[str]) -> dict[str, JobStates]:
    """By job id; empty for one that Slurm has forgotten (MinJobAge, by default five minutes after its end).

    Raises EngineError where Slurm does not answer.
    """
    found = {job: JobStates() for job in jobs}
    if not jobs:
        return found
    told = slurm(["squeue", "-a", "-h", "-r", "-t", "all", "-j", ",".join(jobs), "-o", "%i|%T|%r"], or_if=FORGOTTEN)
    for line in told.splitlines():
        identity, state, reason = line.split("|", 2)
        _note(found, identity, state, reason)
    if forgotten := [job for job, states in found.items() if not states.by_element]:
        for line in _accounted(forgotten).splitlines():
            identity, state, *_ = line.split("|")
            _note(found, identity, state, "")
    return found


def slurm(command: list[str], *, or_if: str | None = None) -> str:
    """What it prints; nothing if it fails with words that hold `or_if`.

    Raises EngineError, with Slurm's words, and RecipeError for a script that sbatch refuses.
    """
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{command[0]}: {error}; look at the cluster, then run the same command again") from error
    if found.returncode and not (or_if and or_if in found.stderr):
        said = f"{command[0]}: {' '.join(found.stderr.split()) or f'exit code {found.returncode}'}"
        if command[0] == "sbatch" and not OUT_OF_REACH.search(said):
            raise RecipeError(f"{said}; change what the job file asks for ({command[-1]})")
        raise EngineError(f"{said}; look at the cluster, then run the same command again")
    return found.stdout


def _accounted(jobs: Sequence[str]) -> str:
    """Nothing where the site keeps no accounts: receipts must tell then."""
    command = ["sacct", "-n", "-P", "-X", "-j", ",".join(jobs), "-o", "JobID,State"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout if found.returncode == 0 else ""


def _note(found: dict[str, JobStates], identity: str, state: str, reason: str) -> None:
    job, _, element = identity.partition("_")
    if job not in found:
        return
    known: State = STATES.get(state.split()[0].rstrip("+"), "unknown")  # sacct: CANCELLED by 1000
    found[job].by_element[element] = known
    if reason not in ("", "None") and known in ("pending", "failed"):
        found[job].reason = reason
