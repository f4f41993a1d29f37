"""From a settled run to a scheduler that works at it: for `submit`, and for firings that submit their runs."""

import importlib
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.engines import share
from tokenmill.engines.context import Context
from tokenmill.engines.plan import Plan
from tokenmill.jobs.job_file import JobFile
from tokenmill.jobs.places import out_at, scratch_folder
from tokenmill.jobs.plan_file import write_plan
from tokenmill.jobs.prepare import prepare
from tokenmill.jobs.prepared import LOGS, Prepared, Target
from tokenmill.jobs.progress import ConsoleProgress
from tokenmill.jobs.submission import Submission, new_folder, next_folder, submissions_of
from tokenmill.jobs.watch import Watch
from tokenmill.manifests.asset_cache import share_assets
from tokenmill.manifests.checked_json import write_whole
from tokenmill.manifests.store import is_remote


def target_named(name: str) -> Target:
    """The module of `--to` or of a submission. Its libraries are imported when it is asked for, and no sooner."""
    return cast(Target, importlib.import_module(f"tokenmill.jobs.submit_{name}"))


def state_folder(job: JobFile) -> Path:
    """Raises RecipeError for a URL: schedulers start scripts from it."""
    if is_remote(job.state):
        raise RecipeError(f"state: {job.state}; a submission's scripts and plan need a folder that all machines see")
    return Path(job.state)


def prepared_for(job: JobFile, plan: Plan, state: Path) -> Prepared:
    """What `submit_plan` would hand over now. Nothing is written."""
    context = Context(plan=plan, out=out_at(job.out), device=job.device)
    return prepare(job, plan, context, next_folder(state, job.name), job.out)


def submit_plan(
    job: JobFile, job_file: Path, to: str, plan: Plan, state: Path, watch: Watch | None = None
) -> Submission:
    """Claim `job.out` for the plan's run, and hand it over. `watch`: who is told of it by whoever closes a station.

    For who has looked whether an earlier submission is at work there. Raises RecipeError if something else lies there.
    """
    prepared = prepared_for(job, plan, state)
    context = Context(plan=plan, out=out_at(job.out), device=job.device)
    with ConsoleProgress(quiet=True) as progress:
        share.prepare(context, progress, anew=True)  # while somebody is there to read why it cannot be had
    folder = new_folder(state, job.name)  # not always the one above: others submit too
    if job.assets is not None:
        wanted = [asset for step in plan.recipe.all_steps() for asset in step.assets()]
        share_assets(job.assets, scratch_folder(), wanted)
    write_plan(folder, plan, job.out, job.device, job.assets, watch)
    return _hand_over(target_named(to), to, job_file, replace(prepared, folder=folder, name=folder.name))


def at_work_on(state: Path, out: str) -> Submission | None:
    """The submission that still works at the run there, or waits to."""
    for earlier in submissions_of(state) if state.is_dir() else []:
        if earlier.out == out and is_at_work(earlier):
            return earlier
    return None


def is_at_work(submission: Submission) -> bool:
    """Whether any of it runs or waits. Raises EngineError where the scheduler does not answer."""
    if not submission.parts:
        return False
    told = target_named(submission.target).status(submission.parts, submission.facts)
    return any(part.counts.get("running") or part.counts.get("pending") for part in told)


def check_alone(state: Path, out: str) -> None:
    """Raises EngineError if an earlier submission still works at the same run: they would only do things twice."""
    earlier = at_work_on(state, out)
    if earlier is not None:
        raise EngineError(
            f"{earlier.name} is still at work on {out}; wait for it, or tokenmill cancel {earlier.folder}"
        )


def _hand_over(target: Target, to: str, job_file: Path, prepared: Prepared) -> Submission:
    """Write the files, then submit; each part is on record before the next. What fails half-way is taken back."""
    folder = prepared.folder
    (folder / LOGS).mkdir(exist_ok=True)
    for name, content in target.render(prepared.job, prepared).items():
        write_whole(folder / name, content.encode())
    submission = Submission(
        name=prepared.name,
        target=to,
        job=prepared.job.name,
        job_file=str(job_file.absolute()),
        folder=folder,
        out=prepared.out,
        recipe=prepared.recipe,
        submitted=datetime.now(UTC).isoformat(timespec="seconds"),
        stations=tuple({"number": s.number, "name": s.name, "elements": s.elements} for s in prepared.stations),
    )
    submission.save()
    try:
        for part in target.submit(prepared.job, prepared):
            submission = replace(submission, parts=(*submission.parts, part))
            submission.save()
    except BaseException as error:
        if submission.parts:
            target.cancel(submission.parts, submission.facts)
        elif isinstance(error, RecipeError):  # of another error the files stay, to be handed over by hand
            shutil.rmtree(folder)
        raise
    return submission
