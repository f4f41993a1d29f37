"""Real documents with planted copies, the true similarity of all pairs of them, and what follows for who is kept.

Nothing here hashes by MinHash or bands: it is the ground that near-duplicate removal is measured against. Everything
is drawn from a seed, so that a figure can be had again.
"""

import gzip
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from tokenmill.kernels.minhash import Unit
from tokenmill.kernels.minhash_characters_reference import characters_of
from tokenmill.kernels.minhash_shingles_reference import words_of
from tokenmill.kernels.shingle_sets import shingle_sets

Floats = npt.NDArray[np.float64]
WORDS = range(50, 1001)  # of a document that takes part: shorter ones have few shingles, longer ones cost peers hours
SITES = 20  # whose boilerplate wraps copies
_WORD = re.compile(r"\s*\S+\s*")  # with the space around it, so that text is only changed where it is meant to be


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An original, or a copy of document `of` by an edit of `kind`, some `share` of its words strong."""

    text: str
    kind: str = "original"
    share: float = 0.0
    of: int


def real_documents(data: Path) -> list[str]:
    """Web text, code, documentation in many languages and news, each text once, in a fixed order."""
    found: dict[str, None] = {}
    for text in _texts(data):
        if text and len(text.split()) in WORDS:
            found[text] = None
    return list(found)


def invented_documents(n: int, seed: int = 1) -> list[str]:
    """Some hundred random words each, for where there are no real ones."""
    rng = random.Random(seed)
    words = [f"word{i}" for i in range(5000)]
    return [" ".join(rng.choices(words, k=rng.randrange(50, 250))) for _ in range(n)]


def _texts(data: Path) -> Iterator[str | None]:
    for path in sorted((data / "webtext").iterdir()):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            yield from table["text" if "text" in table.column_names else "contents"].to_pylist()
        else:
            with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
                yield from (json.loads(line)["text"] for line in lines)
    for name in ("code/code_docs", "multilingual/tf_docs", "multilingual/labelled_docs"):
        yield from pq.read_table(data / f"{name}.parquet", columns=["text"])["text"].to_pylist()
    with (data / "neardup/minhash_articles.txt").open(encoding="utf-8") as lines:
        yield from (line.rstrip("\n").split(" ", 1)[1] for line in lines)


Edit = Callable[[list[str], float, random.Random, list[list[str]]], list[str]]  # words, share, chance, other documents


def _run_of_others(n: int, rng: random.Random, others: list[list[str]]) -> list[str]:
    found: list[str] = []
    while len(found) < n:
        words = rng.choice(others)
        start = rng.randrange(len(words))
        found += words[start : start + n - len(found)]
    return found


def _scattered(words: list[str], share: float, rng: random.Random, others: list[list[str]]) -> list[str]:
    return [rng.choice(rng.choice(others)) if rng.random() < share else word for word in words]


def _rewritten(words: list[str], share: float, rng: random.Random, others: list[list[str]]) -> list[str]:
    n = max(1, round(share * len(words)))
    start = rng.randrange(len(words) - n + 1)
    return words[:start] + _run_of_others(n, rng, others) + words[start + n :]


def _inserted(words: list[str], share: float, rng: random.Random, others: list[list[str]]) -> list[str]:
    start = rng.randrange(len(words) + 1)
    return words[:start] + _run_of_others(max(1, round(share * len(words))), rng, others) + words[start:]


def _truncated(words: list[str], share: float, rng: random.Random, others: list[list[str]]) -> list[str]:
    n = max(1, round(share * len(words)))
    return words[n:] if rng.random() < 0.5 else words[:-n]


def _reordered(words: list[str], share: float, rng: random.Random, others: list[list[str]]) -> list[str]:
    """Cut in two parts or more, one more for each ten words of the share."""
    cuts = sorted(rng.sample(range(1, len(words)), 1 + round(share * len(words) / 10)))
    parts = [words[a:b] for a, b in zip([0, *cuts], [*cuts, len(words)], strict=True)]
    rng.shuffle(parts)
    return [word for part in parts for word in part]


def _wrapped(words: list[str], share: float, rng: random.Random, others: list[list[str]]) -> list[str]:
    """Between the head and the foot of one of a few sites, the same words for all copies of that site."""
    site = random.Random(rng.randrange(SITES))
    n = max(2, round(share * len(words)))
    head, foot = _run_of_others(5000, site, others), _run_of_others(5000, site, others)
    return head[: n // 2] + words + foot[: n - n // 2]


EDITS: dict[str, Edit] = {
    "words changed here and there": _scattered,
    "one run of words changed": _rewritten,
    "a run inserted": _inserted,
    "truncated": _truncated,
    "parts reordered": _reordered,
    "wrapped in boilerplate": _wrapped,
}


def with_copies(texts: Sequence[str], copies: int, seed: int = 1) -> list[Document]:
    """The documents, then `copies` of each: the kinds of edit in turns, each of 1 to 30% of the words."""
    documents = [Document(text=text, of=i) for i, text in enumerate(texts)]
    others = [_WORD.findall(text) for text in texts]
    rng = random.Random(seed)
    kinds = list(EDITS)
    for i in range(len(texts)):
        for copy in range(copies):
            kind = kinds[(i * copies + copy) % len(kinds)]
            share = rng.uniform(0.01, 0.30)
            text = "".join(EDITS[kind](others[i], share, rng, others))
            documents.append(Document(text=text, kind=kind, share=share, of=i))
    return documents


def batch_of(texts: Sequence[str], seed: int = 1) -> pa.RecordBatch:
    """Text i as row i of shard 0, with a random id and a source of priority 0 or 1."""
    rng = random.Random(seed)
    return pa.record_batch(
        {
            "id": pa.array([f"{rng.getrandbits(128):032x}" for _ in texts], pa.string()),
            "text": pa.array(texts, pa.large_string()),
            "priority": pa.array([rng.randrange(2) for _ in texts], pa.int32()),
            "shard": pa.array([0] * len(texts), pa.int32()),
            "row": pa.array(range(len(texts)), pa.int64()),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pairs of rows, one[k] < two[k], and their similarity."""

    one: npt.NDArray[np.int64]
    two: npt.NDArray[np.int64]
    jaccard: Floats


def all_pairs(texts: Sequence[str], at_least: float, length: int = 5, unit: Unit = "words") -> Pairs:
    """Every pair whose sets of shingles have a Jaccard similarity of `at_least` > 0, by counting what they all share.

    No sampling and no sketch. Cost: as many steps as there are pairs of documents with a shingle in common, for each.
    """
    values, offsets = shingle_sets(pa.array(texts, pa.large_string()), length, unit)
    order = np.argsort(values, kind="stable")  # so that the documents of a shingle ascend
    ordered = values[order]
    first = np.flatnonzero(np.concatenate((np.ones(min(1, len(ordered)), np.bool_), ordered[1:] != ordered[:-1])))
    starts = np.append(first, len(values))
    shingle = np.empty(len(values), np.int64)
    shingle[order] = np.repeat(np.arange(len(first)), np.diff(starts))
    documents = np.repeat(np.arange(len(texts), dtype=np.int32), np.diff(offsets))[order]
    found = _count_shared(shingle, offsets, documents, starts, at_least)
    return Pairs(one=np.array(found[0], np.int64), two=np.array(found[1], np.int64), jaccard=np.array(found[2]))


@njit
def _count_shared(shingle: Any, offsets: Any, documents: Any, starts: Any, at_least: Any) -> Any:
    n = len(offsets) - 1
    shared, met = np.zeros(n, np.int64), np.empty(n, np.int64)
    one, two, jaccard = [np.int64(0) for _ in range(0)], [np.int64(0) for _ in range(0)], [0.0 for _ in range(0)]
    for i in range(n):
        others = 0
        for k in range(offsets[i], offsets[i + 1]):
            for place in range(starts[shingle[k]], starts[shingle[k] + 1]):
                j = documents[place]
                if j >= i:
                    break
                if shared[j] == 0:
                    met[others] = j
                    others += 1
                shared[j] += 1
        for j in met[:others]:
            both = offsets[i + 1] - offsets[i] + offsets[j + 1] - offsets[j]
            similarity = shared[j] / (both - shared[j])
            if similarity >= at_least:
                one.append(j)
                two.append(i)
                jaccard.append(similarity)
            shared[j] = 0
    return one, two, jaccard


def jaccard_of(one: str, two: str, length: int = 5, unit: Unit = "words") -> float:
    """By plain sets of strings and of nothing hashed."""
    a, b = _shingles(one, length, unit), _shingles(two, length, unit)
    return len(a & b) / len(a | b) if a | b else 0.0


@lru_cache(1000)
def _shingles(text: str, length: int, unit: Unit) -> set[str]:
    """Words have no space in them, so a shingle of them joined by spaces is one string and no other's."""
    if unit == "words":
        words = words_of(text)
        return {" ".join(words[i : i + length]) for i in range(len(words) - length + 1)}
    characters = characters_of(text)
    return {characters[i : i + length] for i in range(len(characters) - length + 1)}


def neighbours_of(pairs: Pairs) -> defaultdict[int, dict[int, float]]:
    """Row -> the rows that it is paired with, and how similar."""
    found: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for one, two, similarity in zip(pairs.one.tolist(), pairs.two.tolist(), pairs.jaccard.tolist(), strict=True):
        found[one][two] = found[two][one] = similarity
    return found


def walked(batch: pa.RecordBatch, pairs: Pairs) -> dict[int, int]:
    """Removed row -> its keeper, as defined: who is paired with a more preferred document that is kept, is removed for
    the most preferred of those. Preference: priority, then the longer text, then the id."""
    priorities, ids = batch["priority"].to_pylist(), batch["id"].to_pylist()
    lengths = [len(text) for text in batch["text"].to_pylist()]
    order = sorted(range(batch.num_rows), key=lambda row: (priorities[row], -lengths[row], ids[row]))
    rank = {row: place for place, row in enumerate(order)}
    paired = neighbours_of(pairs)
    removed: dict[int, int] = {}
    for row in order:
        kept = [rank[other] for other in paired[row] if rank[other] < rank[row] and other not in removed]
        if kept:
            removed[row] = order[min(kept)]
    return removed


def chosen(pairs: Pairs, some: npt.NDArray[np.bool_]) -> Pairs:
    return Pairs(one=pairs.one[some], two=pairs.two[some], jaccard=pairs.jaccard[some])


def share_a_band(places: npt.NDArray[np.uint32], pairs: Pairs, bands: int) -> npt.NDArray[np.bool_]:
    """Whether all hashes of some band are equal, for each pair of rows of `places`, [n, hashes]."""
    equal = [
        (places[pairs.one[at : at + 10_000]] == places[pairs.two[at : at + 10_000]])
        .reshape(-1, bands, places.shape[1] // bands).all(axis=2).any(axis=1)
        for at in range(0, len(pairs.one), 10_000)
    ]  # fmt: skip
    return np.concatenate([np.zeros(0, np.bool_), *equal])


def odds_of_a_band(jaccard: Floats, bands: int, rows: int) -> Floats:
    """Leskovec et al., Mining of Massive Datasets, 3.4."""
    return 1 - (1 - jaccard**rows) ** bands


def synthetic_pairs(
    n: int, low: float, high: float, seed: int, units: int = 400, unit: Unit = "words", length: int = 5
) -> tuple[pa.LargeStringArray, Pairs]:
    """(A text and its copy by turns, 2 * n; the pairs, evenly similar from `low` to below `high`).

    Random words of seven letters, or random letters, of which the last ones are exchanged: of m shingles each, c are in
    one alone, a similarity of (m - c) / (m + c) by construction. c is whole.
    """
    rng = np.random.default_rng(seed)
    shingles = units - length + 1
    exchanged = np.arange(shingles + 1)
    similarity = (shingles - exchanged) / (shingles + exchanged)
    possible = np.flatnonzero((similarity >= low) & (similarity < high))
    wanted = rng.uniform(similarity[possible].min(), similarity[possible].max(), n)
    nearest = np.abs(similarity[possible][None, :] - wanted[:, None]).argmin(axis=1)
    letters = rng.integers(97, 123, (n, 2, units, 8 if unit == "words" else 1), np.uint8)
    if unit == "words":
        letters[..., 7] = 32
    stays = np.arange(units)[None, :] < units - possible[nearest][:, None]
    letters[:, 1][stays] = letters[:, 0][stays]
    offsets = np.arange(2 * n + 1, dtype=np.int64) * (letters.size // (2 * n))
    texts = pa.LargeStringArray.from_buffers(2 * n, pa.py_buffer(offsets), pa.py_buffer(letters))
    one = np.arange(0, 2 * n, 2)
    return texts, Pairs(one=one, two=one + 1, jaccard=similarity[possible][nearest])
