"""Blends small enough to see: token shards packed by hand, and the files that `tokenmill blend` writes about them."""

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tokenmill.manifests import checked_json

EOD = 0


def write_shard(prefix: Path, documents: list[list[int]]) -> Path:
    """Megatron's `.bin` and `.idx` (uint16) as megatron-core 0.16.1 lays them out."""
    lengths = [len(document) for document in documents]
    starts = [2 * sum(lengths[:i]) for i in range(len(lengths))]
    n = len(documents)
    header = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, n, n + 1)
    body = struct.pack(f"<{n}i{n}q{n + 1}q", *lengths, *starts, *range(n + 1))
    prefix.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{prefix}.idx").write_bytes(header + body)
    Path(f"{prefix}.bin").write_bytes(np.array([token for d in documents for token in d], "<u2").tobytes())
    return prefix


@dataclass(frozen=True)
class PhaseOf:
    """`train` and `valid`: weight by prefix."""

    samples: int
    train: dict[Path, float]
    valid: dict[Path, float] | None = None


def write_blend(directory: Path, *phases: PhaseOf, sequence_length: int = 8, vocabulary_size: int = 64) -> Path:
    """As `tokenmill blend` writes it, with what `tokenmill train` reads."""
    directory.mkdir(parents=True, exist_ok=True)
    told = []
    for number, phase in enumerate(phases, start=1):
        content = json.dumps({"train": _flat(phase.train), "valid": _flat(phase.valid), "test": None}).encode()
        path = directory / f"phase-{number}.json"
        path.write_bytes(content)
        told.append(
            {
                "name": f"phase {number}",
                "samples": phase.samples,
                "tokens": phase.samples * sequence_length,
                "file": path.name,
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )
    body = {
        "name": "by hand",
        "tokenizer": "0" * 64,
        "vocabulary_size": vocabulary_size,
        "eod": EOD,
        "sequence_length": sequence_length,
        "total_tokens": sum(phase.samples for phase in phases) * sequence_length,
        "seed": 7,
        "phases": told,
    }
    checked_json.save(directory / "blend.json", body)
    return directory


def _flat(weights: dict[Path, float] | None) -> list[str] | None:
    return None if weights is None else [text for p, w in weights.items() for text in (str(w), str(p))]


def counting_blend(root: Path, samples: int = 48) -> Path:
    """Two shards of training text and one held out, all counting upwards modulo 30: easily learnt. Sequences of 16."""
    documents = [[1 + (start + i) % 30 for i in range(40)] + [EOD] for start in range(30)]
    shards = root / "tokens"
    code = write_shard(shards / "code", documents[:14])
    docs = write_shard(shards / "docs", documents[14:28])
    held = write_shard(shards / "held", documents[28:])
    phase = PhaseOf(samples, {code: 0.7, docs: 0.3}, {held: 1.0})
    return write_blend(root / "blend", phase, sequence_length=16, vocabulary_size=32)
