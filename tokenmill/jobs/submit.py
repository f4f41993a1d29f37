"""`tokenmill submit`: a job file to a scheduler, which from then on needs nobody to wait for it."""

import importlib
import shlex
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.engines import share
from tokenmill.engines.context import Context
from tokenmill.engines.plan import Plan, make_plan
from tokenmill.jobs.console import show
from tokenmill.jobs.fire_run import check_recipe
from tokenmill.jobs.indexes import find_index
from tokenmill.jobs.job_file import JobFile, JobSource, load_job
from tokenmill.jobs.places import out_at, scratch_folder
from tokenmill.jobs.plan_file import write_plan
from tokenmill.jobs.prepare import prepare
from tokenmill.jobs.prepared import LOGS, Prepared, Target
from tokenmill.jobs.progress import ConsoleProgress
from tokenmill.jobs.schedule_check import check_urls
from tokenmill.jobs.sources import check_apart, find_sources
from tokenmill.jobs.submission import Submission, new_folder, next_folder, submissions_of
from tokenmill.jobs.submit_schedule import schedule_job
from tokenmill.manifests.asset_cache import share_assets, use_assets
from tokenmill.manifests.checked_json import write_whole
from tokenmill.manifests.manifest import FILE as MANIFEST
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.store import is_remote


class Scheduler(StrEnum):
    """What `--to` takes."""

    SLURM = "slurm"
    SPARK = "spark"
    KUBERNETES = "kubernetes"
    AIRFLOW = "airflow"
    CRONTAB = "crontab"  # of schedules alone


def command(
    job: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job file.")],
    to: Annotated[Scheduler, typer.Option(help="Where it goes.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be written and run; do neither.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Hand a job to a scheduler; `status`, `logs` and `cancel` take the same job file."""
    asked = load_job(job)
    check_urls(asked)
    state = state_folder(asked)
    if asked.schedule is not None:
        schedule_job(asked, job, to, state, dry_run=dry_run, as_json=as_json)
        return
    if to is Scheduler.CRONTAB:
        raise RecipeError(f"--to {to}: {job} has no `schedule`; add one, or give another --to")
    target = target_named(to)
    target.check(asked)
    out = asked.out_at()
    store = out_at(out)
    if store.exists(MANIFEST):
        show({"job": asked.name, "out": out, "submission": None}, as_json, f"{out}: is finished; nothing to submit")
        return
    use_assets(asked.assets, scratch_folder())
    plan = plan_of(asked, out)
    context = Context(plan=plan, out=store, device=asked.device)
    prepared = prepare(asked, plan, context, next_folder(state, asked.name), out)
    if dry_run:
        files, lines = target.render(asked, prepared), target.commands(asked, prepared)
        facts = {"folder": str(prepared.folder), "files": files, "commands": lines}
        show(facts, as_json, _rendered(prepared, files, lines))
        return
    check_alone(state, out)
    with ConsoleProgress(quiet=True) as progress:
        share.prepare(context, progress, anew=True)  # claims `out` while somebody is there to read why it cannot be had
    folder = new_folder(state, asked.name)  # not always the one above: others submit too
    if asked.assets is not None:
        wanted = [asset for step in plan.recipe.all_steps() for asset in step.assets()]
        share_assets(asked.assets, scratch_folder(), wanted)
    write_plan(folder, plan, out, asked.device, asked.assets)
    prepared = replace(prepared, folder=folder, name=folder.name)
    submission = hand_over(target, to, job, prepared)
    parts = [{"name": part.name, "id": part.id} for part in submission.parts]
    told = {"submission": submission.name, "folder": str(submission.folder), "out": out, "parts": parts}
    show(told, as_json, _handed_over(job, submission))


def target_named(name: str) -> Target:
    """The module of `--to` or of a submission. Its libraries are imported when it is asked for, and no sooner."""
    return cast(Target, importlib.import_module(f"tokenmill.jobs.submit_{name}"))


def plan_of(job: JobFile, out: str) -> Plan:
    """As `tokenmill run` plans it. Raises what that raises."""
    recipe = check_recipe(job)
    arguments = [source.argument for source in job.sources]
    check_apart(arguments, out)
    inputs = find_sources(arguments)
    index, indexed = find_index(recipe, list(job.against))
    return make_plan(
        recipe,
        [replace(found, **_stated(asked)) for found, asked in zip(inputs.sources, job.sources, strict=True)],
        open_uri,
        parents=[*inputs.parents, *indexed],
        index=index,
        overrides=list(job.set),
    )


def state_folder(job: JobFile) -> Path:
    """Raises RecipeError for a URL: schedulers start scripts from it."""
    if is_remote(job.state):
        raise RecipeError(f"state: {job.state}; a submission's scripts and plan need a folder that all machines see")
    return Path(job.state)


def check_alone(state: Path, out: str) -> None:
    """Raises EngineError if an earlier submission still works at the same run: they would only do things twice."""
    for earlier in submissions_of(state) if state.is_dir() else []:
        if earlier.out != out or not earlier.parts:
            continue
        for told in target_named(earlier.target).status(earlier.parts, earlier.facts):
            if told.counts.get("running") or told.counts.get("pending"):
                raise EngineError(
                    f"{earlier.name} is still at work on {out} ({told.part.name}, {told.part.id}); "
                    f"wait for it, or tokenmill cancel {earlier.folder}"
                )


def hand_over(target: Target, to: str, job_file: Path, prepared: Prepared) -> Submission:
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


def _stated(asked: JobSource) -> dict[str, Any]:
    """What the job file says of a source that nothing in its files does."""
    said = {"licence": asked.licence, "date": asked.date}
    return {key: value for key, value in said.items() if value is not None}


def _rendered(prepared: Prepared, files: dict[str, str], commands: list[list[str]]) -> str:
    shown = [f"# {prepared.folder / name}\n{content}" for name, content in files.items()]
    counts = f"# {prepared.recipe}: {prepared.shards:,} shards, {prepared.bytes / 1e6:,.1f} MB to read"
    return "\n".join([*shown, counts, "# commands", *(shlex.join(command) for command in commands)])


def _handed_over(job: Path, submission: Submission) -> str:
    lines = [f"{submission.name}: {len(submission.parts)} parts handed to {submission.target}"]
    lines += [f"  {part.id}  {part.name}" for part in submission.parts]
    return "\n".join([*lines, f"folder {submission.folder}", f"next: tokenmill status {job}"])
