"""From --against arguments to the index that a run is deduplicated against."""

from pathlib import Path

from tokenmill.core.barrier import Verdict
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.engines.plan import IndexShard
from tokenmill.jobs.console import warn
from tokenmill.jobs.places import run_at
from tokenmill.manifests.manifest import Manifest

IDENTITY_DIGITS = 12  # of a run's identity, in the names of its shards


def find_index(recipe: Recipe, runs: list[str]) -> tuple[list[IndexShard], list[str]]:
    """(the shards of each run's index, in the order given; the identities of those runs).

    Raises DataError for an index that is not as its manifest says, RecipeError for a run without one, or with one that
    a verdict with other parameters has written: its signatures would mean something else.
    """
    for step in recipe.steps:
        if runs and isinstance(step, Verdict) and step.index is None:
            warn(f"{step.name} has no index: it looks at the documents of this run alone")
    wanted = {s.name: s.index_version for s in recipe.steps if isinstance(s, Verdict) and s.index is not None}
    if runs and not wanted:
        raise RecipeError(f"{recipe.name}: none of its steps can use an index; run it without --against")
    shards: list[IndexShard] = []
    identities: list[str] = []
    for place, run in enumerate(runs):
        try:
            store = run_at(run)
        except RecipeError as error:
            raise RecipeError(f"--against {run}: no such run") from error
        manifest = Manifest.load(store)
        held = {Path(s.path).parent.name for s in manifest.of_kind("index")}
        versions = {str(step["name"]): step.get("index_version") for step in manifest.steps}
        if not held:
            raise RecipeError(f"{run}: has no index; make it again with --index")
        for name, version in wanted.items():
            if name not in held:
                raise RecipeError(f"{run}: its index has {', '.join(sorted(held))}, and nothing of {name}")
            if versions[name] != version:
                raise RecipeError(
                    f"{run}: its index was made by {name} with other parameters ({versions[name]}, this recipe's are "
                    f"{version}); give that step the same ones"
                )
        for shard in manifest.of_kind("index"):
            size = store.size(shard.path)
            if size != shard.bytes:
                found = "missing" if size is None else f"{size:,} bytes, the manifest says {shard.bytes:,}"
                raise DataError(f"{store.uri}/{shard.path}: {found}; make that run again with --index")
        if manifest.identity in identities:
            raise RecipeError(f"{run}: named twice in --against")
        identities.append(manifest.identity)
        names = sorted({Path(s.path).stem for s in manifest.of_kind("index")})
        known, priority = manifest.identity[:IDENTITY_DIGITS], place - len(runs)
        hashes = {s.path: s.sha256 for s in manifest.of_kind("index")}
        for name in names:
            of = {barrier: hashes[f"index/{barrier}/{name}.parquet"] for barrier in wanted}
            shards.append(IndexShard(name=f"{known}/{name}", run=store, shard=name, sha256=of, priority=priority))
    return shards, identities
