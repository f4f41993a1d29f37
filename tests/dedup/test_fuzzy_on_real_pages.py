"""On published near-duplicates: all gold pairs are found, and candidates appear as often as the formula says."""

import gzip
import json
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from tokenmill.core.barrier import ADDRESS
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.kernels.minhash import signatures
from tokenmill.kernels.minhash_shingles_reference import words_of

Floats = npt.NDArray[np.float64]
DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "neardup"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"no near-duplicate sets at {DATA}")


def shingle_set(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def jaccard(a: str, b: str) -> float:
    one, two = shingle_set(a), shingle_set(b)
    return len(one & two) / len(one | two) if one | two else 0.0


def verdicts(texts: list[str], step: FuzzyDedup) -> dict[int, int]:
    ids = pa.array([f"{i:032x}" for i in range(len(texts))])
    batch = pa.record_batch(
        [ids, pa.array(texts, pa.large_string()), pa.array([0] * len(texts), pa.int32())], schema=step.reads
    )
    rows = pa.Table.from_batches([step.emit(batch)])
    for field, values in zip(ADDRESS, (np.zeros(len(texts)), np.arange(len(texts))), strict=True):
        rows = rows.append_column(field, pa.array(values).cast(field.type))
    table, _ = step.decide(rows)
    return dict(zip(table["row"].to_pylist(), table["keeper_row"].to_pylist(), strict=True))


def articles() -> tuple[list[str], set[tuple[int, int]]]:
    lines = (DATA / "minhash_articles.txt").read_text().splitlines()
    names = [line.split(" ", 1)[0] for line in lines]
    truth = {
        (min(pair), max(pair))
        for line in (DATA / "minhash_articles.truth").read_text().splitlines()
        for pair in [[names.index(name) for name in line.split()]]
    }
    return [line.split(" ", 1)[1] for line in lines], truth


def test_exactly_the_plagiarised_articles_are_found() -> None:
    texts, truth = articles()
    found = verdicts(texts, FuzzyDedup())
    assert {(min(pair), max(pair)) for pair in found.items()} == truth
    assert len(truth) == 10


def pages() -> tuple[list[str], list[tuple[int, int]]]:
    """Texts, and all pairs of versions of one page."""
    with gzip.open(DATA / "etcd_versions.jsonl.gz", "rt") as file:
        documents = [json.loads(line) for line in file]
    place = {document["id"]: i for i, document in enumerate(documents)}
    with gzip.open(DATA / "etcd_versions.pairs.jsonl.gz", "rt") as file:
        pairs = [json.loads(line) for line in file]
    return [document["text"] for document in documents], [(place[p["a"]], place[p["b"]]) for p in pairs]


def test_removed_pages_are_near_their_keeper_and_no_near_pair_is_kept() -> None:
    """By exact similarity, three standard errors (.12) off the threshold of .75, where the odds of a band are 99%."""
    texts, pairs = pages()
    found = verdicts(texts, FuzzyDedup())
    assert min(jaccard(texts[row], texts[keeper]) for row, keeper in found.items()) > 0.75 - 0.12
    kept_pairs = [(a, b) for a, b in pairs if a not in found and b not in found]
    assert max(jaccard(texts[a], texts[b]) for a, b in kept_pairs) < 0.75 + 0.12
    assert len(found) > 200


FAMILIES = 40


@cache
def measured() -> tuple[Floats, Floats, Floats]:
    """Per pair: the exact similarity; by each family of hash functions an estimate, and whether a band is shared."""
    texts, pairs = pages()
    exact = np.array([jaccard(texts[a], texts[b]) for a, b in pairs])
    one, two = np.array(pairs).T
    array = pa.array(texts, pa.large_string())
    estimates, candidates = np.zeros((FAMILIES, len(pairs))), np.zeros((FAMILIES, len(pairs)))
    for seed in range(FAMILIES):
        places, _ = signatures(array, 112, 5, seed)
        equal = (places[one] == places[two]).reshape(len(pairs), 14, 8)
        estimates[seed], candidates[seed] = equal.mean(axis=(1, 2)), equal.all(axis=2).any(axis=1)
    return exact, estimates, candidates


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.4), (0.4, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.0)])
def test_candidates_appear_as_often_as_the_formula_says(low: float, high: float) -> None:
    """On average over 40 families, within five standard errors of it; estimates likewise around the exact values."""
    exact, estimates, candidates = measured()
    some = (exact >= low) & (exact < high)
    assert some.sum() > 20
    odds = 1 - (1 - exact[some] ** 8) ** 14
    for found, want in ((estimates[:, some], exact[some]), (candidates[:, some], odds)):
        per_family = found.mean(axis=1)  # pairs share documents: only families are independent draws
        standard_error = per_family.std(ddof=1) / np.sqrt(FAMILIES)
        assert abs(per_family.mean() - want.mean()) < 5 * standard_error + 1e-3
