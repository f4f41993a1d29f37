"""Finished token runs and blends of them, made by hand: small enough to work out what must come of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from tokenmill.manifests.manifest import Manifest, Shard
from tokenmill.tokenize.megatron_shards import MegatronShards

EOD = 0
SHA = "ab" * 32
Documents = list[list[int]]


def documents(first: int, count: int, length: int) -> Documents:
    """`count` documents of `length` tokens: one value of its own each, from `first` on, then EOD."""
    return [[first + i] * (length - 1) + [EOD] for i in range(count)]


def token_run(directory: Path, shards: dict[str, Documents], **facts: Any) -> Path:
    """A finished token run of these shards."""
    files = []
    (directory / "tokens").mkdir(parents=True)
    for name, content in shards.items():
        n = len(content)
        batch = pa.record_batch(
            {
                "id": pa.array([f"{i:032x}" for i in range(n)]),
                "source": pa.array(["made"] * n),
                "shard_name": pa.array(["s-00000"] * n),
                "row": pa.array(range(n), pa.int64()),
                "ids": pa.array(content, pa.large_list(pa.int32())),
            }
        )
        prefix = f"tokens/{name}-1a2b3c4d"
        create = lambda suffix, prefix=prefix: (directory / f"{prefix}{suffix}").open("wb")  # noqa: E731
        MegatronShards(vocabulary_size=60_000).write([batch], create)
        for suffix in MegatronShards.suffixes:
            size = (directory / f"{prefix}{suffix}").stat().st_size
            files.append(
                Shard(path=prefix + suffix, kind="tokens", rows=n, bytes=size, sha256="0", rows_hash=str(content[:1]))
            )
    told = {"tokenizer": SHA, "vocabulary_size": 60_000, "eod": EOD, "holdout": 0.1} | facts
    kept = {key: value for key, value in told.items() if value is not None}
    Manifest(
        name="tokenize", recipe="tokenize@0", parents=(), shards=tuple(files), totals={}, assets={}, facts=kept
    ).save(directory)
    return directory


def two_sources(folder: Path) -> None:
    """`web`: 4 shards of 1,000 tokens and 100 held out; `code`: 2 shards of 1,000 and 50 held out."""
    shards = {f"train-{i:05}": documents(1_000 * (i + 1), 100, 10) for i in range(4)}
    token_run(folder / "web", {**shards, "holdout-00000": documents(9_000, 10, 10)})
    shards = {f"train-{i:05}": documents(10_000 * (i + 1), 50, 20) for i in range(2)}
    token_run(folder / "code", {**shards, "holdout-00000": documents(30_000, 5, 10)})


def blend_of_two(folder: Path) -> Callable[..., Path]:
    """Writes blend.yaml over `two_sources`: 2,000 tokens, web 75% and code 25%, then half and half, but for changes."""
    two_sources(folder)

    def write(**changes: Any) -> Path:
        content = {
            "name": "small",
            "sequence_length": 10,
            "total_tokens": 2_000,
            "sources": {"web": {"manifest": "web"}, "code": {"manifest": "code/manifest.json"}},
            "phases": [
                {"name": "wide", "until": 0.6, "weights": {"web": 3, "code": 1}},
                {"name": "fine", "until": 1, "weights": {"web": 50, "code": 50}},
            ],
        }
        content |= changes
        path = folder / "blend.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}, sort_keys=False))
        return path

    return write
