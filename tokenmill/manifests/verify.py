"""Re-read a finished run and hold it to its manifest: bytes, rows, fates, sums, tokens."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from tokenmill.core.errors import DataError
from tokenmill.manifests import checked_json, ledger
from tokenmill.manifests.ledger import LEDGER
from tokenmill.manifests.local_store import as_store
from tokenmill.manifests.manifest import FILE, SHARDS_FILE, Manifest, Shard
from tokenmill.manifests.megatron_index import check_token_shard
from tokenmill.manifests.rows_hash import RowsHash
from tokenmill.manifests.store import Store
from tokenmill.manifests.totals import Totals

PROVENANCE = "provenance.json"
OUTPUTS = (
    "documents",
    "dropped",
    "measures",
    "ledger",
    "tokens",
    "assets",
    "spans",
    "index",
)  # folders whose every file must be known
BLOCK = 1 << 20


@dataclass(slots=True)
class Verification:
    """What was found. `problems` name a file each; an empty list means that the run is what it claims to be."""

    identity: str = ""
    problems: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(run: Path | Store, share: float = 1.0) -> Verification:
    """Check every file's presence, size and totals, and re-read `share` (0..1) of them byte by byte.

    Which files are re-read follows from their names, so that a sample is the same each time. Reads at about the
    speed of sha256; memory: one row group.
    """
    found = Verification()
    store = as_store(run)
    try:
        manifest = Manifest.load(store)
        found.identity = manifest.identity
        checked_json.load_from(store, PROVENANCE)
    except DataError as error:
        found.problems.append(str(error))
        if not found.identity:
            return found
    for shard in manifest.shards:
        found.files += 1
        found.bytes += shard.bytes
        found.problems += _check_file(store, shard, _sampled(shard.path, share))
    found.problems += _strangers(store, manifest)
    if found.ok:  # the books of files that are not as they were written would only repeat that
        found.problems += _check_books(store, manifest)
        found.problems += _check_tokens(store, manifest)
    return found


def _check_file(store: Store, shard: Shard, reread: bool) -> list[str]:
    size = store.size(shard.path)
    if size is None:
        return [f"{shard.path}: missing"]
    if size != shard.bytes:
        return [f"{shard.path}: {size:,} bytes, the manifest says {shard.bytes:,}"]
    if not reread:
        return []
    path = store.path(shard.path)
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
            return [f"{shard.path}: changed since it was written (sha256 differs)"]
    rows, rows_hash = (
        _rows(path) if path.suffix == ".parquet" and shard.kind != "tokens" else (shard.rows, _bytes_hash(path))
    )
    if (rows, rows_hash) != (shard.rows, shard.rows_hash):
        said = f"the manifest says {shard.rows:,} and {shard.rows_hash}"
        return [f"{shard.path}: holds {rows:,} rows hashing to {rows_hash}, {said}"]
    return []


def _rows(path: Path) -> tuple[int, str]:
    with pq.ParquetFile(path) as file:
        digest = RowsHash(file.schema_arrow)
        for batch in file.iter_batches():
            digest.update(batch)
        return digest.rows, digest.hexdigest()


def _bytes_hash(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _strangers(store: Store, manifest: Manifest) -> list[str]:
    """Files in the run's folders that the manifest does not know: they would be read by whoever globs."""
    known = {s.path for s in manifest.shards} | {FILE, SHARDS_FILE, PROVENANCE}
    present = sorted(name for folder in OUTPUTS for name in store.names(folder))
    return [f"{name}: not in the manifest" for name in present if name not in known]


def _check_books(store: Store, manifest: Manifest) -> list[str]:
    """One ledger row per address, one fate each; kept and left documents are where the ledger says; sums agree."""
    problems: list[str] = []
    totals = Totals()
    for shard in manifest.of_kind("ledger"):
        rows = pq.read_table(store.path(shard.path))
        if rows.schema.names != LEDGER.names:
            problems.append(f"{shard.path}: columns {rows.schema.names}, want {LEDGER.names}")
            continue
        if not np.array_equal(rows["row"].to_numpy(), np.arange(rows.num_rows)):
            problems.append(f"{shard.path}: rows are not 0..{rows.num_rows - 1}, each once")
        problems += _check_kept(store, manifest, shard, rows)
        totals.add(Totals.of(rows))
    totals.records.update(manifest.totals["records"])
    if (counted := totals.as_json()) != manifest.totals:
        wrong = {k: (v, manifest.totals.get(k)) for k, v in counted.items() if v != manifest.totals.get(k)}
        problems.append(f"{FILE}: totals differ from the ledger (ledger, manifest): {wrong}")
    try:
        totals.check_balance()
    except DataError as error:
        problems.append(f"ledger: {error}")
    dropped = sum(s.rows for s in manifest.of_kind("dropped"))
    left = totals.dropped.total() + totals.duplicates.total() + totals.errors.total()
    if dropped and dropped != left:
        problems.append(f"dropped: {dropped:,} documents, the ledger says {left:,}")
    return problems


def _check_kept(store: Store, manifest: Manifest, shard: Shard, rows: pa.Table) -> list[str]:
    """The kept documents of a shard stand in its file in the ledger's order; regrouped ones are counted together."""
    path = shard.path.replace("ledger/", "documents/", 1)
    if path not in {s.path for s in manifest.shards}:
        return []
    expected = rows.filter(pa.compute.equal(rows["fate"], ledger.KEPT))["id"].to_pylist()
    if pq.read_table(store.path(path), columns=["id"])["id"].to_pylist() != expected:
        return [f"{path}: not the {len(expected):,} documents that {shard.path} says were kept"]
    return []


def _check_tokens(store: Store, manifest: Manifest) -> list[str]:
    problems: list[str] = []
    total = 0
    eod = manifest.facts.get("eod")
    for name in _token_prefixes(manifest):
        prefix = store.path(f"{name}.idx").with_suffix("")
        for suffix in (".bin", ".map.parquet"):
            store.path(f"{name}{suffix}")  # beside it
        problems += [p if str(p).startswith("tokens/") else f"{name}: {p}" for p in check_token_shard(prefix, eod)]
        if not problems:
            total += pa.compute.sum(pq.read_table(f"{prefix}.map.parquet", columns=["length"])["length"]).as_py() or 0
    if not problems and total != manifest.totals["tokens"]:
        problems.append(f"tokens: the shards hold {total:,}, the ledger says {manifest.totals['tokens']:,}")
    return problems


def _token_prefixes(manifest: Manifest) -> Iterator[str]:
    for shard in manifest.of_kind("tokens"):
        if shard.path.endswith(".idx"):
            yield shard.path.removesuffix(".idx")


def _sampled(path: str, share: float) -> bool:
    return xxhash.xxh3_64_intdigest(path.encode()) < share * 2**64
