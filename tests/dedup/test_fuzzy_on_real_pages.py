"""On published near-duplicates: all gold pairs are found, nothing else goes, and candidates are as many as foretold."""

import gzip
import json
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from verdict_runs import run_verdict

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


def verdicts(texts: list[str], step: FuzzyDedup) -> dict[int, tuple[int, float]]:
    """Removed row -> (its keeper, the similarity that the verdict states)."""
    batch = pa.record_batch(
        {
            "id": pa.array([f"{i:032x}" for i in range(len(texts))]),
            "text": pa.array(texts, pa.large_string()),
            "priority": pa.array([0] * len(texts), pa.int32()),
            "shard": pa.array([0] * len(texts), pa.int32()),
            "row": pa.array(range(len(texts)), pa.int64()),
        }
    )
    table, counts = run_verdict(step, batch, parts=3, seed=1)
    assert counts["unverified"] == 0
    return {v["row"]: (v["keeper_row"], v["similarity"]) for v in table.to_pylist()}


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
    assert {(min(row, keeper), max(row, keeper)) for row, (keeper, _) in found.items()} == truth
    assert len(truth) == 10


def pages() -> tuple[list[str], list[tuple[int, int]]]:
    """Texts, and all pairs of versions of one page."""
    with gzip.open(DATA / "etcd_versions.jsonl.gz", "rt") as file:
        documents = [json.loads(line) for line in file]
    place = {document["id"]: i for i, document in enumerate(documents)}
    with gzip.open(DATA / "etcd_versions.pairs.jsonl.gz", "rt") as file:
        pairs = [json.loads(line) for line in file]
    return [document["text"] for document in documents], [(place[p["a"]], place[p["b"]]) for p in pairs]


def test_removed_pages_are_near_their_keeper_which_stays() -> None:
    """At the threshold or above, without exception; the stated similarity is the true one, or by signatures near it."""
    texts, _ = pages()
    step = FuzzyDedup()
    found = verdicts(texts, step)
    estimated = 0
    for row, (keeper, stated) in found.items():
        true = jaccard(texts[row], texts[keeper])
        assert true >= 0.75
        assert keeper not in found
        if stated != np.float32(true):
            estimated += 1
            assert stated >= np.float32(step.rule.surely / 112)
            assert abs(stated - true) < 4 * (true * (1 - true) / 112) ** 0.5
    assert len(found) > 200
    assert 0 < estimated < len(found)


def test_pages_that_both_stay_are_unlike_or_share_no_band() -> None:
    """Of the 1,057 pairs of versions. Where the odds of a band are 99%, no near pair is left."""
    texts, pairs = pages()
    found = verdicts(texts, FuzzyDedup())
    places, _ = signatures(pa.array(texts, pa.large_string()), 112, 5, 1)
    near = [(a, b) for a, b in pairs if a not in found and b not in found and jaccard(texts[a], texts[b]) >= 0.75]
    for a, b in near:
        assert not (places[a] == places[b]).reshape(14, 8).all(axis=1).any()
        assert jaccard(texts[a], texts[b]) < 0.87


def test_verdicts_equal_the_walk_over_all_pairs_of_pages_that_share_a_band() -> None:
    """By preference of the longer text, then the smaller id, in plain Python over the sets of all 72,010 pairs."""
    texts, _ = pages()
    places, _ = signatures(pa.array(texts, pa.large_string()), 112, 5, 1)
    sets = [shingle_set(text) for text in texts]
    kept: list[int] = []
    removed: dict[int, int] = {}
    for row in sorted(range(len(texts)), key=lambda row: (-len(texts[row]), row)):
        for other in kept:
            shared = (places[row] == places[other]).reshape(14, 8).all(axis=1).any()
            if shared and len(sets[row] & sets[other]) >= 0.75 * len(sets[row] | sets[other]):
                removed[row] = other
                break
        else:
            kept.append(row)
    assert {row: keeper for row, (keeper, _) in verdicts(texts, FuzzyDedup()).items()} == removed


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
