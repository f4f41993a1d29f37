"""A run without one of its sources. What that source alone had displaced is decided anew; what was kept stays kept.

A displaced document (a duplicate whose keeper goes) takes the rest of the recipe, from the verdict that removed it on,
against the index of all that is kept. It comes back if nothing kept resembles it; of displaced documents that resemble
each other the preferred one comes back, and the others are duplicates of that.

It differs from a fresh run without the source in that a document kept now is never removed in favour of one that comes
back: where A resembles B, and B resembles C, and C does not resemble A, in this order of preference, C was kept beside
A. Without A a fresh run would keep B and remove C; here C stays, and B is its duplicate. Further, what a filter behind
a verdict dropped displaces nothing here, and spans are cut from what comes back only where that repeats itself.
Spans that were cut from other documents because the source had them too are not under dropped/: they are counted.
"""

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.core.source import File
from tokenmill.engines import directory
from tokenmill.engines.context import Context
from tokenmill.engines.driver import Progress
from tokenmill.engines.local import LocalEngine
from tokenmill.engines.plan import IndexShard, Plan, make_plan
from tokenmill.engines.pool import Pool
from tokenmill.engines.run import run
from tokenmill.engines.takedown_displaced import DisplacedDocuments, FindTask, displaced_file
from tokenmill.engines.takedown_shard import ComposeTask, Decided
from tokenmill.engines.takedown_tail import AGAIN, Displaced, source_of
from tokenmill.engines.task import Task
from tokenmill.manifests import checked_json
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest, Shard
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.store import WORK
from tokenmill.manifests.totals import Totals

KINDS = {"documents", "dropped", "measures", "ledger", "index", "spans"}  # that lie in one file for each shard read


@dataclass(frozen=True, slots=True, kw_only=True)
class Takedown:
    """`recipe` is the run's own, `tail` what displaced documents take; None where there are none."""

    run: Path
    manifest: Manifest
    source: str
    displaced: Displaced
    recipe: Recipe | None = None
    tail: Recipe | None = None
    index: tuple[IndexShard, ...] = ()  # those of `run` last
    parents: tuple[str, ...]  # identities: of `run`, then of the others in the index

    def request(self) -> dict[str, Any]:
        return {
            "recipe": self.manifest.recipe,
            "parents": list(self.parents),
            "sources": [s for s in self.manifest.sources if s["name"] != self.source],
            "takedown": self.source,
        }


def check(manifest: Manifest, source: str) -> None:
    """Raises RecipeError for a run from which nothing can be taken down alone: its files are not one for each shard."""
    files = files_by_shard(manifest)
    if manifest.of_kind("tokens"):
        raise RecipeError(
            "this run ends in tokens; take the source down from the run of documents, then tokenize again"
        )
    whole = {Path(s.path).stem for s in manifest.of_kind("documents")} == files.keys()
    if not whole or {s.kind for s in manifest.shards} - KINDS:
        raise RecipeError(f"this run made something of all its documents together (shards or assets); {AGAIN}")
    if all(source_of(shard) == source for shard in files):
        raise RecipeError(f"this run has no other source than {source}; remove its directory")


def files_by_shard(manifest: Manifest) -> dict[str, list[Shard]]:
    """Every file under the shard whose documents it is about; those of `dropped` and `spans` may add to the name."""
    files: dict[str, list[Shard]] = {Path(s.path).stem: [] for s in manifest.of_kind("ledger")}
    for file in manifest.shards:
        name = Path(file.path).stem
        while name and name not in files:
            name = name.rpartition(".")[0]
        files.setdefault(name, []).append(file)
    return files


def take_down(job: Takedown, out: Path, *, workers: int, progress: Progress) -> Manifest:
    """Write the run without the source into `out`, or find it there; the same call goes on after a crash.

    Nothing counts before manifest.json, which is last. Raises as `run`.
    """
    request = job.request()
    store = LocalStore(out)
    if directory.is_finished(store):
        store.delete_all(WORK)
        return _made_before(store, request)
    began, started = time.monotonic(), datetime.now(UTC)
    with directory.claimed(store, request) as already:
        if already:
            return _made_before(store, request)
        plan = _inner_plan(job, out)
        context = Context(plan=replace(plan, recipe=job.recipe or plan.recipe), out=store)
        with Pool(context, workers) as pool:
            tasks: list[Task] = [
                FindTask(run_directory=job.run, shard=s, source=job.source, composed="takedown" in job.manifest.facts)
                for s in job.displaced.by_shard
            ]
            _all(pool, progress, "displaced documents", tasks)
        inner = store.at(f"{WORK}/decided")
        decided = run(plan, inner, LocalEngine(workers=workers), progress=progress) if plan.shards else None
        with Pool(context, workers) as pool:
            receipts = _all(pool, progress, "shards", _compositions(job, plan, decided, out))
        manifest = _manifest(job, decided, receipts)
        directory.sweep(store, {s.path for s in manifest.shards})
        inputs = checked_json.load(job.run / directory.PROVENANCE)["inputs"]
        provenance = {
            "started": started.isoformat(),
            "seconds": round(time.monotonic() - began, 3),
            "engine": "local",
            "workers": workers,
            "host": platform.node(),
            "python": platform.python_version(),
            "user": os.environ.get("USER", ""),
            "inputs": {name: where for name, where in inputs.items() if source_of(name) != job.source},
            "request": request,
        }
        checked_json.save_in(store, directory.PROVENANCE, provenance)
        manifest.save(store)
    store.delete_all(WORK)
    return manifest


def _made_before(store: LocalStore, request: dict[str, Any]) -> Manifest:
    directory.check_same(store, checked_json.load_from(store, directory.PROVENANCE)["request"], request)
    return Manifest.load(store)


def _all(pool: Pool, progress: Progress, name: str, tasks: list[Task]) -> list[dict[str, Any]]:
    receipts: dict[int, dict[str, Any]] = {}
    progress.phase(name, len(tasks), 0, 0)

    def done(number: int, receipt: dict[str, Any]) -> None:
        receipts[number] = receipt
        progress.task_done()

    pool.run(tasks, done, progress.news)
    return [receipts[number] for number in range(len(tasks))]


def _inner_plan(job: Takedown, out: Path) -> Plan:
    """The displaced documents as a run of their own, each original shard one of its shards; without any, no shards."""
    if job.tail is None:
        return Plan(recipe=Recipe(job.manifest.name, ()), sources=(), shards=())
    sources: list[DisplacedDocuments] = []
    for facts in job.manifest.sources:
        mine = sorted((s for s in job.displaced.by_shard if source_of(s) == facts["name"]), key=lambda s: (len(s), s))
        # Size and time say nothing: the request decides what is in these files, whichever attempt wrote them.
        files = tuple(File(name=s, uri=str(out / displaced_file(s)), size=0) for s in mine)
        counts = tuple(job.displaced.by_shard[s] for s in mine)
        if files:
            sources.append(
                DisplacedDocuments(name=facts["name"], priority=facts["priority"], files=files, counts=counts)
            )
    return make_plan(job.tail, sources, open_uri, parents=job.parents, index=job.index)


def _compositions(job: Takedown, plan: Plan, decided: Manifest | None, out: Path) -> list[Task]:
    inner_name = {s.split.file.name: s.name for s in plan.shards}
    inner_files = files_by_shard(decided) if decided else {}
    against = job.index[-1].name.partition("/")[0] if job.index else ""
    return [
        ComposeTask(
            run_directory=job.run,
            shard=shard,
            files=tuple(files),
            source=job.source,
            decided=Decided(
                directory=out / WORK / "decided",
                shard=inner_name[shard],
                against=against,
                files=tuple(inner_files[inner_name[shard]]),
            )
            if shard in inner_name
            else None,
        )
        for shard, files in files_by_shard(job.manifest).items()
        if source_of(shard) != job.source
    ]


def _manifest(job: Takedown, decided: Manifest | None, receipts: list[dict[str, Any]]) -> Manifest:
    """The run's manifest, with what the receipts say is there now, and what came of the takedown among its facts.

    What a source passed over is in no ledger. So `records` are left out of the totals, and told of the whole run in
    the facts; nor are counts of exchanges in which the source took part.
    """
    was = job.manifest
    before = {s.path: s for s in was.shards}
    shards: dict[str, Shard] = {}
    totals, spans = Totals(), 0
    for body in receipts:
        shards |= {f["path"]: Shard(**f) for f in body["files"]} | {path: before[path] for path in body["linked"]}
        totals.add(Totals.from_json(body["totals"]))
        spans += body["spans"]
    totals.check_balance()
    if decided and decided.totals["documents_in"] != job.displaced.total():
        raise DataError(
            f"{job.run}: {job.displaced.total():,} documents were displaced, "
            f"{decided.totals['documents_in']:,} were found; verify that run"
        )
    steps = {step["name"] for step in was.steps}
    facts: Mapping[str, Any] = {
        "source": job.source,
        "displaced": job.displaced.total(),
        "displaced_by": dict(sorted(job.displaced.by_stage.items())),
        "restored": decided.totals["kept"] if decided else 0,
        "spans_not_restored": spans,
        "dropped_for_its_spans": job.displaced.cut_short,
        "records_with_source": was.totals["records"],
        "exchanges": decided.facts if decided else {},
        "before": was.facts.get("takedown"),  # of the run itself, where it is what another takedown left
    }
    own = {k: v for k, v in was.facts.items() if k.partition(",")[0].partition(".")[0] not in steps}
    return replace(
        was,
        parents=job.parents,
        shards=tuple(shards[path] for path in sorted(shards)),
        totals=totals.as_json(),
        sources=tuple(s for s in was.sources if s["name"] != job.source),
        facts=own | {"takedown": facts},
    )
