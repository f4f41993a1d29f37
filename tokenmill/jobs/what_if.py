"""`tokenmill what-if`: what other bounds would change, from recorded measures alone."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer

from tokenmill.core.barrier import Barrier
from tokenmill.core.errors import RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.core.stage import Filter, Measure, Stage
from tokenmill.jobs.console import show
from tokenmill.jobs.overrides import with_overrides
from tokenmill.jobs.places import run_at
from tokenmill.jobs.recipes import recipe_with
from tokenmill.manifests import ledger
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.store import Store


@dataclass(slots=True)
class Answer:
    """Counts of documents by fate, now and under the other bounds, and what cannot be known without reading text."""

    documents: int = 0
    kept_now: int = 0
    dropped_now: Counter[str] = field(default_factory=Counter)
    dropped_then: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)  # would get as far as this step, which never saw them
    kept_then: int = 0  # certainly; with no `unknown`, exactly


def command(
    directory: Annotated[str, typer.Argument(help="A finished run: its directory or URL.")],
    set_: Annotated[list[str], typer.Option("--set", help="step.field=value; repeatable.")],
    recipe: Annotated[str | None, typer.Option(help="The run's recipe, if it is your own: file.py:NAME.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Count what would change if a filter's bound were another. Reads no text and runs nothing."""
    run = run_at(directory)
    manifest = Manifest.load(run)
    was = recipe_with(recipe or manifest.name, manifest.overrides)
    was = replace(was, indexes=bool(manifest.of_kind("index")))
    if f"{was.name}@{was.version}" != manifest.recipe:
        raise RecipeError(
            f"{directory}: made by {manifest.recipe}, this version's is {was.name}@{was.version}; "
            "ask the version that made it"
        )
    then = with_overrides(was, set_)
    _check_only_filters_change(was, then)
    answer = ask(run, manifest, then)
    facts = {
        "documents": answer.documents,
        "kept_now": answer.kept_now,
        "kept_then": answer.kept_then,
        "dropped_now": dict(answer.dropped_now),
        "dropped_then": dict(answer.dropped_then),
        "unknown": dict(answer.unknown),
    }
    show(facts, as_json, _text(answer, then))


def ask(run: Store, manifest: Manifest, recipe: Recipe) -> Answer:
    """What `recipe`, which differs in filters alone, would have done with the documents of this run."""
    answer = Answer()
    falls: dict[str, int] = {}  # id -> the first step at which a document of that id would now fall
    pending: Counter[tuple[str, int]] = Counter()  # (keeper, the step that removed a duplicate of it)
    pieces: list[_Cut] = []
    place = {step.name: n for n, step in enumerate(recipe.steps)}
    for shard in manifest.of_kind("ledger"):
        books = pq.read_table(run.path(shard.path))
        measures = pq.read_table(run.path(shard.path.replace("ledger/", "measures/", 1)))
        ends = _ask_shard(books, measures, recipe, answer, falls, pending)
        pieces += _cuts(run, manifest, Path(shard.path).stem, ends, place)
    never = len(recipe.steps)
    for (keeper, step), n in pending.items():
        if falls.get(keeper, never) < step:
            answer.unknown["duplicates whose kept document would go"] += n
    for cut in pieces:
        if any(falls.get(keeper, never) < cut.place for keeper in cut.keepers):
            # It would be cut less, and fare otherwise or not.
            answer.unknown[f"documents that {cut.stage} cut for one that would go"] += 1
            if cut.rule is None:
                answer.kept_then -= 1
            else:
                answer.dropped_then[cut.rule] -= 1
    return answer


@dataclass(frozen=True, slots=True)
class _Cut:
    """A document of which something was cut: for whom, and what became of it then (None: kept)."""

    stage: str
    place: int  # of the stage
    keepers: set[str]
    rule: str | None


def _cuts(
    run: Store, manifest: Manifest, shard: str, ends: Mapping[int, tuple[int, str | None]], place: dict[str, int]
) -> list[_Cut]:
    """The documents of one shard that lose text to a verdict which they reach; each once, by the first such verdict."""
    held = {file.path for file in manifest.of_kind("spans")}
    found: dict[int, _Cut] = {}
    for stage, n in place.items():
        if (path := f"spans/{shard}.{stage}.parquet") in held:
            table = pq.read_table(run.path(path), columns=["row", "keeper"])
            for row, keeper in zip(table["row"].to_pylist(), table["keeper"].to_pylist(), strict=True):
                end, rule = ends.get(row, (-1, None))
                if end >= n:
                    found.setdefault(row, _Cut(stage, n, set(), rule)).keepers.add(keeper)
    return list(found.values())


def _ask_shard(
    books: pa.Table,
    measures: pa.Table,
    recipe: Recipe,
    answer: Answer,
    falls: dict[str, int],
    pending: Counter[tuple[str, int]],
) -> dict[int, tuple[int, str | None]]:
    """Count one shard. By row, the end of each document of which that is certain: (step, rule, or None if kept)."""
    ends: dict[int, tuple[int, str | None]] = {}
    place = {step.name: n for n, step in enumerate(recipe.steps)}
    end = len(recipe.steps)
    fate = np.array(books["fate"].to_pylist(), object)
    # The step each document left at; documents that could not be read left before the first.
    left = np.array([end if s is None else place.get(s, -1) for s in books["stage"].to_pylist()])
    alive = fate != ledger.ERROR
    dropped = fate == ledger.DROPPED
    answer.documents += len(fate)
    answer.kept_now += int((fate == ledger.KEPT).sum())
    names = np.array(
        [f"{s}.{r}" for s, r in zip(books["stage"].to_pylist(), books["rule"].to_pylist(), strict=True)], object
    )
    answer.dropped_now.update(names[dropped].tolist())
    ids = np.array(books["id"].to_pylist(), object)
    for n, step in enumerate(recipe.steps):
        if isinstance(step, Filter):
            chosen = np.flatnonzero(alive & ((fate != ledger.DUPLICATE) | (left > n)))  # others left before
            decision = (
                step.decide(pa.Table.combine_chunks(measures.take(pa.array(chosen))).to_batches()[0])
                if len(chosen)
                else None
            )
            if decision is not None:
                fails = pc.is_valid(decision.rule).to_numpy(zero_copy_only=False)
                rules = [f"{step.name}.{r}" for r in decision.rule.filter(pc.is_valid(decision.rule)).to_pylist()]
                answer.dropped_then.update(rules)
                ends |= {row: (n, rule) for row, rule in zip(chosen[fails].tolist(), rules, strict=True)}
                for id_ in ids[chosen[fails]].tolist():
                    falls[id_] = min(n, falls.get(id_, n))
                alive[chosen[fails]] = False
        elif isinstance(step, Barrier | Measure) or (isinstance(step, Stage) and step.edits):
            beyond = alive & (left < n) & (fate != ledger.DUPLICATE)
            if beyond.any():
                answer.unknown[step.name] += int(beyond.sum())
            alive &= ~beyond
            cut_short = alive & (left == n) & dropped  # by a barrier that edits: too little of them was left
            answer.dropped_then.update(names[cut_short].tolist())
            ends |= {int(row): (n, str(names[row])) for row in np.flatnonzero(cut_short)}
            alive &= ~cut_short
    duplicates = alive & (fate == ledger.DUPLICATE)
    keepers = books["keeper"].to_pylist()
    pending.update((keepers[row], int(left[row])) for row in np.flatnonzero(duplicates))
    kept = alive & (fate == ledger.KEPT)
    answer.kept_then += int(kept.sum())
    return ends | dict.fromkeys(np.flatnonzero(kept).tolist(), (end, None))


def _check_only_filters_change(was: Recipe, then: Recipe) -> None:
    for before, after in zip(was.all_steps(), then.all_steps(), strict=True):
        if before != after and not isinstance(after, Filter):
            raise RecipeError(
                f"{after.name} is no filter: what it would do is not in the measures; run the recipe with --set instead"
            )


def _text(answer: Answer, recipe: Recipe) -> str:
    lines = [f"{answer.documents:,} documents; kept now {answer.kept_now:,}, then {answer.kept_then:,}"]
    order = {step.name: n for n, step in enumerate(recipe.steps)}
    for rule in sorted({*answer.dropped_now, *answer.dropped_then}, key=lambda r: (order[r.partition(".")[0]], r)):
        now, then = answer.dropped_now[rule], answer.dropped_then[rule]
        if now != then:
            lines.append(f"  {rule}: {now:,} -> {then:,} ({then - now:+,})")
    lines += [f"  unknown from {step} on: {n:,}" for step, n in answer.unknown.items() if n]
    if not answer.unknown.total():
        lines.append("  nothing is unknown: these are the counts of a new run, up to the barriers' other choices")
    return "\n".join(lines)
