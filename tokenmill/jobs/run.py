"""`tokenmill run`: a recipe over sources, into a directory."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from tokenmill.core.barrier import Verdict
from tokenmill.core.errors import RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.engines.plan import Plan, make_plan
from tokenmill.engines.run import run
from tokenmill.engines.workers import Engine
from tokenmill.jobs.console import show
from tokenmill.jobs.engines import chosen_engine
from tokenmill.jobs.indexes import find_index
from tokenmill.jobs.places import out_at, scratch_folder
from tokenmill.jobs.progress import ConsoleProgress
from tokenmill.jobs.recipes import recipe_with
from tokenmill.jobs.sources import Inputs, check_apart, find_sources
from tokenmill.jobs.watch import Watch, watched
from tokenmill.kernels.device import Device, choose
from tokenmill.manifests.asset_cache import share_assets, use_assets
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.remote_stream import open_uri


def command(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or file.py:NAME.")],
    source: Annotated[list[str], typer.Option(help="PATH or NAME=PATH: file, folder, quoted glob or run; repeatable.")],
    out: Annotated[str, typer.Option(help="The run's directory or URL: new, or this very run unfinished.")],
    engine: Annotated[str, typer.Option(help="Where the work runs: local, spark, dask or datatrove.")] = "local",
    workers: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None,
    master: Annotated[str | None, typer.Option(help="Of Spark; by default spark-submit's, or all cores here.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of Dask's; by default processes here.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda, for kernels that give the same on both.")] = "cpu",
    set_: Annotated[list[str] | None, typer.Option("--set", help="step.field=value; repeatable.")] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="A run with an index: leave out what it has already; repeatable.")
    ] = None,
    index: Annotated[bool, typer.Option("--index", help="Write what later runs need for --against.")] = False,
    assets: Annotated[
        str | None, typer.Option(help="PATH or URL that all workers reach: models and lists are put there by content.")
    ] = None,
    metrics_file: Annotated[
        str | None, typer.Option(help="Prometheus metrics: a text file, or [HOST]:PORT to serve them on.")
    ] = None,
    openlineage: Annotated[str | None, typer.Option(help="OpenLineage events: an http URL, or a file.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would run, and do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Run a recipe: every document that goes in has one fate when it is done."""
    where = chosen_engine(engine, workers=workers, master=master, scheduler=scheduler)
    use_assets(assets, scratch_folder())
    chosen = recipe_with(recipe, set_ or [])
    if index and not any(isinstance(step, Verdict) and step.index is not None for step in chosen.steps):
        raise RecipeError(f"--index: {chosen.name} has no step that leaves an index; run it without")
    chosen = replace(chosen, indexes=chosen.indexes or index)
    run_recipe(
        chosen,
        source,
        out,
        where,
        {},
        as_json,
        overrides=list(set_ or []),
        against=against or [],
        device=found_device(device),
        plan_only=plan,
        assets=assets,
        watch=Watch(name=chosen.name, engine=engine, prometheus=metrics_file, openlineage=openlineage),
    )


def run_recipe(
    recipe: Recipe,
    sources: list[str] | Inputs,
    out: str,
    engine: Engine,
    facts: dict[str, Any],
    as_json: bool,
    *,
    overrides: list[str] | None = None,
    against: Sequence[str] = (),
    device: Device = "cpu",
    plan_only: bool = False,
    quiet: bool = False,
    watch: Watch | None = None,
    assets: str | None = None,
) -> Manifest | None:
    """Plan, run and (unless `quiet`) print the result; the manifest, or None if only the plan was wanted."""
    if isinstance(sources, Inputs):
        inputs = sources
    else:
        check_apart(sources, out)
        inputs = find_sources(sources)
    plan = plan_over(recipe, inputs, against, overrides or [], facts)
    if plan_only:
        show(_plan_facts(plan), as_json, _plan_text(plan))
        return None
    with ConsoleProgress(quiet=as_json) as console, watched(watch, plan, out, console) as progress:
        if assets is not None:
            share_assets(assets, scratch_folder(), [a for step in recipe.all_steps() for a in step.assets()])
        manifest = run(
            plan,
            out_at(out),
            engine,
            progress=progress,
            device=device,
            assets=assets,
            scratch=scratch_folder(),
        )
        progress.finished(manifest)
    if not quiet:
        told = {"identity": manifest.identity, "recipe": manifest.recipe, "totals": manifest.totals, "out": out}
        show(told, as_json, funnel(manifest, out))
    return manifest


def plan_over(
    recipe: Recipe,
    inputs: Inputs,
    against: Sequence[str] = (),
    overrides: Sequence[str] = (),
    facts: dict[str, Any] | None = None,
) -> Plan:
    """With the indexes of the runs that it is deduplicated against. Raises what `find_index` and `make_plan` do."""
    index, indexed = find_index(recipe, list(against))
    parents = [*inputs.parents, *indexed]
    return make_plan(recipe, inputs.sources, open_uri, parents=parents, index=index, overrides=overrides, facts=facts)


def found_device(name: str) -> Device:
    """Raises RecipeError for a device that is not here."""
    try:
        choose(cast(Device, name))
    except ValueError as error:
        raise RecipeError(f"--device {name}: {' '.join(str(error).split())}") from error
    return cast(Device, name)


def funnel(manifest: Manifest, out: str | Path) -> str:
    """From records to what was kept, a line each."""
    totals = manifest.totals
    lines = [f"{manifest.recipe}: {totals['documents_in']:,} documents in"]
    lines += [f"  {n:>12,}  passed over: {kind}" for kind, n in totals["records"].items()]
    lines += [f"  {n:>12,}  error: {reason}" for reason, n in totals["errors"].items()]
    order = {step["name"]: place for place, step in enumerate(manifest.steps)}
    for rule, n in sorted(
        totals["dropped"].items(), key=lambda item: (order.get(item[0].partition(".")[0], 0), item[0])
    ):
        lines.append(f"  {n:>12,}  dropped: {rule}")
    lines += [f"  {n:>12,}  duplicate: {stage}" for stage, n in totals["duplicates"].items()]
    cut: Counter[str] = Counter()
    for file in manifest.of_kind("spans"):  # SHARD.STEP.parquet
        cut[Path(file.path).stem.rpartition(".")[2]] += file.rows
    lines += [f"  {n:>12,}  passages cut out by {step}" for step, n in cut.items() if n]
    for phase, counts in manifest.facts.items():
        if isinstance(counts, dict) and counts.get("unverified"):
            lines.append(
                f"  {counts['unverified']:>12,}  unverified by {phase}: pairs that a cap kept from being compared"
            )
    lines.append(f"  {totals['kept']:>12,}  kept, {totals['chars_out']:,} of {totals['chars_in']:,} characters")
    if totals["tokens"]:
        lines.append(f"  {totals['tokens']:>12,}  tokens")
    lines += [f"identity {manifest.identity}", f"next: tokenmill verify {out}; tokenmill why {out} ID"]
    return "\n".join(lines)


def _plan_facts(plan: Plan) -> dict[str, Any]:
    steps = [{"name": s.name, "version": s.version, "parameters": s.parameters()} for s in plan.recipe.all_steps()]
    shards = [
        {"name": s.name, "file": s.split.file.name, "start": s.split.start, "stop": s.split.stop} for s in plan.shards
    ]
    return {
        "recipe": f"{plan.recipe.name}@{plan.recipe.version}",
        "steps": steps,
        "shards": shards,
        "bytes": plan.bytes,
    }


def _plan_text(plan: Plan) -> str:
    lines = [f"{plan.recipe.name}@{plan.recipe.version}: {len(plan.shards)} shards, {plan.bytes / 1e6:,.1f} MB to read"]
    for number, segment in enumerate(plan.recipe.segments()):
        lines += [f"  segment {number}: {', '.join(s.name for s in segment.stages) or 'write'}"]
        lines += [f"    barrier: {b.name}" for b in segment.barriers]
    if plan.recipe.format is not None:
        lines.append(f"  ends in {plan.recipe.format.name}")
    return "\n".join(lines)
