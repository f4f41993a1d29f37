"""The run of one firing: what `tokenmill run` does, over exactly the files that the firing's record names."""

from dataclasses import replace

from tokenmill.core.barrier import Verdict
from tokenmill.core.errors import RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.jobs.engines import chosen_engine
from tokenmill.jobs.firing import Firing
from tokenmill.jobs.job_file import JobFile
from tokenmill.jobs.places import scratch_folder
from tokenmill.jobs.recipes import recipe_with
from tokenmill.jobs.run import found_device, run_recipe
from tokenmill.jobs.spark_conf import OPERATOR
from tokenmill.jobs.taken_inputs import inputs_of
from tokenmill.jobs.watch import Watch
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


def run_firing(job: JobFile, firing: Firing, *, quiet: bool = False) -> str:
    """Make the run, or go on with it; its identity."""
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
        against=[*job.against, *(link.run for link in firing.against)],
        device=found_device(job.device),
        quiet=True,
        assets=job.assets,
        watch=Watch(
            name=job.name,
            engine=job.engine.name,
            prometheus=job.metrics.prometheus,
            openlineage=job.metrics.openlineage,
            due=firing.due,
        ),
    )
    assert manifest is not None
    return manifest.identity


def _workers(job: JobFile) -> int | None:
    """As many as the cores that were asked for: in a container every core of the machine can be seen."""
    return job.engine.workers or (job.resources.cpus if "cpus" in job.resources.model_fields_set else None)
