"""A job with a schedule is handed over once: from then on the scheduler calls `tokenmill fire` when it is due.

A scheduler of firings has four functions, in a module `submit_TARGET.py` or on an object: see `Scheduled`.
"""

import importlib
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.console import show
from tokenmill.jobs.fire_run import check_recipe
from tokenmill.jobs.job_file import JobFile
from tokenmill.jobs.prepared import Part
from tokenmill.jobs.schedule_check import check_scheduled
from tokenmill.jobs.submission import FILE as SUBMISSION
from tokenmill.jobs.submission import Submission
from tokenmill.manifests.checked_json import write_whole

CRONS = {"slurm": "SCRONTAB", "crontab": "CRONTAB"}  # objects in submit_cron; the other targets are modules


class Scheduled(Protocol):
    """All raise RecipeError for a job that cannot be had there."""

    def render_schedule(self, job: JobFile, job_file: Path, folder: Path) -> dict[str, str]:
        """Every file that is written into `folder`, by its name there."""

    def schedule_commands(self, job: JobFile, folder: Path) -> list[list[str]]:
        """What hands them over, for people to read; none: a file says what to do by hand."""

    def schedule(self, job: JobFile, folder: Path) -> Sequence[Part]:
        """Do it. Raises EngineError where the scheduler does not take it; the files stay."""

    def unschedule(self, folder: Path, parts: Sequence[Part]) -> Sequence[Part]:
        """Take it back; the parts that were there. Raises RecipeError, saying how, where that is done by hand."""


def schedule_job(job: JobFile, job_file: Path, to: str, state: Path, *, dry_run: bool, as_json: bool) -> None:
    """Into `state`/JOB-schedule-TARGET: a job has one schedule on one target, and handing over again renews it.

    Raises RecipeError where another job file of that name has one there.
    """
    check_scheduled(job)
    check_recipe(job)
    target = scheduler_named(to)
    folder = state / f"{job.name}-schedule-{to}"
    _check_same_file(folder, job_file)
    files = target.render_schedule(job, job_file.absolute(), folder)
    commands = target.schedule_commands(job, folder)
    if dry_run:
        shown = [f"# {folder / name}\n{content}" for name, content in files.items()]
        text = "\n".join([*shown, "# commands", *(shlex.join(command) for command in commands)])
        show({"folder": str(folder), "files": files, "commands": commands}, as_json, text)
        return
    for name, content in files.items():
        write_whole(folder / name, content.encode())
    parts = tuple(target.schedule(job, folder))
    Submission(
        name=folder.name,
        target=to,
        job=job.name,
        job_file=str(job_file.absolute()),
        folder=folder,
        out=job.out,
        recipe=job.recipe,
        submitted=datetime.now(UTC).isoformat(timespec="seconds"),
        parts=parts,
        scheduled=True,
    ).save()
    lines = [f"{job.name}: scheduled on {to}", *(f"  {part.id}  {part.name}" for part in parts), f"folder {folder}"]
    told = {
        "folder": str(folder),
        "files": sorted(files),
        "parts": [{"name": part.name, "id": part.id} for part in parts],
    }
    show(told, as_json, "\n".join(lines))


def _check_same_file(folder: Path, job_file: Path) -> None:
    """Two files of one name would write over each other's scripts. One that was moved, or taken back, is no other."""
    if not (folder / SUBMISSION).is_file():
        return
    there = Submission.load(folder)
    other = Path(there.job_file)
    if there.parts and other.is_file() and not other.samefile(job_file):
        raise RecipeError(
            f"{job_file}: {other} is another job of this name, scheduled from {folder}; give this one another `name`, "
            "or another `state`"
        )


def scheduler_named(to: str) -> Scheduled:
    """Raises RecipeError for one that can fire nothing."""
    module = importlib.import_module(f"tokenmill.jobs.submit_{'cron' if to in CRONS else to}")
    found = getattr(module, CRONS[to]) if to in CRONS else module
    if not hasattr(found, "render_schedule"):
        raise RecipeError(f"--to {to}: nothing there can fire a schedule; use slurm, kubernetes, airflow or crontab")
    return cast(Scheduled, found)
