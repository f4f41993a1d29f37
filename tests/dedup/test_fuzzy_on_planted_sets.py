"""Over documents with planted copies, all pairs of which are known: no verdict is wrong, and what is missed is chance.

benchmarks/dedup_quality.py says the same of ten times as many, beside other tools.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from dedup.planted import (
    EDITS,
    Pairs,
    all_pairs,
    batch_of,
    chosen,
    invented_documents,
    jaccard_of,
    odds_of_a_band,
    real_documents,
    share_a_band,
    synthetic_pairs,
    walked,
    with_copies,
)
from verdict_runs import run_verdict

from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.kernels.minhash import signatures

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
STEPS = {
    "words": FuzzyDedup(),
    "characters": FuzzyDedup(unit="characters", shingle_length=24, bands=20, rows_per_band=13, threshold=0.8),
}
SETS = pytest.mark.parametrize(
    "name",
    [
        "invented",
        pytest.param("real", marks=pytest.mark.skipif(not DATA.exists(), reason=f"no real documents at {DATA}")),
    ],
)
UNITS = pytest.mark.parametrize("unit", list(STEPS))


@cache
def texts_of(name: str) -> list[str]:
    originals = invented_documents(600) if name == "invented" else real_documents(DATA)[::8]
    return [document.text for document in with_copies(originals, 2)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a step made of a set, and what is true of it."""

    keepers: dict[int, int]
    stated: dict[int, float]  # similarity of a removed row to its keeper, by its verdict
    true: dict[int, float]  # and by plain sets
    near: Pairs  # all at the threshold or above
    together: np.ndarray  # whether they share a band


@cache
def known(name: str, unit: str) -> Known:
    step, texts = STEPS[unit], texts_of(name)
    batch = batch_of(texts)
    table, counts = run_verdict(step, batch, parts=2, seed=1)
    assert counts["unverified"] == 0
    rows = table["row"].to_pylist()
    near = all_pairs(texts, step.threshold, step.shingle_length, step.unit)
    places, _ = signatures(batch["text"], step.hashes, step.shingle_length, step.seed, step.unit)
    keepers = dict(zip(rows, table["keeper_row"].to_pylist(), strict=True))
    return Known(
        keepers=keepers,
        stated=dict(zip(rows, table["similarity"].to_pylist(), strict=True)),
        true={r: jaccard_of(texts[r], texts[k], step.shingle_length, step.unit) for r, k in keepers.items()},
        near=near,
        together=share_a_band(places, near, step.bands),
    )


@SETS
@UNITS
def test_every_removed_document_is_near_the_one_that_is_named_and_that_stays(name: str, unit: str) -> None:
    found = known(name, unit)
    assert len(found.true) > 400
    assert min(found.true.values()) >= STEPS[unit].threshold
    assert not set(found.keepers.values()) & set(found.keepers)


@SETS
@UNITS
def test_a_verdict_states_the_true_similarity_or_is_far_from_the_threshold_by_signatures(name: str, unit: str) -> None:
    step, found = STEPS[unit], known(name, unit)
    estimated = 0
    for row, true in found.true.items():
        stated = found.stated[row]
        if stated != np.float32(true):
            estimated += 1
            assert stated >= np.float32(step.rule.surely / step.hashes)
            assert abs(stated - true) < 4 * (true * (1 - true) / step.hashes) ** 0.5
    assert 50 < estimated < len(found.keepers) - 50, "both kinds are there"


@SETS
@UNITS
def test_verdicts_equal_the_walk_over_all_near_pairs_that_share_a_band(name: str, unit: str) -> None:
    found = known(name, unit)
    assert found.keepers == walked(batch_of(texts_of(name)), chosen(found.near, found.together))


@SETS
@UNITS
def test_near_documents_that_both_stay_share_no_band(name: str, unit: str) -> None:
    found = known(name, unit)
    gone = set(found.keepers)
    both_stay = np.array(
        [a not in gone and b not in gone for a, b in zip(found.near.one, found.near.two, strict=True)], np.bool_
    )
    assert not found.together[both_stay].any()
    assert 0 < both_stay.sum() < 0.1 * len(both_stay)


@SETS
@UNITS
def test_planted_pairs_share_a_band_as_often_as_the_formula_says(name: str, unit: str) -> None:
    """Over ten families of hashes, as pairs have documents in common: within 2 points from the threshold on."""
    step, texts, near = STEPS[unit], batch_of(texts_of(name))["text"], known(name, unit).near
    found = [
        share_a_band(signatures(texts, step.hashes, step.shingle_length, seed, step.unit)[0], near, step.bands).mean()
        for seed in range(10, 20)
    ]
    assert len(near.one) > 600
    assert abs(np.mean(found) - odds_of_a_band(near.jaccard, step.bands, step.rows_per_band).mean()) < 0.02


BINS = [
    *[("words", low, high) for low, high in ((0.4, 0.6), (0.6, 0.75), (0.75, 0.8), (0.8, 0.85), (0.85, 0.9))],
    *[("words", low, high) for low, high in ((0.9, 0.95), (0.95, 1.0))],
    *[("characters", low, high) for low, high in ((0.6, 0.8), (0.8, 0.85), (0.85, 0.9), (0.9, 0.95), (0.95, 1.0))],
]


@pytest.mark.parametrize(("unit", "low", "high"), BINS)
def test_ten_thousand_pairs_of_a_similarity_share_a_band_as_often_as_the_formula_says(
    unit: str, low: float, high: float
) -> None:
    step = STEPS[unit]
    texts, pairs = synthetic_pairs(10_000, low, high, 1, unit=step.unit, length=step.shingle_length)
    assert low <= pairs.jaccard.min() and pairs.jaccard.max() < high
    for one, two in ((0, 1), (10_000, 10_001), (19_998, 19_999)):
        true = jaccard_of(texts[one].as_py(), texts[two].as_py(), step.shingle_length, step.unit)
        assert true == pairs.jaccard[one // 2]
    places, _ = signatures(texts, step.hashes, step.shingle_length, step.seed, step.unit)
    found = share_a_band(places, pairs, step.bands).mean()
    assert abs(found - odds_of_a_band(pairs.jaccard, step.bands, step.rows_per_band).mean()) < 0.02


@UNITS
def test_the_truth_is_what_plain_sets_of_every_pair_say(unit: str) -> None:
    step = STEPS[unit]
    documents = with_copies(invented_documents(25), 2)
    assert {document.kind for document in documents} == {"original", *EDITS}
    texts = [document.text for document in documents]
    pairs = all_pairs(texts, 0.05, step.shingle_length, step.unit)
    plain = {
        (a, b): similarity
        for b in range(len(texts))
        for a in range(b)
        if (similarity := jaccard_of(texts[a], texts[b], step.shingle_length, step.unit)) >= 0.05
    }
    assert dict(zip(zip(pairs.one.tolist(), pairs.two.tolist(), strict=True), pairs.jaccard, strict=True)) == plain
    assert len(plain) > 50
