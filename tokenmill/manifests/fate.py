"""Look one document up in a run's books."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tokenmill.core.errors import DataError
from tokenmill.manifests.ledger import DUPLICATE
from tokenmill.manifests.local_store import as_store
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.store import Store


@dataclass(frozen=True, slots=True)
class Fate:
    """One ledger row, the measures of the same document where there are any, and what was cut out of its text."""

    row: dict[str, Any]
    measures: dict[str, Any]
    spans: list[dict[str, Any]]  # SPAN_EVIDENCE, and the `stage` that cut it, in the order of cutting


def fates_of(run: Path | Store, id_: str) -> list[Fate]:
    """Every document with this id, or whose id begins with it, in order of address: exact copies share an id.

    Scans the ledger's `id` column: about 100 million rows a minute.
    """
    store = as_store(run)
    manifest = Manifest.load(store)
    measured = {s.path for s in manifest.of_kind("measures")}
    found: list[Fate] = []
    for shard in manifest.of_kind("ledger"):
        path = store.path(shard.path)
        places = pc.indices_nonzero(pc.starts_with(pq.read_table(path, columns=["id"])["id"], id_))
        if not len(places):
            continue
        rows = pq.read_table(path).take(places).to_pylist()
        beside = shard.path.replace("ledger/", "measures/", 1)
        values = pq.read_table(store.path(beside)).take(places).to_pylist() if beside in measured else [{}] * len(rows)
        cut = _spans(store, manifest, Path(shard.path).stem, {row["row"] for row in rows})
        found += [
            Fate(
                row,
                {k: v for k, v in m.items() if k not in {"id", "row"} and v is not None},
                [span for span in cut if span["row"] == row["row"]],
            )
            for row, m in zip(rows, values, strict=True)
        ]
    return found


def chain_of(run: Path | Store, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The ledger rows of a duplicate's keeper, of that one's keeper, and so on to one that is none, or of another run.

    A keeper may leave at a later step, for another: what stays in the end is the last of these.
    """
    store = as_store(run)
    found: list[dict[str, Any]] = []
    while row["fate"] == DUPLICATE and row["keeper_shard"] is not None:
        name = f"ledger/{row['keeper_shard']}.parquet"
        if not store.exists(name):  # of an index
            break
        path = store.path(name)
        at = row["keeper_row"]
        rows = pq.read_table(path, filters=[("row", "=", at)]).to_pylist()
        if not rows:
            raise DataError(f"{path}: has no row {at}, which the ledger names as a keeper; verify the run")
        row = rows[0]
        found.append(row)
    return found


def _spans(store: Store, manifest: Manifest, shard: str, rows: set[int]) -> list[dict[str, Any]]:
    """What was cut out of some documents of a shard, step after step as the recipe has them."""
    found: list[dict[str, Any]] = []
    held = {s.path for s in manifest.of_kind("spans")}
    for step in manifest.steps:
        path = f"spans/{shard}.{step['name']}.parquet"
        if path in held:
            table = pq.read_table(store.path(path))
            some = table.filter(pc.is_in(table["row"], pa.array(sorted(rows), pa.int64())))
            found += [span | {"stage": step["name"]} for span in some.to_pylist()]
    return found
