"""Compile a blend: from weights of sources to the lists of shards that Megatron reads, one file a phase.

Writes OUT/phase-1-NAME.json ... (for --per-split-data-args-path) and, last, OUT/blend.json, which says everything:
what was requested, what Megatron's interleaving really gives, how often each source is repeated. No token moves.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.step import canonical_json
from tokenmill.manifests import checked_json
from tokenmill.manifests.blend_interleave import samples_per_shard
from tokenmill.manifests.blend_phases import MAX_PREFIXES, Phase, phases_of
from tokenmill.manifests.blend_request import BlendRequest, load_request
from tokenmill.manifests.blend_source import TokenSource, open_source
from tokenmill.manifests.megatron_index import TokenShard

FILE = "blend.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledBlend:
    """`body` is blend.json, `files` the phases' files by name."""

    body: dict[str, Any]
    files: dict[str, bytes]

    def write(self, out: Path) -> None:
        """Atomically, blend.json last. Raises RecipeError if `out` holds another blend; the same one may come again."""
        if (out / FILE).exists():
            if checked_json.load(out / FILE) != self.body:
                raise RecipeError(f"{out}: holds another blend; give another --out, or remove it")
        for name, content in self.files.items():
            checked_json.write_whole(out / name, content)
        checked_json.save(out / FILE, self.body)


def compile_blend(path: Path) -> CompiledBlend:
    """Everything that the YAML file at `path` asks for, or the reason why not.

    Raises RecipeError for a request that cannot be met, DataError for a source that contradicts its manifest.
    Cost: the headers of all shards, and the simulation of blend_interleave.
    """
    request = load_request(path)
    sources = {n: open_source(n, path.parent / s.manifest, s.identity) for n, s in request.sources.items()}
    _check_same_tokenizer(path, request, sources)
    _check_different_runs(sources)
    phases = phases_of(path, request, sources)
    held = _holdout(path, request, sources)
    files = {f"phase-{i}-{p.name}.json": _split_file(p, held) for i, p in enumerate(phases, start=1)}
    return CompiledBlend(body=_body(path, request, sources, phases, files), files=files)


def load_blend(out: Path) -> dict[str, Any]:
    """blend.json of `out`. Raises DataError if it, or the file of a phase, is absent or not as it was written."""
    body = checked_json.load(out / FILE)
    for phase in body["phases"]:
        try:
            found = hashlib.sha256((out / phase["file"]).read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"{out / phase['file']}: {error.strerror}; run `tokenmill blend` again") from error
        if found != phase["sha256"]:
            raise DataError(f"{out / phase['file']}: not as it was written; run `tokenmill blend` again")
    return body


def _check_same_tokenizer(path: Path, request: BlendRequest, sources: dict[str, TokenSource]) -> None:
    wanted, origin = None, ""
    if request.tokenizer is not None:
        origin, file = f"{path}: tokenizer {request.tokenizer}", path.parent / request.tokenizer
        if request.tokenizer.startswith("sha256:"):
            wanted = request.tokenizer.removeprefix("sha256:")
        elif file.is_file():
            wanted = hashlib.sha256(file.read_bytes()).hexdigest()
        else:
            raise RecipeError(f"{path}: tokenizer: no file {file}; give its path relative to this one, or sha256:HEX")
    for source in sources.values():
        if wanted is not None and source.tokenizer != wanted:
            raise RecipeError(
                f"source {source.name}: made with the tokenizer sha256:{source.tokenizer}, but {origin} has "
                f"sha256:{wanted}; tokenize all sources with one tokenizer"
            )
        wanted, origin = source.tokenizer, f"source {source.name}"
    if len({source.eod for source in sources.values()}) > 1:
        ends = ", ".join(f"{s.name} {s.eod}" for s in sources.values())
        raise RecipeError(f"{path}: the sources end documents with different ids ({ends}); tokenize all with one --eod")


def _check_different_runs(sources: dict[str, TokenSource]) -> None:
    seen: dict[str, str] = {}
    for source in sources.values():
        other = seen.setdefault(source.identity, source.name)
        if other != source.name:
            raise RecipeError(
                f"sources {other} and {source.name} are the same run ({source.directory}), so its documents would come "
                "twice; use one of them"
            )


def _holdout(path: Path, request: BlendRequest, sources: dict[str, TokenSource]) -> list[TokenShard]:
    """The same shards in every phase, so that validation losses compare."""
    held = [shard for source in sources.values() for shard in source.holdout]
    if request.holdout and not held:
        raise RecipeError(
            f"{path}: holdout is true, and no source holds anything out; tokenize with a larger --holdout, or say "
            "holdout: false"
        )
    if len(held) > MAX_PREFIXES:
        raise RecipeError(f"{path}: {len(held):,} hold-out shards, Megatron takes {MAX_PREFIXES:,}; hold out less")
    return [] if request.holdout is False else held


def _split_file(phase: Phase, held: list[TokenShard]) -> bytes:
    """Megatron wants all three keys; a flat list of texts: weight, prefix, weight, prefix ..."""

    def flat(pairs: list[tuple[float, str]]) -> list[str] | None:
        return [text for weight, prefix in pairs for text in (repr(float(weight)), prefix)] or None

    valid = flat([(shard.tokens, str(shard.prefix)) for shard in held])
    return (json.dumps({"train": flat(phase.prefixes()), "valid": valid, "test": None}, indent=1) + "\n").encode()


def _body(
    path: Path, request: BlendRequest, sources: dict[str, TokenSource], phases: list[Phase], files: dict[str, bytes]
) -> dict[str, Any]:
    first = next(iter(sources.values()))
    held = {n: sum(s.tokens for s in source.holdout) for n, source in sources.items()}
    body: dict[str, Any] = {
        "name": request.name,
        "tokenizer": first.tokenizer,
        "tokenizer_file": _tokenizer_file(path, request),
        "vocabulary_size": first.vocabulary_size,
        "eod": first.eod,
        "sequence_length": request.sequence_length,
        "total_tokens": request.total_tokens,
        "samples": sum(p.samples for p in phases),
        "seed": request.seed,
        "holdout_tokens": 0 if request.holdout is False else sum(held.values()),
        "sources": {
            name: {
                "directory": str(source.directory),
                "identity": source.identity,
                "tokens": source.tokens,
                "holdout_tokens": held[name],
                "max_epochs": request.sources[name].max_epochs,
                "epochs": 0.0,
            }
            for name, source in sources.items()
        },
        "phases": [],
    }
    table: dict[str, dict[str, dict[str, float]]] = {
        key: {name: {p.name: 0.0 for p in phases} for name in sources} for key in ("requested", "achieved", "epochs")
    }
    for phase, (file, content) in zip(phases, files.items(), strict=True):
        taken, simulated = samples_per_shard([weight for weight, _ in phase.prefixes()], phase.samples)
        begin, by_source = 0, {}
        for name, share in phase.shares.items():
            shards = phase.shards[name]
            samples = int(taken[begin : begin + len(shards)].sum())
            begin += len(shards)
            unique = sum(s.tokens for s in shards)
            table["requested"][name][phase.name] = share
            table["achieved"][name][phase.name] = samples / phase.samples
            table["epochs"][name][phase.name] = samples * request.sequence_length / unique
            body["sources"][name]["epochs"] += samples * request.sequence_length / sources[name].tokens
            by_source[name] = {"samples": samples, "unique_tokens": unique, "shards": [s.prefix.name for s in shards]}
        body["phases"].append(
            {
                "name": phase.name,
                "first_sample": phase.first_sample,
                "samples": phase.samples,
                "tokens": phase.samples * request.sequence_length,
                "file": file,
                "sha256": hashlib.sha256(content).hexdigest(),
                "simulated": simulated,
                "sources": by_source,
            }
        )
    return body | table | {"identity": _identity(request, sources, body)}


def _tokenizer_file(path: Path, request: BlendRequest) -> str | None:
    if request.tokenizer is None or request.tokenizer.startswith("sha256:"):
        return None
    return str((path.parent / request.tokenizer).resolve())


def _identity(request: BlendRequest, sources: dict[str, TokenSource], body: dict[str, Any]) -> str:
    """64 hex digits over what is trained on and in what order, wherever it lies."""
    wanted = request.model_dump(exclude={"sources", "tokenizer"})
    runs = {name: source.identity for name, source in sources.items()}
    shards = [phase["sources"] for phase in body["phases"]]
    return hashlib.sha256(canonical_json([wanted, runs, shards]).encode()).hexdigest()
