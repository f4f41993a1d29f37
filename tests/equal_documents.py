"""Documents for the exact family, and what becomes of them, by their places in the list."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from verdict_runs import run_verdict

from tokenmill.core.barrier import ADDRESS, Verdict
from tokenmill.core.recipe import SOURCE_COLUMNS


def documents(texts: Sequence[str | None], *, shards: int = 1, **columns: Sequence[Any]) -> pa.RecordBatch:
    """Document i is row i // shards of shard i % shards, with id i unless `id` (a number each) says otherwise."""
    n = len(texts)
    values: dict[str, Sequence[Any]] = {"priority": [0] * n, "source": ["s"] * n, "id": range(n), **columns}
    values["id"] = [f"{number:032x}" for number in values["id"]]
    values |= {"text": texts, "shard": [i % shards for i in range(n)], "row": [i // shards for i in range(n)]}
    return pa.record_batch(
        [pa.array(values.get(f.name, [None] * n), f.type) for f in SOURCE_COLUMNS], schema=SOURCE_COLUMNS
    )


def index_of(verdict: Verdict, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What an earlier run left in an index, had it kept these documents."""
    rows = verdict.indexed(verdict.observe(batch, None), batch)
    assert verdict.index is not None and rows.schema.equals(verdict.index)
    for field in ADDRESS:
        values = pa.array([-1] * batch.num_rows, field.type) if field.name == "shard" else batch["row"]
        rows = rows.append_column(field, values)
    return rows


def removed(verdict: Verdict, batch: pa.RecordBatch, *, parts: int = 3, **how: Any) -> dict[int, int]:
    """Removed document -> the one kept for it; -1 - i for document i of an index."""
    table, _ = run_verdict(verdict, batch, parts=parts, **how)
    shards = max(batch["shard"].to_pylist(), default=0) + 1
    places = {}
    for v in table.to_pylist():
        keeper = -1 - v["keeper_row"] if v["keeper_shard"] < 0 else v["keeper_row"] * shards + v["keeper_shard"]
        places[v["row"] * shards + v["shard"]] = keeper
    assert len(places) == table.num_rows
    return places
