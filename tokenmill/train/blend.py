"""A compiled blend as training needs it: which shards, with what weights, for how many samples, phase by phase.

Read from `blend.json` and, for each phase, Megatron's per-split JSON beside it, as `manifests/blend.py` writes them.
Nothing here needs torch.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.step import canonical_json
from tokenmill.manifests.blend import FILE, load_blend
from tokenmill.manifests.megatron_index import index_of, read_index, tokens_of

READ_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """One shard's `.bin` and `.idx` without the suffix, and its weight (positive, of any sum)."""

    prefix: Path
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """`samples` sequences drawn from `train`; `valid` is the hold-out, empty where there is none."""

    name: str
    samples: int
    train: tuple[Weighted, ...]
    valid: tuple[Weighted, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """What `blend.json` promises."""

    name: str
    tokenizer: str  # sha256
    vocabulary_size: int
    eod: int
    sequence_length: int  # tokens
    total_tokens: int
    seed: int
    phases: tuple[Phase, ...]

    @property
    def samples(self) -> int:
        return sum(phase.samples for phase in self.phases)

    def shards(self) -> Iterator[Path]:
        """The prefix of every shard once, in the order of first mention."""
        entries = (entry.prefix for phase in self.phases for entry in (*phase.train, *phase.valid))
        yield from dict.fromkeys(entries)


def read_blend(directory: Path) -> Blend:
    """The blend in `directory`; a prefix that is not absolute is looked up beside the file that names it.

    Raises RecipeError if there is no blend there, DataError if what is there is not one.
    """
    path = directory / FILE
    if not path.is_file():
        raise RecipeError(f"--blend {directory}: no {FILE} there; give the --out of `tokenmill blend`")
    body = load_blend(directory)
    try:
        blend = Blend(
            name=str(body["name"]),
            tokenizer=str(body["tokenizer"]),
            vocabulary_size=int(body["vocabulary_size"]),
            eod=int(body["eod"]),
            sequence_length=int(body["sequence_length"]),
            total_tokens=int(body["total_tokens"]),
            seed=int(body["seed"]),
            phases=tuple(_phase(directory, phase) for phase in body["phases"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: {type(error).__name__} {error}; compile the blend again") from error
    if not 0 <= blend.eod < blend.vocabulary_size or blend.sequence_length < 1 or not blend.phases:
        raise DataError(
            f"{path}: eod {blend.eod}, vocabulary_size {blend.vocabulary_size}, sequence_length "
            f"{blend.sequence_length}, {len(blend.phases)} phases; want an end of document within the vocabulary, "
            "positive lengths and at least one phase; compile the blend again"
        )
    return blend


def content_of(blend: Blend) -> str:
    """32 hex digits over all that decides the samples: numbers, weights, order, and every byte of every shard.

    Where the files lie does not count. Raises DataError, naming the shard, for one that Megatron would hang on
    (no tokens), or notice too late or never (files that do not fit each other). Cost: reads the shards once.
    """
    shards = {prefix: _shard(prefix) for prefix in blend.shards()}

    def split(entries: tuple[Weighted, ...]) -> list[list[Any]]:
        return [[entry.weight, shards[entry.prefix]] for entry in entries]

    told = {
        "tokenizer": blend.tokenizer,
        "vocabulary_size": blend.vocabulary_size,
        "eod": blend.eod,
        "sequence_length": blend.sequence_length,
        "total_tokens": blend.total_tokens,
        "seed": blend.seed,
        "phases": [[phase.samples, split(phase.train), split(phase.valid)] for phase in blend.phases],
    }
    return xxhash.xxh3_128_hexdigest(canonical_json(told).encode())


def _phase(directory: Path, phase: dict[str, Any]) -> Phase:
    path = directory / phase["file"]
    splits = json.loads(path.read_bytes())
    train, valid = (_entries(path, splits, name) for name in ("train", "valid"))
    samples = int(phase["samples"])
    if samples < 1 or not train:
        raise DataError(f"{path}: {samples} samples of {len(train)} shards; want at least one of each")
    return Phase(name=str(phase["name"]), samples=samples, train=train, valid=valid)


def _entries(path: Path, splits: dict[str, Any], name: str) -> tuple[Weighted, ...]:
    """Megatron's flat list, weight before prefix. An odd one it would take for prefixes alone, without a word."""
    flat = splits.get(name) or []
    if not isinstance(flat, list) or len(flat) % 2:
        raise DataError(f"{path}: {name} must be a list of weight, prefix, weight, ...; compile the blend again")
    entries = tuple(
        Weighted(weight=float(weight), prefix=path.parent / prefix)
        for weight, prefix in zip(flat[::2], flat[1::2], strict=True)
    )
    for entry in entries:
        if not 0 < entry.weight < float("inf"):
            raise DataError(f"{path}: {name} gives {entry.prefix} the weight {entry.weight}, want a positive number")
    return entries


def _shard(prefix: Path) -> str:
    """Hash of both files, checked against each other."""
    shard = read_index(prefix).shard
    if not shard.tokens:
        raise DataError(f"{prefix}: no tokens; Megatron never returns from such a shard, compile the blend without it")
    digest = xxhash.xxh3_128()
    for path in (index_of(prefix), tokens_of(prefix)):
        with path.open("rb") as file:
            while block := file.read(READ_BYTES):
                digest.update(block)
    return digest.hexdigest()
