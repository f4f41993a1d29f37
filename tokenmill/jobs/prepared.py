"""What a target needs to know of a job that is about to be submitted: all settled, nothing written yet.

A target is a module `submit_TARGET.py` with the functions of `Target`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from tokenmill.jobs.job_file import JobFile

PLAN = "plan.pickle"  # in the job's folder: what `tokenmill task` and `tokenmill work` begin with
LOGS = "logs"
ELEMENTS_AT_MOST = 1_000  # of one array: Slurm's MaxArraySize is 1,001 unless a site has changed it

State = Literal["pending", "running", "done", "failed", "cancelled", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StationResources:
    """Of one task of a station: the job's, with what the steps in its segment ask for."""

    cpus: int
    memory_bytes: int | None
    time_s: int | None
    gpus: int
    partition: str | None
    account: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedStation:
    """One station of the run: `elements` tasks side by side, then one that closes it."""

    number: int  # --station of `tokenmill task`
    name: str
    segment: int
    kind: str
    steps: tuple[str, ...]  # names of the recipe's steps that its tasks run
    tasks_at_most: int | None  # None: by how much there is, which only the run tells
    elements: int  # of an array; 0: the closing task does it all
    resources: StationResources


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A job and its plan's facts. `folder` is JOBDIR of `tokenmill task JOBDIR`; dry runs never make it."""

    job: JobFile
    name: str  # of this submission, unique in the job's state folder: NAME-1, NAME-2, ...
    folder: Path
    out: str
    python: str  # the interpreter that tasks start
    stations: tuple[PreparedStation, ...]
    recipe: str  # NAME@VERSION
    shards: int
    bytes: int

    def share_arguments(self, station: PreparedStation, rank: str) -> list[str]:
        """What follows the interpreter for one element's share; `rank` may be a scheduler's own variable."""
        place = ["-m", "tokenmill.jobs", "task", str(self.folder), "--station", str(station.number)]
        return [*place, "--rank", rank, "--of", str(station.elements), *self._workers(station)]

    def close_arguments(self, station: PreparedStation) -> list[str]:
        place = ["-m", "tokenmill.jobs", "task", str(self.folder), "--station", str(station.number)]
        return [*place, "--close", *self._workers(station)]

    def work_arguments(self, rank: str, of: int) -> list[str]:
        """One long-lived element that goes through all stations."""
        return ["-m", "tokenmill.jobs", "work", str(self.folder), "--rank", rank, "--of", str(of)]

    def _workers(self, station: PreparedStation) -> list[str]:
        return ["--workers", str(self.job.engine.workers or station.resources.cpus)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that was handed to a scheduler: an array, a closing job, a Kubernetes Job, a Spark application."""

    name: str  # "segment 0", "segment 0, closing"
    id: str  # what the scheduler calls it
    station: int | None = None  # None: it goes through all of them
    until: int | None = None  # the last of several stations that it goes through

    def covers(self, station: int) -> bool:
        """Whether it works at this station, and not at all of them."""
        return self.station is not None and self.station <= station <= (self.until or self.station)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatus:
    """What the scheduler says of a part. `counts` is of its elements by state; one element where it has none."""

    part: Part
    counts: Mapping[State, int]
    detail: str = ""  # the scheduler's own reason, where there is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One element's log."""

    part: Part
    element: str  # "" where a part has but one
    state: State
    text: str


class Target(Protocol):
    """The functions of a module `submit_TARGET.py`. Only `submit`, `status`, `cancel` and `logs` talk to a scheduler.

    All raise EngineError where the scheduler does not answer, and RecipeError where the request cannot be met.
    """

    def check(self, job: JobFile) -> None:
        """Raises RecipeError for what this target cannot do, a secret that is not set, a command that is missing."""

    def render(self, job: JobFile, prepared: Prepared) -> dict[str, str]:
        """Every file that is written into `prepared.folder`, by its name there ("/" between parts), in order."""

    def commands(self, job: JobFile, prepared: Prepared) -> list[list[str]]:
        """What `submit` would run, for people to read; a name in angle brackets stands for what is known later."""

    def submit(self, job: JobFile, prepared: Prepared) -> Iterable[Part]:
        """Hand over what `render` gave, which lies in `prepared.folder` by now.

        Each part is written down as it comes, so that one that is lost half-way can still be found and cancelled: best
        a generator. Where it raises, the caller cancels the parts that it had.
        """

    def status(self, parts: Sequence[Part], facts: Mapping[str, Any]) -> list[PartStatus]: ...

    def cancel(self, parts: Sequence[Part], facts: Mapping[str, Any]) -> list[Part]:
        """End what still runs or waits; the parts that did."""

    def logs(self, parts: Sequence[Part], facts: Mapping[str, Any], station: int | None, failed: bool) -> list[Log]:
        """`facts` (here and above): the submission's `folder`, `name` and `out`."""
