"""docs/scale.md says what its derivation says, and the simulation behind it loses no task and invents no time."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scale import TABLES, number, size, written
from benchmarks.scale_facts import FACTS, Fact
from benchmarks.scale_run import LARGE, SMALL
from benchmarks.scale_simulation import HOUR, Cluster, schedule, task_seconds, zipf_head
from tokenmill.engines.merge import FILES
from tokenmill.engines.reduce import PARTITION_BYTES

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
WAYS = pytest.mark.parametrize("way", ["queue", "strides", "helping"])
STEADY = {"speed_sigma": 0.0, "slow_share": 0.0, "dispatch": 1e9}


def test_the_page_has_the_tables_that_follow_from_the_facts_and_the_code() -> None:
    page = PAGE.read_text()
    assert {name for name in TABLES if f"<!-- {name} -->" in page} == set(TABLES)
    assert written(page) == page, "PYTHONPATH=. python benchmarks/scale.py --write docs/scale.md, and read what changed"


@pytest.mark.parametrize("fact", [pytest.param(fact, id=name) for name, fact in FACTS.items()])
def test_every_number_says_where_it_is_from(fact: Fact) -> None:
    assert fact.value > 0
    assert fact.source == "assumed" or any(c.isdigit() for c in fact.source) or "/" in fact.source


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(0.0481, "0.0481", id="small: three digits"),
        pytest.param(2134.4, "2,134", id="thousands"),
        pytest.param(1.35e9, "1.4e9", id="beyond ten million: a power of ten"),
        pytest.param(2.4e12, "2.4e12", id="a power of two digits"),
    ],
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert number(value) == shown


def test_sizes_have_units() -> None:
    assert [size(v) for v in (360.0, 147e9, 3.15e15)] == ["360 B", "147 GB", "3.15 PB"]


def test_a_snapshot_is_a_shard_a_file_and_was_fifteen() -> None:
    assert (LARGE.shards, SMALL.shards) == (90_000, 1_350_000)


def test_ranges_hold_what_one_task_sorts() -> None:
    for name, moved in LARGE.sent.items():
        assert (LARGE.partitions(name) - 1) * PARTITION_BYTES < moved <= LARGE.partitions(name) * PARTITION_BYTES
        assert LARGE.merged(name) == -(-90_000 // FILES)


@WAYS
def test_one_worker_takes_as_long_as_its_tasks(way: str) -> None:
    got = schedule(np.array([3.0, 1.0, 2.0]), Cluster(nodes=1, cores=1, way=way, **STEADY))
    assert got.makespan_s == pytest.approx(6.0)
    assert (got.lost_s, got.deaths) == (0.0, 0)


def test_a_queue_gives_the_next_task_to_who_is_free() -> None:
    # One worker: 4; the other: 1, 1, 1, 1.
    got = schedule(np.array([4.0, 1.0, 1.0, 1.0, 1.0]), Cluster(nodes=2, cores=1, **STEADY))
    assert got.makespan_s == pytest.approx(4.0)


def test_strides_are_fixed_and_helping_mends_that() -> None:
    # Element 0 has tasks 0, 2, 4: 9 seconds; element 1 has 1, 3: 2 seconds, and then nothing, or task 4.
    seconds = np.array([3.0, 1.0, 3.0, 1.0, 3.0])
    assert schedule(seconds, Cluster(nodes=2, cores=1, way="strides", **STEADY)).makespan_s == pytest.approx(9.0)
    assert schedule(seconds, Cluster(nodes=2, cores=1, way="helping", **STEADY)).makespan_s == pytest.approx(6.0)


def test_a_driver_that_gives_out_ten_tasks_a_second_bounds_the_run() -> None:
    got = schedule(np.full(100, 0.01), Cluster(nodes=4, speed_sigma=0.0, slow_share=0.0, dispatch=10.0))
    assert got.makespan_s == pytest.approx(10.01)


@WAYS
@pytest.mark.parametrize("seed", range(5))
def test_nodes_may_die_and_every_task_is_done_once(way: str, seed: int) -> None:
    seconds = task_seconds(2_000, 60.0, seed=seed)
    got = schedule(seconds, Cluster(nodes=8, cores=16, way=way, mtbf_s=0.5 * HOUR, slow_share=0.1, seed=seed))
    assert got.deaths > 0
    assert got.lost_s > 0
    assert Counter(got.done.tolist()) == {1: 2_000}
    assert got.makespan_s > got.ideal_s


@WAYS
def test_the_same_seed_gives_the_same_run(way: str) -> None:
    seconds = task_seconds(500, 10.0)
    cluster = Cluster(nodes=4, cores=4, way=way, mtbf_s=600.0)
    assert schedule(seconds, cluster).makespan_s == schedule(seconds, cluster).makespan_s


def test_nobody_works_faster_than_all_together() -> None:
    seconds = task_seconds(1_000, 10.0)
    for way in ("queue", "strides", "helping"):
        got = schedule(seconds, Cluster(nodes=4, cores=8, way=way, **STEADY))
        assert got.makespan_s >= got.ideal_s == pytest.approx(seconds.sum() / 32)


def test_frequencies_with_a_tail_add_up_to_all_rows() -> None:
    hot = zipf_head(1e6, 0.6, keys=10_000)
    assert hot.sum() == pytest.approx(1e6)
    assert hot[0] / hot[31] == pytest.approx(32**0.6)
    some = zipf_head(1e6, 0.6, keys=10_000, head=100)
    assert some == pytest.approx(hot[:100], rel=0.01)
