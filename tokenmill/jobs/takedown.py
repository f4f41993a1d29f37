"""`tokenmill takedown`: a finished run without one of its sources, and with what only that source had displaced."""

import os
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from tokenmill.core.errors import RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.engines.takedown import Takedown, check, take_down
from tokenmill.engines.takedown_tail import Displaced, find_displaced, source_of, tail_of
from tokenmill.jobs.console import show
from tokenmill.jobs.indexes import IDENTITY_DIGITS, find_index
from tokenmill.jobs.progress import ConsoleProgress
from tokenmill.jobs.recipes import recipe_with
from tokenmill.jobs.run import funnel
from tokenmill.manifests.manifest import Manifest


def command(
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run of several sources.")],
    source: Annotated[str, typer.Option(help="The name of the source to take down.")],
    out: Annotated[Path, typer.Option(help="Directory of the run without it: new, or this very one unfinished.")],
    recipe: Annotated[str | None, typer.Option(help="The run's recipe, if it is your own: file.py:NAME.")] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="What RUN was deduplicated against, as then; repeatable.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Take a source down: nothing of it is left, and what it alone had displaced comes back.

    What was kept stays kept. RUN is not touched: remove it when the new run is there.
    """
    if workers is not None and workers < 1:
        raise RecipeError(f"--workers {workers}: want 1 or more")
    if not directory.is_dir():
        raise RecipeError(f"{directory}: no such directory")
    if out.resolve().is_relative_to(directory.resolve()):
        raise RecipeError(f"--out {out} lies within {directory}; choose an --out outside of it")
    manifest = Manifest.load(directory)
    job = plan_takedown(directory, manifest, source, recipe, against or [])
    with ConsoleProgress(quiet=as_json) as progress:
        made = take_down(job, out, workers=workers or len(os.sched_getaffinity(0)), progress=progress)
    told = made.facts["takedown"]
    facts = {"identity": made.identity, "recipe": made.recipe, "totals": made.totals, "out": str(out), "takedown": told}
    lines = [f"without {source}: of {told['displaced']:,} documents it had displaced, {told['restored']:,} came back"]
    if told["spans_not_restored"]:
        lines.append(
            f"  {told['spans_not_restored']:,} spans were cut from other documents because {source} had them too; "
            "these do not come back: to have them, run those sources again"
        )
    if told["dropped_for_its_spans"]:
        lines.append(
            f"  {told['dropped_for_its_spans']:,} documents were dropped because {source} had nearly all of their text "
            "too; they stay in dropped/"
        )
    if told["records_with_source"]:
        lines.append(f"  what was passed over can only be told of the run with {source}: see its manifest")
    show(facts, as_json, "\n".join([*lines, funnel(made, out)]))


def plan_takedown(directory: Path, manifest: Manifest, source: str, recipe: str | None, against: list[str]) -> Takedown:
    """What is to be done, or RecipeError. Reads the ledgers; writes nothing."""
    names = [str(s["name"]) for s in manifest.sources]
    if source not in names:
        near = get_close_matches(source, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(names)}"
        raise RecipeError(f"{directory}: has no source {source}; {hint}")
    try:
        check(manifest, source)
    except RecipeError as error:
        raise RecipeError(f"{directory}: {error}") from error
    displaced = find_displaced(directory, manifest, source)
    job = Takedown(run=directory, manifest=manifest, source=source, displaced=displaced, parents=(manifest.identity,))
    if not displaced.total():
        return job
    own = _recipe_of(directory, manifest, recipe)
    tail = tail_of(own, displaced.by_stage)
    index, parents = find_index(tail, [*against, str(directory)])
    _check_against(directory, displaced, parents[:-1], manifest)
    mine = f"{manifest.identity[:IDENTITY_DIGITS]}/"
    rest = tuple(s for s in index if not (s.name.startswith(mine) and source_of(s.shard) == source))
    return replace(job, recipe=own, tail=tail, index=rest, parents=(parents[-1], *parents[:-1]))


def _recipe_of(directory: Path, manifest: Manifest, recipe: str | None) -> Recipe:
    own = recipe_with(recipe or manifest.name, manifest.overrides)
    own = replace(own, indexes=bool(manifest.of_kind("index")))
    if f"{own.name}@{own.version}" != manifest.recipe:
        raise RecipeError(
            f"{directory}: made by {manifest.recipe}, this version's is {own.name}@{own.version}; "
            "ask the version that made it"
        )
    return own


def _check_against(directory: Path, displaced: Displaced, given: list[str], manifest: Manifest) -> None:
    """A run that was itself deduplicated against others: what comes back must be too."""
    absent = displaced.runs - {identity[:IDENTITY_DIGITS] for identity in given}
    if absent:
        raise RecipeError(
            f"{directory}: was deduplicated against the runs {', '.join(sorted(absent))}; name their directories with "
            "--against, in the same order"
        )
    if given != [identity for identity in manifest.parents if identity in given]:
        raise RecipeError(f"{directory}: was not deduplicated against these runs in this order; name those that it was")
