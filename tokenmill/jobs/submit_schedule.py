"""A job with a schedule is handed over once: from then on the scheduler calls `tokenmill fire` when it is due.

A scheduler of firings has four functions, in a module `submit_TARGET.py` or on an object: see `Scheduled`.
"""

import importlib
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any, Protocol, cast

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.console import show
from tokenmill.jobs.fire_run import as_submitted, check_recipe
from tokenmill.jobs.handing_over import target_named
from tokenmill.jobs.job_file import Engine, JobFile, Resources
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
    firing = firing_process(job, to)
    files = target.render_schedule(firing, job_file.absolute(), folder)
    commands = target.schedule_commands(firing, folder)
    if dry_run:
        shown = [f"# {folder / name}\n{content}" for name, content in files.items()]
        text = "\n".join([*shown, "# commands", *(shlex.join(command) for command in commands)])
        show({"folder": str(folder), "files": files, "commands": commands}, as_json, text)
        return
    for name, content in files.items():
        write_whole(folder / name, content.encode())
    parts = tuple(target.schedule(firing, folder))
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


def firing_process(job: JobFile, to: str) -> JobFile:
    """The job as the process has it that fires: all of it, or next to nothing where it hands the run on.

    Raises RecipeError for a run that could not be handed on.
    """
    schedule = job.schedule
    if schedule is None or schedule.submit_to is None:
        return job
    if to == "spark":
        raise RecipeError("schedule.submit_to: the operator's driver makes the run of each firing itself; leave it out")
    run = as_submitted(job, job.out_at(datetime.combine(schedule.start, time())))
    # Secrets need not be here yet: a line of `setup` may fetch them when it fires.
    without_secrets = run.environment.model_copy(update={"secrets": ()})
    target_named(schedule.submit_to).check(run.model_copy(update={"environment": without_secrets}))
    asked = job.resources
    if to == "kubernetes" and asked.service_account is None:
        raise RecipeError(
            "resources.service_account: a pod that fires asks Kubernetes for its jobs; name an account that may "
            "create, get, list and delete jobs, list pods and read their logs"
        )
    kept: dict[str, Any] = {}
    if to != "crontab":
        kept["memory"] = asked.memory  # to verify with
    if to in ("slurm", "airflow"):
        kept |= {"partition": asked.partition, "account": asked.account}
    if to == "kubernetes":
        kept |= {key: getattr(asked, key) for key in ("image", "namespace", "service_account", "volumes")}
    changes: dict[str, Any] = {
        "resources": Resources(**kept),
        "engine": Engine(),
        "environment": job.environment.model_copy(update={"archive": None}),
    }
    if to in CRONS:
        changes["retries"] = JobFile.model_fields["retries"].default
    return job.model_copy(update=changes)


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
