"""The run of one firing: what `tokenmill run` does, over exactly the files that the firing's record names.

In this process, on the job's engine; or, with `schedule.submit_to`, as arrays, pods or a Spark application of its own,
which `fire` waits for. What is submitted goes on where `fire` is killed: the next one finds it, and waits again.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tokenmill.core.barrier import Verdict
from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.engines.context import Context
from tokenmill.engines.directory import is_finished
from tokenmill.engines.run import finished
from tokenmill.jobs.console import warn
from tokenmill.jobs.engines import chosen_engine
from tokenmill.jobs.firing import Firing
from tokenmill.jobs.follow import follow
from tokenmill.jobs.handing_over import at_work_on, state_folder, submit_plan, target_named
from tokenmill.jobs.job_file import JobFile, Metrics
from tokenmill.jobs.places import out_at, scratch_folder
from tokenmill.jobs.progress import ConsoleProgress
from tokenmill.jobs.recipes import recipe_with
from tokenmill.jobs.run import found_device, plan_over, run_recipe
from tokenmill.jobs.spark_conf import OPERATOR
from tokenmill.jobs.submission import RUNS, Submission
from tokenmill.jobs.taken_inputs import inputs_of
from tokenmill.jobs.watch import Watch, watched
from tokenmill.manifests.asset_cache import use_assets


def check_recipe(job: JobFile) -> Recipe:
    """The job's recipe, with an index where later firings want one. Raises RecipeError where it can leave none."""
    use_assets(job.assets, scratch_folder())
    recipe = recipe_with(job.recipe, list(job.set))
    chained = job.schedule is not None and job.schedule.chain_index
    if (chained or job.index) and not any(isinstance(s, Verdict) and s.index is not None for s in recipe.steps):
        key = "schedule.chain_index" if chained else "index"
        raise RecipeError(f"{job.name}: {key}: {recipe.name} has no step that leaves an index; remove it")
    return replace(recipe, indexes=recipe.indexes or job.index or chained)


def run_firing(job: JobFile, job_file: Path, firing: Firing, *, quiet: bool = False) -> str:
    """Make the run, or go on with it; its identity."""
    assert job.schedule is not None
    if job.schedule.submit_to is not None:
        return _submitted(job, job_file, firing, job.schedule.submit_to, quiet=quiet)
    manifest = run_recipe(
        check_recipe(job),
        inputs_of(firing.sources),
        firing.out,
        chosen_engine(
            job.engine.name,
            workers=_workers(job),
            # In the operator's driver the session is there already, and `operator` is no master that Spark knows.
            master=None if job.engine.master == OPERATOR else job.engine.master,
            scheduler=job.engine.scheduler,
        ),
        {},
        quiet,
        overrides=list(job.set),
        against=_against(job, firing),
        device=found_device(job.device),
        quiet=True,
        assets=job.assets,
        watch=_watch(job, firing, job.engine.name),
    )
    assert manifest is not None
    return manifest.identity


def submissions_folder(job: JobFile) -> Path:
    """Of the runs that firings submit; apart from those that people do. Raises RecipeError for a `state` at a URL."""
    return state_folder(job) / RUNS


def as_submitted(job: JobFile, out: str) -> JobFile:
    """The job of one firing's run, as `submit` would be given it. Its metrics are told by the firing that waits."""
    return job.model_copy(update={"schedule": None, "out": out, "metrics": Metrics()})


def _submitted(job: JobFile, job_file: Path, firing: Firing, to: str, *, quiet: bool) -> str:
    """Wait for what an earlier firing submitted, if that is still at work; else submit, and wait.

    Raises EngineError where that comes to an end without the run.
    """
    asked, state = as_submitted(job, firing.out), submissions_folder(job)
    target_named(to).check(asked)
    plan = plan_over(check_recipe(job), inputs_of(firing.sources), _against(job, firing), job.set)
    context = Context(plan=plan, out=out_at(firing.out), device=job.device, assets=job.assets, scratch=scratch_folder())

    def seen_through(begin: Callable[[], Submission]) -> str:
        watch = _watch(job, firing, to)
        with ConsoleProgress(quiet=quiet) as console, watched(watch, plan, firing.out, console) as progress:
            manifest = follow(begin(), context, progress)
            progress.finished(manifest)
            return manifest.identity

    def handed_over() -> Submission:
        submission = submit_plan(asked, job_file, to, plan, state)
        warn(f"{job.name}: {submission.name} handed to {to}; tokenmill status {submission.folder} tells of it")
        return submission

    if is_finished(context.out):
        return finished(plan, context.out, plan.request()).identity
    earlier = at_work_on(state, firing.out)
    if earlier is not None:
        warn(f"{job.name}: {earlier.name} is still at work on {firing.out}; waiting for that")
        try:
            return seen_through(lambda: earlier)
        except EngineError as error:
            warn(f"{error}; submitted again")
    return seen_through(handed_over)


def _against(job: JobFile, firing: Firing) -> list[str]:
    return [*job.against, *(link.run for link in firing.against)]


def _watch(job: JobFile, firing: Firing, engine: str) -> Watch:
    return Watch(
        name=job.name,
        engine=engine,
        prometheus=job.metrics.prometheus,
        openlineage=job.metrics.openlineage,
        due=firing.due,
    )


def _workers(job: JobFile) -> int | None:
    """As many as the cores that were asked for: in a container every core of the machine can be seen."""
    return job.engine.workers or (job.resources.cpus if "cpus" in job.resources.model_fields_set else None)
