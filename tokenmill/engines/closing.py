"""The end of a run on any engine: the manifest, added up from receipts alone."""

from collections import Counter
from pathlib import Path
from typing import Any

from tokenmill.core.barrier import Verdict
from tokenmill.core.errors import DataError
from tokenmill.core.step import Step
from tokenmill.engines.context import Context
from tokenmill.manifests.manifest import Manifest, Shard
from tokenmill.manifests.totals import Totals

Receipt = dict[str, Any]


def manifest_of(context: Context, receipts: dict[str, list[Receipt]]) -> Manifest:
    """Add the receipts up, and refuse sums that do not balance."""
    plan = context.plan
    totals = Totals()
    shards: dict[str, Shard] = {}
    facts: dict[str, Any] = dict(plan.facts)
    for phase, bodies in receipts.items():
        counts: Counter[str] = Counter()
        for body in bodies:
            shards |= {f["path"]: Shard(**f) for f in body["files"]}
            if "totals" in body:
                totals.add(Totals.from_json(body["totals"]))
            totals.records.update(body.get("records", {}))
            counts.update(body.get("counts", {}))
        if counts:
            facts[phase] = dict(sorted(counts.items()))
    totals.check_balance()
    read = sum(body["documents"] for body in receipts["segment 0"])
    if totals.documents_in != read:
        raise DataError(
            f"{read:,} documents were read, the ledger has {totals.documents_in:,}; remove {context.out} and run again"
        )
    return Manifest(
        name=plan.recipe.name,
        recipe=f"{plan.recipe.name}@{plan.recipe.version}",
        parents=plan.parents,
        shards=tuple(shards[path] for path in sorted(shards)),
        totals=totals.as_json(),
        assets={
            f"{step.name}.{number}": {
                "uri": Path(asset.uri).name,
                "sha256": asset.sha256,
            }  # where it lies is not content
            for step in plan.recipe.all_steps()
            for number, asset in enumerate(step.assets())
        },
        sources=tuple(
            {"name": s.name, "licence": s.licence, "date": s.date, "priority": s.priority} for s in plan.sources
        ),
        steps=tuple(_described(step) for step in plan.recipe.all_steps()),
        overrides=plan.overrides,
        facts=facts,
    )


def _described(step: Step) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": step.name, "version": step.version, "parameters": step.parameters()}
    if isinstance(step, Verdict) and step.index is not None:
        facts["index_version"] = step.index_version
    return facts
