"""From a job and its plan to what a target submits: stations, elements and what each may use."""

import math
import sys
from dataclasses import replace
from pathlib import Path

from tokenmill.core.errors import RecipeError
from tokenmill.engines.context import Context
from tokenmill.engines.plan import Plan
from tokenmill.engines.reduce import PARTITION_BYTES
from tokenmill.engines.stations import Kind, Station, stations
from tokenmill.jobs.job_file import JobFile, Resources, StepResources
from tokenmill.jobs.prepared import ELEMENTS_AT_MOST, Prepared, PreparedStation, StationResources
from tokenmill.manifests.key_errors import nearest

# One task, or as many as only the results tell: the closing task does them.
ALONE: frozenset[Kind] = frozenset({"components", "bounds", "summary", "finish"})


def prepare(job: JobFile, plan: Plan, context: Context, folder: Path, out: str) -> Prepared:
    """Nothing is written. Raises RecipeError for resources of a step that the recipe does not have."""
    names = [step.name for step in plan.recipe.all_steps()]
    for name in job.resources.steps:
        if name not in names:
            raise RecipeError(f"resources.steps.{name}: {plan.recipe.name} has no such step{nearest(name, names)}")
    found = [_prepared(job, context, number, station) for number, station in enumerate(stations(context))]
    return Prepared(
        job=job,
        name=folder.name,
        folder=folder,
        out=out,
        python=job.environment.python or sys.executable,
        stations=tuple(found),
        recipe=f"{plan.recipe.name}@{plan.recipe.version}",
        shards=len(plan.shards),
        bytes=plan.bytes,
    )


def _prepared(job: JobFile, context: Context, number: int, station: Station) -> PreparedStation:
    steps = _steps(context, station)
    asked = [job.resources.steps[name] for name in steps if name in job.resources.steps]
    resources = _resources(job.resources, asked)
    bound = _tasks_at_most(context, station)
    workers = job.engine.workers or resources.cpus
    wanted = max((a.tasks for a in asked if a.tasks is not None), default=job.resources.tasks or ELEMENTS_AT_MOST)
    elements = min(math.ceil(bound / workers), wanted, ELEMENTS_AT_MOST)
    return PreparedStation(
        number=number,
        name=station.name,
        segment=station.segment,
        kind=station.kind,
        steps=steps,
        tasks_at_most=station.tasks_at_most,
        elements=0 if station.kind in ALONE or elements < 2 else elements,
        resources=resources,
    )


def _tasks_at_most(context: Context, station: Station) -> int:
    """Where only the run tells: partitions of as much as is read, since barriers see less of it; a group a shard."""
    if station.tasks_at_most is not None:
        return station.tasks_at_most
    if station.kind == "reduce":
        return math.ceil(context.plan.bytes / PARTITION_BYTES)
    return len(context.plan.shards)


def _steps(context: Context, station: Station) -> tuple[str, ...]:
    """The steps that tasks of this station run: of a segment its stages, what its barriers are told, and its format."""
    segment = context.segments[station.segment]
    recipe = context.plan.recipe
    match station.kind:
        case "segment" | "gather":
            last = station.segment == len(context.segments) - 1
            format_ = [recipe.format] if last and recipe.format is not None else []
            return tuple(step.name for step in (*segment.stages, *segment.barriers, *format_))
        case "index":
            return tuple(barrier.name for barrier in context.indexed_barriers)
        case "finish":
            return ()
        case _:
            return (segment.barriers[station.place].name,)


def _resources(job: Resources, asked: list[StepResources]) -> StationResources:
    """The job's, with the most that any of the steps asks for; a partition from the first step that names one."""
    of_job = StationResources(
        cpus=job.cpus,
        memory_bytes=job.memory,
        time_s=job.time,
        gpus=job.gpus,
        partition=job.partition,
        account=job.account,
    )
    if not asked:
        return of_job
    return replace(
        of_job,
        cpus=max((a.cpus for a in asked if a.cpus is not None), default=job.cpus),
        memory_bytes=max((a.memory for a in asked if a.memory is not None), default=job.memory),
        time_s=max((a.time for a in asked if a.time is not None), default=job.time),
        gpus=max(job.gpus, *(a.gpus for a in asked)),
        partition=next((a.partition for a in asked if a.partition is not None), job.partition),
    )
