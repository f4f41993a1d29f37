"""Run a verdict in memory, with no engine: the plain definition of what engines do with its rounds."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import ADDRESS, COMPONENTS, SPANS, VERDICTS, SpanVerdict, Verdict
from tokenmill.kernels.hashing import hash64

BY_ADDRESS = [("shard", "ascending"), ("row", "ascending")]


def run_verdict(
    verdict: Verdict,
    batches: pa.RecordBatch | Iterable[pa.RecordBatch],
    *,
    summary: pa.Table | None = None,
    index: pa.RecordBatch | None = None,
    parts: int = 1,
    seed: int | None = None,
) -> tuple[pa.Table, dict[str, int]]:
    """(VERDICTS or SPANS ordered by address, counts).

    `batches` have the columns of TRAVELLING that the verdict needs, `shard` and `row` at least. Keys are divided into
    `parts` equal ranges; `seed` shuffles the rows of each. `index` holds rows of `verdict.index` with ADDRESS.
    """
    batches = [batches] if isinstance(batches, pa.RecordBatch) else list(batches)
    kept = [_addressed(verdict.observe(batch, summary), batch) for batch in batches]
    given = [*zip(kept, batches, strict=True)] + ([(index, None)] if index is not None else [])
    found: list[pa.Table] = []
    counts: Counter[str] = Counter()
    told: pa.Table | None = None
    for number, round_ in enumerate(verdict.rounds):
        rows = []
        for remembered, documents in given:
            some = remembered if told is None else _told(remembered, told)
            if some.num_rows:
                seen = documents if number == 0 or round_.reads_text else None
                seen = _told(seen, told) if seen is not None and told is not None else seen
                mine = None if told is None else _asked(told, some)
                rows.append(round_.emit(some, seen, mine))
        schema = pa.schema([*round_.emits, *(f for f in ADDRESS if f.name not in round_.emits.names)])
        table = pa.Table.from_batches([r.select(schema.names).cast(schema) for r in rows], schema)
        reduced = [round_.reduce(part) for part in _divided(table, parts, seed)]
        for one in reduced:
            counts.update(one.counts)
            if one.verdicts is not None:
                found.append(one.verdicts)
        if round_.links:
            told = components_of(pa.concat_tables([r.links for r in reduced if r.links is not None]))
        else:
            answered = [r.answers for r in reduced if r.answers is not None]
            told = pa.concat_tables(answered).sort_by(BY_ADDRESS) if answered else None
            if told is None:
                break
    schema = SPANS if isinstance(verdict, SpanVerdict) else VERDICTS
    table = pa.concat_tables([schema.empty_table(), *(t.select(schema.names).cast(schema) for t in found)])
    order = [*BY_ADDRESS, ("start", "ascending")] if schema is SPANS else BY_ADDRESS
    return table.sort_by(order).combine_chunks(), dict(counts)


def components_of(links: pa.Table) -> pa.Table:
    """COMPONENTS of LINKS, by following them in plain Python."""
    neighbours: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for link in links.to_pylist():
        a, b = (link["shard"], link["row"]), (link["other_shard"], link["other_row"])
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    label: dict[tuple[int, int], tuple[int, int]] = {}
    for start in sorted(neighbours):
        waiting = [start]
        while waiting:
            node = waiting.pop()
            if node not in label:
                label[node] = start
                waiting += neighbours[node]
    names = pa.array([repr(label[node]) for node in sorted(label)], pa.string())
    shards, rows = [n[0] for n in sorted(label)], [n[1] for n in sorted(label)]
    return pa.table([pa.array(shards, pa.int32()), pa.array(rows, pa.int64()), hash64(names, "component")], COMPONENTS)


def _addressed(rows: pa.RecordBatch, batch: pa.RecordBatch) -> pa.RecordBatch:
    for name in ADDRESS.names:
        if name not in rows.schema.names:
            rows = rows.append_column(ADDRESS.field(name), batch[name])
    return rows


def _keys(rows: pa.RecordBatch | pa.Table) -> np.ndarray:
    return (rows["shard"].to_numpy().astype(np.int64) << 40) + rows["row"].to_numpy()


def _told(rows: pa.RecordBatch, told: pa.Table) -> pa.RecordBatch:
    return rows.filter(pa.array(np.isin(_keys(rows), _keys(told))))


def _asked(told: pa.Table, some: pa.RecordBatch) -> pa.RecordBatch:
    mine = told.filter(pa.array(np.isin(_keys(told), _keys(some)))).combine_chunks()
    return mine.to_batches()[0]


def _divided(table: pa.Table, parts: int, seed: int | None) -> list[pa.Table]:
    group = (table["key"].to_numpy() >> np.uint64(32)) * np.uint64(parts) >> np.uint64(32)
    divided = [table.filter(pa.array(group == n)) for n in range(parts)]
    if seed is None:
        return divided
    rng = np.random.default_rng(seed)
    return [part.take(pa.array(rng.permutation(part.num_rows))) for part in divided]
