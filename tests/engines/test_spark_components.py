"""Components that Spark finds, by one last union-find or by stars to the end, are those of one union-find."""

import numpy as np
import pytest
from spark_session import spark  # noqa: F401

from tokenmill.kernels import union_find

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")


def shapes() -> tuple[np.ndarray, np.ndarray]:
    """A path in random order, a star, a hub above its neighbours, edges at random, loops, repeats; some below 0."""
    rng = np.random.default_rng(4)
    ends = rng.permutation(300)
    parts = [
        (ends, ends + 1),
        (np.full(200, 1000), np.arange(1001, 1201)),
        (np.full(150, 2999), np.arange(2000, 2150)),
        tuple(rng.integers(4000, 4400, (2, 150))),
        (np.arange(5000, 5010), np.arange(5000, 5010)),
    ]
    first, second = (np.concatenate([p[side] for p in parts]) for side in (0, 1))
    order = rng.permutation(np.tile(np.arange(len(first)), 2))
    return (first - 2000)[order], (second - 2000)[order]


def found(frame: object) -> tuple[np.ndarray, np.ndarray]:
    table = frame.orderBy("node").toArrow()  # type: ignore[attr-defined]
    return table["node"].to_numpy(), table["component"].to_numpy()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["one union-find", "stars, hot nodes kept apart"])
def test_every_shape_by(spark, tmp_path, monkeypatch, how):  # noqa: F811
    from tokenmill.engines import spark_components

    if how == "stars, hot nodes kept apart":
        monkeypatch.setattr(spark_components, "_SAMPLED", 0.5)
        monkeypatch.setattr(spark_components, "_HOT", 10)
    first, second = shapes()
    rows = list(zip(first.tolist(), second.tolist(), strict=True))
    edges = spark.createDataFrame(rows, "a bigint, b bigint").repartition(5)
    in_memory = 10**6 if how == "one union-find" else 10
    nodes, labels = found(spark_components.components(edges, f"{tmp_path}/steps", links_in_memory=in_memory))
    wanted = union_find.components(first, second)
    assert np.array_equal(nodes, wanted[0])
    assert np.array_equal(labels, wanted[1])


@pytest.mark.slow
def test_nothing_and_lone_nodes(spark, tmp_path):  # noqa: F811
    from tokenmill.engines.spark_components import components

    none, lone = (spark.createDataFrame(rows, "a bigint, b bigint") for rows in ([], [(7, 7), (-3, -3), (7, 7)]))
    for in_memory in (0, 10):
        assert len(found(components(none, f"{tmp_path}/none-{in_memory}", links_in_memory=in_memory - 1))[0]) == 0
        nodes, labels = found(components(lone, f"{tmp_path}/lone-{in_memory}", links_in_memory=in_memory))
        assert nodes.tolist() == labels.tolist() == [-3, 7]


def test_the_rows_of_a_node_with_very_many_stay_apart(spark):  # noqa: F811
    """The most that one task holds of 40,000 rows of one node, in 4 partitions."""
    from pyspark.sql import functions as sql

    from tokenmill.engines.spark_components import _joined

    rows = spark.range(1, 40_001, 1, 4).select(sql.col("id").alias("child"), sql.lit(0).cast("bigint").alias("parent"))
    known = spark.createDataFrame([(0, -9)], "parent bigint, smallest bigint")
    apart = spark.newSession()
    apart.conf.set("spark.sql.autoBroadcastJoinThreshold", "-1")
    assert apart.conf.get("spark.sql.adaptive.enabled") == "true"
    joined = _joined(rows, known, "parent")
    counts = joined.groupBy(sql.spark_partition_id()).agg(sql.count("*"), sql.max("smallest"), sql.min("smallest"))
    assert sorted(tuple(row)[1:] for row in counts.collect()) == [(10_000, -9, -9)] * 4


def test_a_task_holds_no_more_nodes_than_it_may(monkeypatch):
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'tokenmill[spark]'")
    import pyarrow as pa

    from tokenmill.engines import spark_components

    monkeypatch.setattr(spark_components, "NODES_AT_ONCE", 30)
    first, second = shapes()
    cut = [pa.record_batch({"a": first[i : i + 7], "b": second[i : i + 7]}) for i in range(0, len(first), 7)]
    parts = list(spark_components.forest(iter(cut)))
    assert len(parts) > 20 and max(batch.num_rows for batch in parts) <= 30 + 2 * 7
    joined = spark_components.merged(iter(parts)).components()
    assert all(np.array_equal(a, b) for a, b in zip(joined, union_find.components(first, second), strict=True))
