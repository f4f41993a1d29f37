"""Near-duplicates leave the preferred document, with the similarity that was measured to it."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.core.barrier import ADDRESS, VERDICTS
from tokenmill.core.errors import RecipeError
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.kernels.greedy_keepers_reference import greedy_keepers_reference
from tokenmill.kernels.minhash_reference import signature_of

STEP = FuzzyDedup()
SMALL = FuzzyDedup(shingle_words=1, bands=6, rows_per_band=1, threshold=0.5, seed=3)
Document = tuple[str | None, int, int]  # text, priority, id
PAGE = " ".join(f"word{i}" for i in range(200))


def emitted(documents: list[Document], step: FuzzyDedup = STEP) -> pa.Table:
    """What an engine hands to `decide`: document i is row i of shard 0."""
    batch = pa.record_batch(
        [
            pa.array([f"{number:032x}" for _, _, number in documents], pa.string()),
            pa.array([text for text, _, _ in documents], pa.large_string()),
            pa.array([priority for _, priority, _ in documents], pa.int32()),
        ],
        schema=step.reads,
    )
    rows = pa.Table.from_batches([step.emit(batch)])
    for field, values in zip(ADDRESS, (np.zeros(len(documents)), np.arange(len(documents))), strict=True):
        rows = rows.append_column(field, pa.array(values).cast(field.type))
    return rows


def removed(documents: list[Document], step: FuzzyDedup = STEP) -> dict[int, int]:
    """Removed document -> the one kept for it, by their places in the list."""
    table, _ = step.decide(emitted(documents, step))
    return dict(zip(table["row"].to_pylist(), table["keeper_row"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("other", "similar"),
    [
        pytest.param(PAGE.upper() + "!", True, id="case and punctuation do not count"),
        pytest.param(PAGE + " and one more line of five words", True, id="a line added"),
        pytest.param(PAGE[: len(PAGE) // 2], False, id="half of it"),
        pytest.param(" ".join(reversed(PAGE.split())), False, id="the same words in another order"),
    ],
)
def test_what_is_near(other: str, similar: bool) -> None:
    assert removed([(PAGE + " more", 0, 1), (other, 1, 2)]) == ({1: 0} if similar else {})


@pytest.mark.parametrize(
    ("documents", "stays"),
    [
        pytest.param([(PAGE + " longer", 1, 1), (PAGE, 0, 9)], 1, id="the preferred source, whatever the length"),
        pytest.param([(PAGE, 0, 1), (PAGE + " é", 0, 9)], 1, id="then the longer text"),
        pytest.param(
            [(PAGE + " ab", 0, 9), (PAGE + " éé", 0, 1)], 1, id="in characters, not bytes; then the smaller id"
        ),
        pytest.param([(PAGE, 0, 5), (PAGE, 0, 5)], 0, id="then the address"),
    ],
)
def test_who_stays(documents: list[Document], stays: int) -> None:
    assert removed(documents) == {1 - stays: stays}


@pytest.mark.parametrize("text", ["one two three four", "", None, "., ! ?"])
def test_documents_without_a_shingle_are_never_thrown_together(text: str | None) -> None:
    assert removed([(text, 0, 1), (text, 0, 2), (text, 0, 3)]) == {}


def test_five_words_are_one_shingle() -> None:
    assert removed([("one two three four five", 0, 1), ("One, two, three, four: five", 1, 2)]) == {1: 0}


def test_the_verdict_carries_the_share_of_equal_hashes() -> None:
    documents: list[Document] = [(PAGE, 0, 1), (PAGE + " and a line more", 1, 2)]
    table, counts = STEP.decide(emitted(documents))
    a, b = (signature_of(text, 112, 5, 1)[0] for text, _, _ in documents)
    share = sum(x == y for x, y in zip(a, b, strict=True)) / 112
    assert table.schema == VERDICTS
    assert table["similarity"].to_pylist() == [np.float32(share)]
    assert table["keeper"].to_pylist() == [f"{1:032x}"]
    assert counts == {"compared": 1, "verified": 1, "unverified": 0}


def test_the_threshold_is_closed() -> None:
    documents: list[Document] = [(PAGE, 0, 1), (PAGE + " and a line more", 1, 2)]
    share = STEP.decide(emitted(documents))[0]["similarity"][0].as_py()
    places = round(share * 112)
    assert removed(documents, FuzzyDedup(threshold=places / 112)) == {1: 0}
    assert removed(documents, FuzzyDedup(threshold=(places + 0.5) / 112)) == {}


def test_a_chain_of_pages_that_drift_does_not_swallow_its_far_end() -> None:
    """Page i shares 90% of its words with page i+1, and nothing with page 10: every verdict is still a near pair."""
    words = [f"w{i}" for i in range(2000)]
    documents: list[Document] = [(" ".join(words[i * 50 : i * 50 + 500]), 0, i) for i in range(11)]
    table, _ = STEP.decide(emitted(documents))
    pairs = dict(zip(table["row"].to_pylist(), table["keeper_row"].to_pylist(), strict=True))
    assert 0 not in pairs and len(pairs) < 10
    assert all(pairs[row] not in pairs for row in pairs), "a keeper is itself kept"
    assert all(abs(row - keeper) == 1 for row, keeper in pairs.items()), "two steps apart overlap by .66"
    assert min(table["similarity"].to_pylist()) >= 0.75


def test_identical_and_unique_documents() -> None:
    assert removed([(PAGE, 0, 1)] * 300) == dict.fromkeys(range(1, 300), 0)
    assert removed([(PAGE.replace("word", f"word{i}x"), 0, i) for i in range(300)]) == {}


def test_fifty_thousand_short_documents_are_not_compared_all_with_all() -> None:
    rng = random.Random(1)
    documents: list[Document] = [
        (" ".join(rng.choice("abcdefgh") for _ in range(rng.randrange(4, 8))), 0, i) for i in range(50_000)
    ]
    table, counts = STEP.decide(emitted(documents))
    texts = [text for text, _, _ in documents]
    assert counts["compared"] < 50_000 * 100
    assert counts["unverified"] == 0
    stay = set(range(50_000)) - set(table["row"].to_pylist())
    kept = [text for i, text in enumerate(texts) if i in stay and text is not None and text.count(" ") >= 4]
    assert len(kept) > 1000
    assert len(kept) == len(set(kept)), "of equal texts with a shingle one stays"


TEXTS = st.none() | st.lists(st.sampled_from("abcdef"), max_size=8).map(" ".join)


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.tuples(TEXTS, st.integers(0, 1), st.integers(0, 3)), max_size=15), st.randoms(use_true_random=False))
def test_equals_the_plain_walk_in_any_order_of_rows_and_chunks(found: list[Document], rng: random.Random) -> None:
    signatures = [signature_of(text, 6, 1, 3) for text, _, _ in found]
    rows = emitted(found, SMALL)
    content = rows["content"].to_pylist()
    order = sorted(
        (i for i, (_, shingles) in enumerate(signatures) if shingles),
        key=lambda i: (found[i][1], -len(found[i][0] or ""), found[i][2], content[i], i),
    )
    walk, counts = greedy_keepers_reference([places for places, _ in signatures], order, 6, 3, 10_000)
    want = [
        (0, row, f"{found[keeper][2]:032x}", 0, keeper, float(np.float32(equal / 6)))
        for row, (keeper, equal) in sorted(walk.items())
    ]
    arrival = rng.sample(range(len(found)), len(found))
    shuffled = pa.concat_tables([rows.take([i]) for i in arrival]) if arrival else rows.schema.empty_table()
    table, found_counts = SMALL.decide(shuffled)
    assert [tuple(row.values()) for row in table.to_pylist()] == want
    assert found_counts == counts


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shingle_words", 0),
        ("bands", 0),
        ("rows_per_band", -1),
        ("comparisons_at_most", 0),
        ("threshold", 0.0),
        ("threshold", 1.5),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=f"fuzzy_dedup: {field}={value}"):
        FuzzyDedup(**{field: value})
