"""One of each set of equal texts stays, chosen by the documents alone."""

import numpy as np
import pyarrow as pa
import pytest
from equal_documents import documents, index_of, removed
from hypothesis import given, settings
from hypothesis import strategies as st
from verdict_runs import run_verdict

from tokenmill.core.barrier import VERDICTS, Bounds
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.dedup.exact import ExactDedup

STEP = ExactDedup()
EARLY, LATE = '{"date":"2019-03-01T00:00:00Z"}', '{"date":"2024-03-01T00:00:00Z"}'


def test_equal_texts_leave_one() -> None:
    assert removed(STEP, documents(["a", "b", "a", "a "])) == {2: 0}


@pytest.mark.parametrize(
    ("columns", "stays"),
    [
        pytest.param({"priority": [1, 0], "id": [1, 9]}, 1, id="the preferred source, whatever the id"),
        pytest.param({"id": [9, 1]}, 1, id="then the smaller id"),
        pytest.param({"id": [1 << 64, (1 << 64) - 1]}, 1, id="ids compare as a whole"),
        pytest.param({"id": [5, 5]}, 0, id="then the address"),
        pytest.param({"priority": [-1, 0], "id": [5, 5]}, 0, id="a priority below zero is preferred still"),
    ],
)
def test_who_stays(columns: dict[str, list[int]], stays: int) -> None:
    assert removed(STEP, documents(["x", "x"], **columns)) == {1 - stays: stays}


@pytest.mark.parametrize(
    ("prefer", "stays"),
    [
        pytest.param(("date",), 1, id="the earlier, whatever its source"),
        pytest.param(("-date",), 0, id="the later"),
        pytest.param(("priority", "date"), 0, id="the source goes before the date"),
    ],
)
def test_who_stays_is_a_policy(prefer: tuple[str, ...], stays: int) -> None:
    batch = documents(["x", "x"], priority=[0, 1], meta=[LATE, EARLY])
    assert removed(ExactDedup(prefer=prefer), batch) == {1 - stays: stays}


def test_sources_with_priorities_keep_one_copy_between_them() -> None:
    """a is in all three sources, b in the last two, c twice in the last: the smallest number wins."""
    batch = documents(["a", "a", "b", "a", "b", "c", "c"], priority=[2, 1, 1, 3, 3, 3, 3])
    assert removed(STEP, batch) == {0: 1, 3: 1, 4: 2, 6: 5}


def test_the_shard_comes_before_the_row() -> None:
    batch = documents(["x"] * 4, shards=2, id=[5] * 4)  # addresses 0:0, 1:0, 0:1, 1:1
    assert removed(STEP, batch) == {1: 0, 2: 0, 3: 0}


def test_empty_texts_are_equal_and_null_ones_are_not_compared() -> None:
    assert removed(STEP, documents(["", None, "", None])) == {2: 0}


def test_documents_of_an_index_stay_and_go_first() -> None:
    index = index_of(STEP, documents(["b", "b", "z"], priority=[9, 8, 0]))
    assert removed(STEP, documents(["a", "b", "a", "b"]), index=index) == {1: -2, 2: 0, 3: -2}


def test_the_verdict_names_keeper_and_similarity() -> None:
    table, counts = run_verdict(STEP, documents(["a", "a", "b", "b", "b"], id=[2, 1, 7, 8, 9]), parts=2)
    assert table.schema == VERDICTS
    assert table["keeper"].to_pylist() == [f"{n:032x}" for n in (1, 7, 7)]
    assert table["similarity"].to_pylist() == [1.0] * 3
    assert table["band"].null_count == 3
    assert counts == {"sets": 2}


def test_equal_keys_with_other_texts_are_no_duplicates() -> None:
    """The key is half of the content hash; only the whole of it decides."""
    batch = documents(["a", "b", "a", "c"])
    rows = STEP.emit(batch)
    halves = [(int.from_bytes(c[:8], "big"), int.from_bytes(c[8:], "big")) for c in rows["content"].to_pylist()]
    assert halves == list(zip(rows["key"].to_pylist(), rows["rest"].to_pylist(), strict=True))
    met = rows.set_column(0, "key", pa.array([7] * 4, pa.uint64()))
    for name in ("shard", "row"):
        met = met.append_column(name, batch[name])
    assert STEP.decide(pa.Table.from_batches([met]))[0]["row"].to_pylist() == [2]


some_documents = st.lists(
    st.tuples(st.none() | st.sampled_from(["", "a", "b", "c\0", "😀"]), st.integers(-1, 1), st.integers(0, 3)),
    max_size=20,
)


@settings(deadline=None)  # the first call compiles
@given(some_documents, st.integers(0, 9), st.integers(1, 3), st.integers(2, 4))
def test_equals_a_dictionary_in_any_order_of_rows(
    found: list[tuple[str | None, int, int]], seed: int, shards: int, parts: int
) -> None:
    rank = [(priority, number, i % shards, i) for i, (_, priority, number) in enumerate(found)]
    best: dict[str, int] = {}
    for i, (text, _, _) in enumerate(found):
        if text is not None:
            best[text] = min(best.get(text, i), i, key=lambda i: rank[i])
    want = {i: best[text] for i, (text, _, _) in enumerate(found) if text is not None and best[text] != i}
    batch = documents(
        [text for text, _, _ in found],
        priority=[priority for _, priority, _ in found],
        id=[number for _, _, number in found],
        shards=shards,
    )
    table, _ = run_verdict(STEP, batch, parts=parts, seed=seed)
    got = {v["row"] * shards + v["shard"]: v["keeper_row"] * shards + v["keeper_shard"] for v in table.to_pylist()}
    assert got == want


def test_a_hundred_thousand_copies_leave_one() -> None:
    n = 100_000
    batch = documents(["same"] * n, id=[1] * n)
    table, counts = run_verdict(STEP, batch, parts=2, seed=1)
    assert table["row"].to_pylist() == list(range(1, n))
    assert set(table["keeper_row"].to_pylist()) == {0}
    assert counts == {"sets": 1}


def test_documents_without_text_do_not_share_a_key() -> None:
    keys = STEP.emit(documents([None] * 1000, id=[n << 100 for n in range(1000)]))["key"].to_numpy()
    assert len(np.unique(keys)) == 1000


def test_an_id_that_is_none_is_an_error_that_names_it() -> None:
    batch = documents(["x"])
    place = batch.schema.get_field_index("id")
    with pytest.raises(DataError, match="exact_dedup: 'record-7'"):
        STEP.emit(batch.set_column(place, "id", pa.array(["record-7"])))


def test_bounds_are_fields() -> None:
    assert STEP.bounds == Bounds()
    assert ExactDedup(lost_share_at_most=0.5, cluster_at_most=7).bounds == Bounds(
        lost_share_at_most=0.5, cluster_at_most=7
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prefer": ()}, "prefer=nothing"),
        ({"lost_share_at_most": 95}, r"lost_share_at_most=95, want 0\.\.1"),
        ({"cluster_at_most": -1}, "cluster_at_most=-1, want at least 0"),
    ],
)
def test_refuses_parameters_that_mean_nothing(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=f"exact_dedup: {message}"):
        ExactDedup(**wrong)  # type: ignore[arg-type]
