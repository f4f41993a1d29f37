"""What a run will do, settled before anything runs: which shards, which segments, from which files."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenmill.core.errors import RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.core.source import Open, Source, Split
from tokenmill.core.step import canonical_json
from tokenmill.manifests.store import Store

MAX_SHARDS = 1 << 22  # of the sources and of the index, as an address (engines/address.py) has room for them


@dataclass(frozen=True, slots=True, kw_only=True)
class InputShard:
    """One split of one source. Its name and index depend on the input alone."""

    index: int
    name: str
    source: Source
    split: Split

    def fingerprint(self) -> str:
        """Changes when the file behind the shard does (by size and time of change) or when its range is moved."""
        file = self.split.file
        facts = [self.name, file.name, file.size, file.modified_ns, self.split.start, self.split.stop]
        return hashlib.sha256(canonical_json(facts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexShard:
    """What an earlier run knows of the documents of one of its shards: this run is deduplicated against them."""

    name: str  # IDENTITY/SHARD, the identity shortened
    run: Store
    shard: str
    sha256: Mapping[str, str]  # of its files, by barrier
    priority: int  # of its documents beside those of the sources: below zero, rising from run to run

    def file(self, barrier: str) -> str:
        """Its name in the run's store."""
        return f"index/{barrier}/{self.shard}.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A recipe, its sources, and the shards they were cut into.

    A shard is known by its number: 0 and up are of the sources, -1 and down of the index.
    """

    recipe: Recipe
    sources: tuple[Source, ...]
    shards: tuple[InputShard, ...]
    parents: tuple[str, ...] = ()  # identities of the runs among the sources, then of those in the index
    index: tuple[IndexShard, ...] = ()
    overrides: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(s.split.bytes for s in self.shards)

    def index_shard(self, number: int) -> IndexShard:
        return self.index[-1 - number]

    def shard_name(self, number: int) -> str:
        return self.shards[number].name if number >= 0 else self.index_shard(number).name

    def request(self) -> dict[str, Any]:
        """What a directory must hold for the same command to go on in it."""
        return {
            "recipe": f"{self.recipe.name}@{self.recipe.version}",
            "parents": list(self.parents),
            "sources": [
                {
                    "name": s.name,
                    "priority": s.priority,
                    "licence": s.licence,
                    "date": s.date,
                    "files": [[f.name, f.size] for f in s.files],
                }
                for s in self.sources
            ],
        }


def make_plan(
    recipe: Recipe,
    sources: Sequence[Source],
    open_file: Open,
    *,
    parents: Sequence[str] = (),
    index: Sequence[IndexShard] = (),
    overrides: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
) -> Plan:
    """Check the recipe and its assets, and cut the sources into shards. Nothing is written.

    Raises RecipeError for a recipe that cannot run, DataError for a file that can never be read.
    """
    recipe.check()
    for step in recipe.all_steps():
        for asset in step.assets():
            asset.path()
    names = [s.name for s in sources]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"two sources are called {name}; name them apart: --source NAME=PATH")
    shards: list[InputShard] = []
    for source in sources:
        for number, split in enumerate(source.splits(open_file)):
            shards.append(InputShard(index=len(shards), name=f"{source.name}-{number:05d}", source=source, split=split))
    if len(shards) + len(index) > MAX_SHARDS:
        raise RecipeError(
            f"{len(shards):,} shards, and {len(index):,} of the index: an address has room for {MAX_SHARDS:,}; "
            "make several runs, each --against those before it"
        )
    if not shards:
        raise RecipeError(f"{', '.join(names) or 'no source'}: nothing to read; give files that hold records")
    return Plan(
        recipe=recipe,
        sources=tuple(sources),
        shards=tuple(shards),
        parents=tuple(parents),
        index=tuple(index),
        overrides=tuple(overrides),
        facts=dict(facts or {}),
    )
