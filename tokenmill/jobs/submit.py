"""`tokenmill submit`: a job file to a scheduler, which from then on needs nobody to wait for it."""

import shlex
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tokenmill.core.errors import RecipeError
from tokenmill.engines.plan import Plan
from tokenmill.jobs.console import show
from tokenmill.jobs.fire_run import check_recipe
from tokenmill.jobs.handing_over import check_alone, prepared_for, state_folder, submit_plan, target_named
from tokenmill.jobs.job_file import JobFile, JobSource, load_job
from tokenmill.jobs.places import out_at, scratch_folder
from tokenmill.jobs.prepared import Prepared
from tokenmill.jobs.progress import ConsoleProgress
from tokenmill.jobs.run import plan_over
from tokenmill.jobs.schedule_check import check_urls
from tokenmill.jobs.sources import check_apart, find_sources
from tokenmill.jobs.submission import Submission
from tokenmill.jobs.submit_schedule import schedule_job
from tokenmill.jobs.unused_keys import check_endpoint
from tokenmill.jobs.watch import Watch, watched
from tokenmill.manifests.asset_cache import use_assets
from tokenmill.manifests.manifest import FILE as MANIFEST


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
    asked = asked.model_copy(update={"out": asked.out_at()})
    target_named(to).check(asked)
    check_endpoint(asked, to)
    if out_at(asked.out).exists(MANIFEST):
        nothing = {"job": asked.name, "out": asked.out, "submission": None}
        show(nothing, as_json, f"{asked.out}: is finished; nothing to submit")
        return
    use_assets(asked.assets, scratch_folder())
    plan = plan_of(asked)
    if dry_run:
        prepared, target = prepared_for(asked, plan, state), target_named(to)
        files, lines = target.render(asked, prepared), target.commands(asked, prepared)
        facts = {"folder": str(prepared.folder), "files": files, "commands": lines}
        show(facts, as_json, _rendered(prepared, files, lines))
        return
    check_alone(state, asked.out)  # before anybody is told of a run that is at work already
    watch = _watch(asked, to)
    # Arrays and pods join a run that has begun; Spark's one driver begins it.
    begun = watched(None if to is Scheduler.SPARK else watch, plan, asked.out, ConsoleProgress(quiet=True))
    with begun:
        submission = submit_plan(asked, job, to, plan, state, watch)
    parts = [{"name": part.name, "id": part.id} for part in submission.parts]
    told = {"submission": submission.name, "folder": str(submission.folder), "out": asked.out, "parts": parts}
    show(told, as_json, _handed_over(job, submission))


def plan_of(job: JobFile) -> Plan:
    """As `tokenmill run` plans it. Raises what that raises."""
    recipe = check_recipe(job)
    arguments = [source.argument for source in job.sources]
    check_apart(arguments, job.out)
    inputs = find_sources(arguments)
    sources = tuple(replace(found, **_stated(asked)) for found, asked in zip(inputs.sources, job.sources, strict=True))
    return plan_over(recipe, replace(inputs, sources=sources), job.against, job.set)


def _watch(job: JobFile, to: str) -> Watch:
    """Told by whoever closes a station, or drives the whole run."""
    return Watch(name=job.name, engine=to, prometheus=job.metrics.prometheus, openlineage=job.metrics.openlineage)


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
