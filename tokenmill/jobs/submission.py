"""What was submitted: one folder and one JSON file per submission, in the job's state folder."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.jobs.job_file import load_job
from tokenmill.jobs.prepared import Part
from tokenmill.manifests import checked_json

FILE = "submission.json"
RUNS = "runs"  # below a scheduled job's state: what its firings submit, apart from what people do


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """`parts` grow while it is being submitted: what is named here may run, and can be cancelled."""

    name: str
    target: str
    job: str  # the job's name
    job_file: str
    folder: Path
    out: str
    recipe: str
    submitted: str  # ISO 8601, UTC
    stations: tuple[Mapping[str, Any], ...] = ()  # number, name and elements of each
    parts: tuple[Part, ...] = ()
    scheduled: bool = False  # the schedule itself; `out` is its template

    @property
    def facts(self) -> dict[str, Any]:
        """What a target is told besides the parts."""
        return {"folder": str(self.folder), "name": self.name, "out": self.out}

    def save(self) -> None:
        checked_json.save(self.folder / FILE, asdict(self) | {"folder": str(self.folder)})

    @classmethod
    def load(cls, folder: Path) -> "Submission":
        """Raises DataError if the file is absent, changed or of another version. The folder may have been moved."""
        body = checked_json.load(folder / FILE)
        try:
            parts, stations = tuple(Part(**part) for part in body["parts"]), tuple(body["stations"])
            return cls(**body | {"parts": parts, "stations": stations, "folder": folder.absolute()})
        except (TypeError, KeyError) as error:
            raise DataError(
                f"{folder / FILE}: no submission of this version ({error}); use the version that made it"
            ) from error


def new_folder(state: Path, job: str) -> Path:
    """A new empty folder for one submission: JOB-1, JOB-2, ..., each given out once.

    Raises RecipeError if `state` cannot be written.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(_next_number(state, job)):
            try:
                (state / f"{job}-{number}").mkdir()
            except FileExistsError:  # somebody else has submitted this job just now
                continue
            return state / f"{job}-{number}"
    except OSError as error:
        raise RecipeError(f"{state}: cannot be written ({error.strerror}); choose another `state`") from error
    raise AssertionError("numbers do not end")


def next_folder(state: Path, job: str) -> Path:
    """What `new_folder` would give now; nothing is made."""
    return state / f"{job}-{_next_number(state, job)}"


def submissions_of(state: Path) -> list[Submission]:
    """All in one state folder, the oldest first."""
    found = [Submission.load(place.parent) for place in state.glob(f"*/{FILE}")]
    return sorted(found, key=lambda submission: (submission.submitted, _number(submission.name)))


def find_submission(wanted: str) -> Submission:
    """Of a job file the last one; or the one of a submission's folder, or of its name in the default state folder.

    Raises RecipeError where there is none, and says where it has looked.
    """
    place = Path(wanted)
    if (place / FILE).is_file():
        return Submission.load(place)
    if place.is_file():
        job = load_job(place)
        state = Path(job.state)
        found = [s for s in submissions_of(state) if s.job == job.name] if state.is_dir() else []
        if not found:
            raise RecipeError(f"{wanted}: nothing of this job has been submitted yet ({state} holds nothing of it)")
        return found[-1]
    if place.is_dir():
        if found := submissions_of(place):
            return found[-1]
        raise RecipeError(f"{wanted}: no submission is kept here; give a job file, or a folder that holds {FILE}")
    default = Path(f".{re.sub(r'-[0-9]+$', '', wanted)}") / wanted
    if (default / FILE).is_file():
        return Submission.load(default)
    raise RecipeError(f"{wanted}: no job file, and no submission ({default / FILE} is absent); give the job file")


def _next_number(state: Path, job: str) -> int:
    taken = [_number(place.name) for place in state.glob(f"{job}-*")] if state.is_dir() else []
    return max(taken, default=0) + 1


def _number(name: str) -> int:
    match = re.search(r"-(\d+)$", name)
    return int(match[1]) if match else 0
