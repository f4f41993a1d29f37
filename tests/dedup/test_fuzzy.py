"""Near-duplicates leave the preferred document, with the similarity that was measured to it."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verdict_runs import run_verdict

from tokenmill.core.barrier import ADDRESS, VERDICTS
from tokenmill.core.errors import RecipeError
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.kernels.greedy_keepers_reference import greedy_keepers_reference, jaccard_reference
from tokenmill.kernels.minhash_reference import signature_of
from tokenmill.kernels.minhash_shingles_reference import shingles_of

STEP = FuzzyDedup()
SMALL = FuzzyDedup(shingle_length=1, bands=6, rows_per_band=1, threshold=0.5, seed=3)
Document = tuple[str | None, int, int]  # text, priority, id
PAGE = " ".join(f"word{i}" for i in range(200))


def batch(documents: list[Document]) -> pa.RecordBatch:
    """Document i is row i of shard 0."""
    return pa.record_batch(
        {
            "id": pa.array([f"{number:032x}" for _, _, number in documents], pa.string()),
            "text": pa.array([text for text, _, _ in documents], pa.large_string()),
            "priority": pa.array([priority for _, priority, _ in documents], pa.int32()),
            "shard": pa.array([0] * len(documents), pa.int32()),
            "row": pa.array(range(len(documents)), pa.int64()),
        }
    )


def removed(documents: list[Document], step: FuzzyDedup = STEP) -> dict[int, int]:
    """Removed document -> the one kept for it, by their places in the list."""
    table, _ = run_verdict(step, batch(documents))
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


def test_who_stays_follows_the_policy_that_the_recipe_states() -> None:
    """The shorter, the better scored, the one that was crawled first; without that in `meta`, last."""
    pages = batch([(PAGE + " and longer", 0, 1), (PAGE + " longer", 0, 2), (PAGE, 0, 3)])
    pages = pages.append_column("quality", pa.array([0.1, None, 0.9]))
    dates = ['{"date":"2024-05-01T00:00:00Z"}', '{"date":"2023-12-31T23:59:59Z"}', None]
    pages = pages.append_column("meta", pa.array(dates, pa.string()))
    for prefer, stays in ((("chars",), 2), (("-quality",), 2), (("quality",), 0), (("date", "chars"), 1)):
        step = FuzzyDedup(prefer=prefer)
        table, _ = run_verdict(step, pages.select([*step.reads.names, *ADDRESS.names]))
        assert set(table["keeper_row"].to_pylist()) == {stays}, prefer


def test_equal_short_documents_are_duplicates_and_others_are_not_thrown_together() -> None:
    short = ["one two three four", "One two three four", "", "., ! ?", "ja"]
    documents: list[Document] = [(text, 0, i) for i, text in enumerate([*short, None, None])]
    assert removed(documents) == {}
    assert removed([*documents, *((text, 1, 100 + i) for i, text in enumerate(short))]) == {7 + i: i for i in range(5)}


def test_a_null_text_is_compared_with_nothing() -> None:
    assert removed([(None, 0, 1), (None, 0, 2), ("", 0, 3)]) == {}


def test_five_words_are_one_shingle() -> None:
    assert removed([("one two three four five", 0, 1), ("One, two, three, four: five", 1, 2)]) == {1: 0}


def test_twenty_four_characters_are_one_shingle() -> None:
    step = FuzzyDedup(unit="characters", shingle_length=24, bands=20, rows_per_band=13, threshold=0.8)
    assert removed([("abcdefghijkl mnopqrstuvw", 0, 1), ("ABCDEFGHIJKL\n mnopqrstuvw", 1, 2)], step) == {1: 0}
    assert removed([("abcdefghijkl mnopqrstuv", 0, 1), ("ABCDEFGHIJKL mnopqrstuv", 1, 2)], step) == {}


def test_a_far_pair_carries_the_share_of_equal_hashes_and_its_band() -> None:
    documents: list[Document] = [(PAGE, 0, 1), (PAGE + " and a line more", 1, 2)]
    table, counts = run_verdict(STEP, batch(documents))
    a, b = (signature_of(text, 112, 5, 1)[0] for text, _, _ in documents)
    equal = [x == y for x, y in zip(a, b, strict=True)]
    band = next(n for n in range(14) if all(equal[8 * n : 8 * n + 8]))
    assert table.schema == VERDICTS
    assert table["similarity"].to_pylist() == [np.float32(sum(equal) / 112)]
    assert table["band"].to_pylist() == [band]
    assert table["keeper"].to_pylist() == [f"{1:032x}"]
    assert counts["compared"] == 1 and counts["unverified"] == counts["exactly"] == 0


def near(words: int) -> list[Document]:
    """Two pages of 200 words that differ in the last `words`: 196 - words of 196 + words shingles in common."""
    other = PAGE.split()[: 200 - words] + [f"other{i}" for i in range(words)]
    return [(PAGE, 0, 1), (" ".join(other), 1, 2)]


def test_a_near_pair_is_decided_by_its_shingles_and_the_threshold_is_closed() -> None:
    documents = near(20)  # 176 shingles of 216
    step = FuzzyDedup(threshold=176 / 216, bands=112, rows_per_band=1)
    table, counts = run_verdict(step, batch(documents))
    assert table["similarity"].to_pylist() == [np.float32(176 / 216)]
    assert counts["exactly"] == counts["open"] == 1
    higher = FuzzyDedup(threshold=176 / 216 + 1e-6, bands=112, rows_per_band=1)
    assert run_verdict(higher, batch(documents))[0].num_rows == 0


def test_a_chain_of_pages_that_drift_does_not_swallow_its_far_end() -> None:
    """Page i shares 90% of its words with page i+1, and nothing with page 10: every verdict is still a near pair."""
    words = [f"w{i:04}" for i in range(2000)]
    documents: list[Document] = [(" ".join(words[i * 50 : i * 50 + 500]), 0, i) for i in range(11)]
    table, _ = run_verdict(STEP, batch(documents))
    pairs = dict(zip(table["row"].to_pylist(), table["keeper_row"].to_pylist(), strict=True))
    assert pairs == {i: i - 1 for i in range(1, 11, 2)}, "two steps apart overlap by .66"
    assert min(table["similarity"].to_pylist()) >= 0.75


def test_identical_and_unique_documents() -> None:
    assert removed([(PAGE, 0, 1)] * 300) == dict.fromkeys(range(1, 300), 0)
    assert removed([(PAGE.replace("word", f"word{i}x"), 0, i) for i in range(300)]) == {}


def test_fifty_thousand_short_documents_are_not_compared_all_with_all() -> None:
    rng = random.Random(1)
    documents: list[Document] = [
        (" ".join(rng.choice("abcdefgh") for _ in range(rng.randrange(4, 8))), 0, i) for i in range(50_000)
    ]
    table, counts = run_verdict(STEP, batch(documents), parts=2)
    texts = [text for text, _, _ in documents]
    assert counts["compared"] < 50_000 * 100
    assert counts["unverified"] == 0
    keepers = dict(zip(table["row"].to_pylist(), table["keeper_row"].to_pylist(), strict=True))
    kept = [text for i, text in enumerate(texts) if i not in keepers]
    assert len(kept) > 1000
    assert len(kept) == len(set(kept)), "of equal texts one stays"
    assert set(texts) - set(kept) == {texts[i] for i in keepers} - set(kept)
    for row, keeper in keepers.items():
        if texts[row].count(" ") < 4:  # without a shingle
            assert texts[row] == texts[keeper]


TEXTS = st.none() | st.lists(st.sampled_from("abcdef"), max_size=8).map(" ".join)


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(st.tuples(TEXTS, st.integers(0, 1), st.integers(0, 3)), max_size=15),
    st.integers(0, 100),
    st.integers(1, 3),
)
def test_equals_the_plain_walk_in_any_order_of_rows_and_division_of_keys(
    found: list[Document], seed: int, parts: int
) -> None:
    documents = batch(found)
    content = STEP.observe(documents, None)["content"].to_pylist()
    with_text = [i for i, (text, _, _) in enumerate(found) if text is not None]
    order = sorted(with_text, key=lambda i: (found[i][1], -len(found[i][0] or ""), found[i][2], content[i], i))
    signatures = [signature_of(text, 6, 1, 3)[0] for text, _, _ in found]
    sets = [set(shingles_of(text or "", 1)) for text, _, _ in found]
    for i, (text, _, _) in enumerate(found):
        if not sets[i]:  # no word: equal to the same bytes alone
            sets[i], signatures[i] = {(text,)}, [hash((text, k)) for k in range(6)]  # type: ignore[arg-type]

    def pair(a: int, b: int) -> float | None:
        same = sum(x == y for x, y in zip(signatures[a], signatures[b], strict=True))
        if same >= SMALL.rule.surely:
            return same / 6
        exact = jaccard_reference(sets[a], sets[b])
        return exact if same >= SMALL.rule.maybe and exact >= 0.5 else None

    walk = greedy_keepers_reference(signatures, order, set(), 6, pair)
    table, counts = run_verdict(SMALL, documents, parts=parts, seed=seed)
    got = {v["row"]: (v["keeper_row"], v["similarity"]) for v in table.to_pylist()}
    assert got == {row: (keeper, float(np.float32(s))) for row, (keeper, s, _) in walk.items()}
    assert not counts or counts["unverified"] == 0


def test_documents_of_an_index_stay_and_nothing_of_them_is_read() -> None:
    """The last two pages are near one of the index, by signature and by shingles; the index knows both."""
    old = batch(near(2))
    kept = STEP.observe(old, None)
    index = STEP.indexed(kept, old)
    for field, values in zip(ADDRESS, (np.full(2, -1), np.arange(2)), strict=True):
        index = index.append_column(field, pa.array(values).cast(field.type))
    new = batch([("something of its own with enough words to be a page", 0, 7), near(1)[1], near(20)[1]])
    table, counts = run_verdict(STEP, new, index=index)
    verdicts = {v["row"]: (v["keeper_shard"], v["keeper_row"]) for v in table.to_pylist()}
    assert verdicts == {1: (-1, 0), 2: (-1, 0)}
    assert counts["exactly"] > 0
    assert removed([("something of its own with enough words to be a page", 0, 7), near(1)[1]]) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shingle_length", 0),
        ("bands", 0),
        ("rows_per_band", -1),
        ("comparisons_at_most", 0),
        ("threshold", 0.0),
        ("threshold", 1.5),
        ("unit", "sentences"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=f"fuzzy_dedup: {field}={value}"):
        FuzzyDedup(**{field: value})


@pytest.mark.parametrize("prefer", [(), ("priority", "-priority"), ("-priority",)])
def test_a_policy_that_is_none_is_refused(prefer: tuple[str, ...]) -> None:
    with pytest.raises(RecipeError, match="fuzzy_dedup: prefer"):
        FuzzyDedup(prefer=prefer)
