"""What a takedown must decide anew: the documents that one source alone had displaced, and the steps before them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tokenmill.core.barrier import Barrier, Bounds, SpanVerdict, Verdict
from tokenmill.core.errors import RecipeError
from tokenmill.core.recipe import SOURCE_COLUMNS, Recipe
from tokenmill.core.stage import Filter, Stage
from tokenmill.core.step import Step
from tokenmill.manifests import ledger
from tokenmill.manifests.manifest import Manifest

AGAIN = "run the remaining sources again instead"
_NO_BOUNDS = ("lost_share_at_most", "cluster_at_most")


@dataclass(slots=True)
class Displaced:
    """What a run's books say of the documents that had to go for those of one source."""

    by_shard: dict[str, int] = field(default_factory=dict)  # of the other sources, where there are any
    by_stage: Counter[str] = field(default_factory=Counter)
    cut_short: int = 0  # dropped because too little was left beside what the source had too: these do not come back
    runs: set[str] = field(default_factory=set)  # what shards of other runs, in whose index a keeper lies, begin with

    def total(self) -> int:
        return self.by_stage.total()


def source_of(shard: str) -> str:
    """The name of the source that a shard, SOURCE-00000, is of."""
    return shard.rpartition("-")[0]


def is_of(shards: pa.Array | pa.ChunkedArray, source: str) -> pa.BooleanArray:
    """For each name of a shard whether it is of `source`; false for null."""
    decoded = pc.unique(shards).to_pylist()
    return pc.is_in(shards, pa.array([s for s in decoded if s and source_of(s) == source], pa.string()))


def find_displaced(run: Path, manifest: Manifest, source: str) -> Displaced:
    """Reads three columns of every ledger: about 100 million rows a minute."""
    found = Displaced()
    for file in manifest.of_kind("ledger"):
        books = pq.read_table(run / file.path, columns=["fate", "stage", "keeper_shard"])
        found.runs |= {s.partition("/")[0] for s in pc.unique(books["keeper_shard"]).to_pylist() if s and "/" in s}
        if source_of(Path(file.path).stem) == source:
            continue
        found.cut_short += _cut_short(run, manifest, Path(file.path).stem, source)
        theirs = pc.and_(pc.equal(books["fate"], ledger.DUPLICATE), is_of(books["keeper_shard"], source))
        stages = books["stage"].filter(theirs)
        if len(stages):
            found.by_shard[Path(file.path).stem] = len(stages)
            found.by_stage.update(stages.to_pylist())
    return found


def _cut_short(run: Path, manifest: Manifest, shard: str, source: str) -> int:
    """How many documents of a shard left at a step that found too little beside spans, some of which `source` keeps."""
    held = {s.path for s in manifest.of_kind("spans")}
    count = 0
    for step in manifest.steps:
        path = f"spans/{shard}.{step['name']}.parquet"
        if path in held:
            spans = pq.read_table(run / path, columns=["row", "keeper_shard"])
            rows = pc.unique(spans["row"].filter(is_of(spans["keeper_shard"], source)))
            wanted = (pc.field("fate") == ledger.DROPPED) & (pc.field("stage") == step["name"])
            books = pq.read_table(run / f"ledger/{shard}.parquet", columns=["row"], filters=wanted)
            count += pc.sum(pc.is_in(books["row"], rows)).as_py() or 0
    return count


def tail_of(recipe: Recipe, displaced_by: Iterable[str]) -> Recipe:
    """The steps that displaced documents take: from the first verdict that sees their text as dropped/ has it.

    Before those stand the measures that they ask about, taken again: the text is the same, so they are too. Bounds are
    lifted: they were held over all documents, and what is given back now cannot be too much taken away.
    Raises RecipeError where the text of some step is not known any more, or an index cannot tell of it.
    """
    steps, stages = recipe.steps, set(displaced_by)
    places = [n for n, step in enumerate(steps) if step.name in stages]
    if not recipe.keeps_dropped:
        raise RecipeError(f"{recipe.name}: keeps no text of what is dropped, so nothing can come back; {AGAIN}")
    for step in steps:
        if step.name in stages and isinstance(step, Verdict) and step.index is None:
            raise RecipeError(
                f"{recipe.name}: {step.name} removed copies of what is taken down, and has no index; {AGAIN}"
            )
    for step in steps[places[0] : places[-1]]:
        if _changes_text(step):
            raise RecipeError(
                f"{recipe.name}: {step.name} stands between {steps[places[0]].name} and {steps[places[-1]].name}, "
                f"which both removed copies of what is taken down: their texts would differ; {AGAIN}"
            )
    start = places[0]
    for n in range(start, -1, -1):
        if _changes_text(steps[n]):
            break
        start = n if isinstance(steps[n], Verdict) else start
    tail = steps[start:]
    for step in steps[:start]:
        if recipe.indexes and isinstance(step, Verdict) and step.index is not None:
            raise RecipeError(
                f"{recipe.name}: the text was edited since {step.name}: its index could not tell of what comes back; "
                f"{AGAIN}"
            )
    if late := [s.name for s in tail if "html" in s.reads.names]:
        raise RecipeError(f"{recipe.name}: {late[0]} reads the page itself, and dropped/ has only its text; {AGAIN}")
    needed = _needed(recipe, steps[:start], tail)
    return replace(recipe, steps=(*needed, *(_unbounded(s) for s in tail)))


def _needed(recipe: Recipe, before: tuple[Step, ...], tail: tuple[Step, ...]) -> list[Stage]:
    """Those of the steps `before` that must be taken again, in order: their columns are read, or stay in documents/."""
    added = {f.name for s in tail for f in s.adds}
    wanted = {name for s in tail for name in _asks_about(s)}
    wanted |= {f.name for s in before for f in s.adds} - set(recipe.measures().names) - added
    needed: list[Stage] = []
    for n in range(len(before) - 1, -1, -1):
        step = before[n]
        mine = {f.name for f in step.adds if f.name not in SOURCE_COLUMNS.names} & wanted
        if not mine:
            continue
        if not isinstance(step, Stage) or any(_changes_text(s) for s in before[n:]):
            raise RecipeError(
                f"{recipe.name}: {', '.join(sorted(mine))} of {step.name} is asked about behind a step that changed "
                f"the text; {AGAIN}"
            )
        needed.insert(0, step)
        wanted |= set(_asks_about(step))
    return needed


def _asks_about(step: Step) -> list[str]:
    return [*step.reads.names, *(r.measure for r in step.rules)] if isinstance(step, Filter) else step.reads.names


def _changes_text(step: Step) -> bool:
    return isinstance(step, SpanVerdict) or (isinstance(step, Stage) and (step.edits or "html" in step.reads.names))


def _unbounded(step: Stage | Barrier) -> Stage | Barrier:
    if isinstance(step, Verdict) and step.bounds != Bounds():
        return replace(step, **{name: None for name in _NO_BOUNDS if hasattr(step, name)})
    return step
