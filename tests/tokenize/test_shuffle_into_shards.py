"""Who goes where is decided by ids, seed and totals, and by nothing else."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.tokenize.count_tokens import CountTokens
from tokenmill.tokenize.holdout import in_holdout
from tokenmill.tokenize.shuffle_into_shards import ShuffleIntoShards

IDS = [hashlib.md5(str(i).encode()).hexdigest() for i in range(4_000)]


def rows(ids: list[str], tokens: int = 10) -> pa.RecordBatch:
    n = len(ids)
    return pa.record_batch(
        {
            "id": pa.array(ids, pa.string()),
            "tokens": pa.array([tokens] * n, pa.int64()),
            "shard": pa.array([0] * n, pa.int32()),
            "row": pa.array(range(n), pa.int64()),
        }
    )


def summary(ids: list[str], holdout: float = 0.0, tokens: int = 10) -> pa.Table:
    count = CountTokens(holdout=holdout)
    return count.merge(count.observe(rows(ids, tokens)))


def assigned(step: ShuffleIntoShards, ids: list[str]) -> list[str]:
    table = summary(ids, step.holdout)
    groups = step.groups(table)
    return [groups[i] for i in step.assign(rows(ids), table).to_pylist()]


def test_counts_documents_and_tokens_by_split() -> None:
    table = summary(["a", "b", "c"])
    assert table["split"].to_pylist() == ["train", "holdout"]
    assert table["documents"].to_pylist() == [3, 0]
    assert table["tokens"].to_pylist() == [30, 0]


def test_the_count_does_not_depend_on_cuts_or_order() -> None:
    count = CountTokens(holdout=0.3)
    parts = [count.observe(rows(IDS[i : i + 900])) for i in range(0, 4_000, 900)]
    merged = count.merge(pa.concat_tables([count.merge(pa.concat_tables(parts[3:])), *parts[:3]]))
    assert merged.equals(count.merge(count.observe(rows(IDS))))
    assert sum(merged["documents"].to_pylist()) == 4_000


def test_nothing_counted_is_zero() -> None:
    count = CountTokens()
    assert count.merge(count.observe(rows([])).slice(0, 0))["documents"].to_pylist() == [0, 0]
    assert ShuffleIntoShards().groups(count.merge(count.observe(rows([])))) == []


@pytest.mark.parametrize(
    ("tokens_per_shard", "names"),
    [
        pytest.param(40, ["train-00000"], id="exactly full"),
        pytest.param(39, ["train-00000", "train-00001"], id="one token over"),
        pytest.param(10**9, ["train-00000"], id="never none"),
    ],
)
def test_shards_are_as_many_as_the_tokens_need(tokens_per_shard: int, names: list[str]) -> None:
    assert ShuffleIntoShards(tokens_per_shard=tokens_per_shard).groups(summary(["a", "b", "c", "d"])) == names


def test_about_the_share_is_held_out_the_same_for_every_seed_and_within_a_larger_share() -> None:
    ids = pa.array(IDS)
    small, large = (np.array(in_holdout(ids, share).to_pylist()) for share in (0.1, 0.2))
    assert 320 < small.sum() < 480  # 400 expected, standard deviation 19
    assert (large & ~small).any() and not (small & ~large).any()
    for seed in (0, 1):
        groups = assigned(ShuffleIntoShards(seed=seed, holdout=0.1, tokens_per_shard=10_000), IDS)
        assert [g.startswith("holdout") for g in groups] == small.tolist()


def test_a_seed_moves_documents_between_shards_and_all_shards_are_used() -> None:
    first, other = (assigned(ShuffleIntoShards(seed=seed, tokens_per_shard=10_000), IDS) for seed in (0, 1))
    assert first != other
    assert {g: 800 < first.count(g) < 1200 for g in set(first)} == {f"train-{i:05}": True for i in range(4)}


def test_where_a_document_goes_does_not_depend_on_its_neighbours() -> None:
    step = ShuffleIntoShards(holdout=0.2, tokens_per_shard=10_000)
    table = summary(IDS, 0.2)
    whole = step.assign(rows(IDS), table).to_pylist()
    assert whole[1_000:1_100] == step.assign(rows(IDS).slice(1_000, 100), table).to_pylist()
    assert step.assign(rows([]), table).to_pylist() == []


def test_the_order_in_a_shard_is_total_and_never_that_of_arrival() -> None:
    step = ShuffleIntoShards()
    table = pa.table(
        {
            "id": pa.array(["a", "b", "a", "c", "a"], pa.string()),
            "shard": pa.array([1, 0, 0, 0, 0], pa.int32()),
            "row": pa.array([0, 0, 9, 1, 2], pa.int64()),
        }
    )
    ordered = table.take(step.arrange(table)).to_pylist()
    for turned in (table.take([4, 3, 2, 1, 0]), table.take([2, 0, 4, 1, 3])):
        assert turned.take(step.arrange(turned)).to_pylist() == ordered
    assert [(r["shard"], r["row"]) for r in ordered if r["id"] == "a"] == [(0, 2), (0, 9), (1, 0)]
    ids = pa.table({**{n: rows(IDS)[n] for n in ("shard", "row")}, "id": pa.array(IDS)})
    assert ids.take(step.arrange(ids))["id"].to_pylist() != sorted(IDS)
    assert step.arrange(ids).type == pa.int64()
    assert not step.arrange(ids).equals(ShuffleIntoShards(seed=1).arrange(ids))


def test_everything_held_out_is_an_error_that_says_what_to_do() -> None:
    held = [id for id in IDS if in_holdout(pa.array([id]), 0.01)[0].as_py()]
    with pytest.raises(DataError, match=rf"all {len(held)} documents fall into the hold-out .*lower --holdout"):
        ShuffleIntoShards(holdout=0.01).groups(summary(held, 0.01))


def test_two_shares_that_differ_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"holdout=0.1, but count_tokens has holdout=0.2"):
        ShuffleIntoShards(holdout=0.1).groups(summary(IDS, 0.2))


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0, float("nan")])
def test_a_share_is_from_zero_to_below_one(share: float) -> None:
    for step in (CountTokens, ShuffleIntoShards):
        with pytest.raises(RecipeError, match="want a share"):
            step(holdout=share)


def test_a_shard_holds_at_least_a_token() -> None:
    with pytest.raises(RecipeError, match="tokens_per_shard=0"):
        ShuffleIntoShards(tokens_per_shard=0)
