"""The manifest: the only proof that a run's data exists. Written last, atomically, never rewritten."""

import hashlib
import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tokenmill.core.errors import DataError
from tokenmill.core.step import canonical_json
from tokenmill.manifests import checked_json
from tokenmill.manifests.local_store import as_store
from tokenmill.manifests.store import Store

FILE = "manifest.json"
SHARDS_FILE = "shards.parquet"
INLINE_SHARDS = 10_000  # beyond this many files, the list goes into SHARDS_FILE: JSON would be slow to load


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file of the run. `rows_hash` is of what it holds, `sha256` of its bytes."""

    path: str  # relative to the manifest, "/" between parts
    kind: str  # documents, dropped, measures, ledger, or a format's folder
    rows: int
    bytes: int
    sha256: str
    rows_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was made, from what, by which recipe. Nothing in it says where, when or on what machine."""

    name: str
    recipe: str  # name@version
    parents: tuple[str, ...]  # identities of the runs that were its sources
    shards: tuple[Shard, ...]  # by path
    totals: dict[str, Any]
    assets: dict[str, dict[str, str]]  # name -> {uri, sha256}
    sources: tuple[dict[str, Any], ...] = ()  # name, licence, date, priority
    steps: tuple[dict[str, Any], ...] = ()  # name, version, parameters, in order
    overrides: tuple[str, ...] = ()  # the --set arguments, so that the recipe can be built again
    facts: dict[str, Any] = field(default_factory=dict)  # what a recipe wants its readers to know

    @property
    def identity(self) -> str:
        """64 hex digits over recipe, parents and rows: equal for equal results, on any engine and machine."""
        rows = [(s.path, s.rows_hash) for s in self.shards]
        return hashlib.sha256(canonical_json([self.recipe, list(self.parents), rows]).encode()).hexdigest()

    def of_kind(self, kind: str) -> list[Shard]:
        return [s for s in self.shards if s.kind == kind]

    def save(self, run: Path | Store) -> None:
        """Write manifest.json, the last act of a run."""
        store = as_store(run)
        body = asdict(self) | {"identity": self.identity}
        if len(self.shards) > INLINE_SHARDS:
            buffer = io.BytesIO()
            pq.write_table(pa.Table.from_pylist([asdict(s) for s in self.shards]), buffer)
            store.write(SHARDS_FILE, buffer.getvalue())
            body["shards"] = {"path": SHARDS_FILE, "sha256": hashlib.sha256(buffer.getvalue()).hexdigest()}
        checked_json.save_in(store, FILE, body)

    @classmethod
    def load(cls, run: Path | Store) -> "Manifest":
        """Of a run, or from its manifest.json. Raises DataError if it is absent, changed or inconsistent."""
        store = as_store(run.parent if isinstance(run, Path) and run.name == FILE else run)
        file = f"{store.uri}/{FILE}"
        body = checked_json.load_from(store, FILE)
        try:
            identity, shards = body.pop("identity"), body.pop("shards")
            if isinstance(shards, dict):
                shards = _listed(store, shards["path"], shards["sha256"])
            manifest = cls(
                shards=tuple(Shard(**s) for s in shards),
                parents=tuple(body.pop("parents")),
                sources=tuple(body.pop("sources")),
                steps=tuple(body.pop("steps")),
                overrides=tuple(body.pop("overrides")),
                **body,
            )
        except (TypeError, KeyError) as error:
            raise DataError(
                f"{file}: not a manifest of this version ({error}); re-run the command that made it"
            ) from error
        if manifest.identity != identity:
            raise DataError(
                f"{file}: says identity {identity}, its content gives {manifest.identity}; "
                "re-run the command that made it"
            )
        return manifest


def _listed(store: Store, name: str, sha256: str) -> list[dict[str, Any]]:
    where = f"{store.uri}/{name}"
    try:
        content = store.read(name)
    except OSError as error:
        raise DataError(f"{where}: cannot be read ({error.strerror}); re-run the command that made it") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{where}: not as it was written; re-run the command that made it")
    return pq.read_table(pa.BufferReader(content)).to_pylist()  # type: ignore[no-any-return]
