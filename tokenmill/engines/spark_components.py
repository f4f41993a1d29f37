"""Which nodes hang together, found by Spark: edges in two columns of a DataFrame, components in two columns of another.

First union-find in each partition: what is left of its edges is a forest, at most one row for a node. Where all
forests together fit one task, it joins them by one more union-find; that is the usual end. Where they do not,
alternating large and small stars go on until nothing changes (kernels/components.py says why that ends, and rightly),
with union-find in each partition behind every step: it joins nothing that does not hang together, hangs a node only
lower, and brought 12 rounds to 4 where a path of 10,000 and a star of 100,000 lay among 1,000,000 edges.

A star is an aggregate and a join of two columns. No row ever holds the neighbours of a node, and the rows of a node
with very many are not brought together either: such nodes are found in a sample, and what is to be known about them
goes to the rows instead. Each step is written as Parquet and read again: that cuts the lineage, without which the
plan grows 3.5 times a round, and on disk it survives a lost executor, as localCheckpoint does not.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as sql

from tokenmill.engines.components import LINKS_IN_MEMORY
from tokenmill.kernels.union_find import Forest

PAIRS = "child bigint, parent bigint"
NODES_AT_ONCE = 4_000_000  # of one partition: 34 bytes for each, 57 while the table grows
_SAMPLED = 1 / 512
_HOT = 64  # rows of one node among those sampled: about 32,000 in all, and one in 32,000 of all rows at most
_ROWS_OUT = 1 << 16


def components(edges: DataFrame, checkpoints: str, *, links_in_memory: int = LINKS_IN_MEMORY) -> DataFrame:
    """(node, component), bigint: each node of `edges` once, beside the smallest node that hangs together with it.

    `edges` has two bigint columns without nulls; an edge from a node to itself makes it known. `checkpoints` is a
    folder that all executors reach, by any URL that Spark knows, empty or absent: the result is read from there.
    """
    return Steps(edges.sparkSession, checkpoints).components(edges, links_in_memory).toDF("node", "component")


class Steps:
    """What `components` does one after the other, each step in a folder of its own below `checkpoints`."""

    def __init__(self, session: SparkSession, checkpoints: str) -> None:
        self._session = session
        self._folder = checkpoints.rstrip("/")
        self._count = 0
        self._gone: set[int] = set()
        self.rounds = 0

    def components(self, edges: DataFrame, links_in_memory: int) -> DataFrame:
        """PAIRS: each node beside the smallest of its component."""
        forest = self.forest(edges)
        return self.joined(forest) if forest.count() <= links_in_memory else self.stars(forest)

    def forget(self, *but: int) -> None:
        """Remove what all steps wrote except those of numbers `but`: their rows can no longer be read."""
        for number in set(range(1, self._count + 1)) - {*but} - self._gone:
            self._remove(f"{self._folder}/{number:03d}")
            self._gone.add(number)

    def forest(self, edges: DataFrame) -> DataFrame:
        """Rows (child, parent) with the components of `edges`, child >= parent: few for a node, every node in one."""
        return self._checkpoint(edges.toDF("child", "parent").mapInArrow(forest, PAIRS))

    def joined(self, rows: DataFrame) -> DataFrame:
        """By one task: each child once and ascending, beside the smallest node of its component."""
        return self._checkpoint(rows.coalesce(1).mapInArrow(whole_forest, PAIRS))

    def stars(self, rows: DataFrame) -> DataFrame:
        """By as many tasks as there are: each child once, beside the smallest node of its component."""
        alone, alone_is = self._checkpoint(rows.where("child = parent")), self._count
        rows = rows.where("child <> parent")
        changes = 1
        while changes:
            self.rounds += 1
            large, changes = self._large_star(rows)
            rows, more = self._small_star(large)
            changes += more
            self.forget(alone_is, self._count)
        # A root has no row as a child yet. A node that was alone in one partition may hang on another since.
        roots = rows.select(sql.col("parent").alias("child"), "parent").distinct()
        every = rows.unionByName(roots).unionByName(alone)
        return self._checkpoint(every.groupBy("child").agg(sql.min("parent").alias("parent")))

    def _large_star(self, rows: DataFrame) -> tuple[DataFrame, int]:
        """Every child hangs on the smallest neighbour of its parent, unless the parent is smaller than that.

        A node's larger neighbours are its children, its smaller ones its parents: one direction of a row is enough.
        """
        smallest = rows.groupBy(sql.col("child").alias("parent")).agg(sql.min("parent").alias("smallest"))
        joined = _joined(rows, smallest, "parent")
        to = sql.coalesce("smallest", "parent")
        seen, metric = _changes(to != sql.col("parent"))
        moved = joined.observe(seen, metric).select("child", to.alias("parent"))
        return self._contracted(moved), int(seen.get["changes"])

    def _small_star(self, rows: DataFrame) -> tuple[DataFrame, int]:
        """A child and all its parents hang on the smallest of these."""
        smallest = rows.groupBy("child").agg(sql.min("parent").alias("smallest"))
        seen, metric = _changes(sql.lit(True))
        others = _joined(rows, smallest, "child").where("parent <> smallest").observe(seen, metric)
        moved = others.select(sql.col("parent").alias("child"), sql.col("smallest").alias("parent"))
        kept = smallest.select("child", sql.col("smallest").alias("parent"))
        return self._contracted(moved.unionByName(kept)), int(seen.get["changes"])

    def _contracted(self, rows: DataFrame) -> DataFrame:
        """By union-find in each partition, from disk."""
        return self._checkpoint(rows.mapInArrow(forest, PAIRS).where("child <> parent"))

    def _remove(self, path: str) -> None:
        """By the file systems that Spark itself knows."""
        jvm: Any = self._session._jvm
        of = jvm.org.apache.hadoop.fs.Path(path)
        of.getFileSystem(self._session.sparkContext._jsc.hadoopConfiguration()).delete(of, True)

    def _checkpoint(self, rows: DataFrame) -> DataFrame:
        """`rows`, from disk."""
        self._count += 1
        path = f"{self._folder}/{self._count:03d}"
        rows.write.parquet(path)
        return self._session.read.schema(PAIRS).parquet(path)


def forest(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows with the components of the edges in `batches`; NODES_AT_ONCE bounds the memory, not the number of edges."""
    of = Forest()
    for batch in batches:
        of.add(batch.column(0).to_numpy(), batch.column(1).to_numpy())
        if len(of) >= NODES_AT_ONCE:
            yield from _rows(of)
            of = Forest()
    yield from _rows(of)


def merged(batches: Iterator[pa.RecordBatch]) -> Forest:
    """All edges in one."""
    of = Forest()
    for batch in batches:
        of.add(batch.column(0).to_numpy(), batch.column(1).to_numpy())
    return of


def whole_forest(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """As `forest`, of all edges at once."""
    yield from _rows(merged(batches))


def _rows(of: Forest) -> Iterator[pa.RecordBatch]:
    nodes, labels = of.components()
    for start in range(0, len(nodes), _ROWS_OUT):
        some = slice(start, start + _ROWS_OUT)
        yield pa.record_batch({"child": nodes[some], "parent": labels[some]})


def _joined(rows: DataFrame, known: DataFrame, by: str) -> DataFrame:
    """`rows` with what is `known` of their node `by`, null where nothing is; `known` has each node once.

    Rows of nodes with very many of them stay where they are.
    """
    sampled = rows.sample(fraction=_SAMPLED, seed=0).groupBy(by).count().where(sql.col("count") >= _HOT).select(by)
    hot = sampled.collect()
    if not hot:
        return rows.join(known, by, "left")
    nodes = sql.broadcast(rows.sparkSession.createDataFrame(hot, f"{by} bigint"))
    many = rows.join(nodes, by, "left_semi").join(sql.broadcast(known.join(nodes, by, "left_semi")), by, "left")
    return rows.join(nodes, by, "left_anti").join(known, by, "left").unionByName(many)


def _changes(where: Column) -> tuple[Observation, Column]:
    """Counts rows as they are written: no second look at them."""
    return Observation(), sql.count_if(where).alias("changes")
