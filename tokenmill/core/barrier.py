"""Where documents must meet. Three kinds, and no fourth; an engine moves only what they emit.

Verdicts that follow each other with no stage between share one pass over the text: what each of them needs
is emitted together, and they decide one after the other, each without the documents that an earlier one removed.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from tokenmill.core.step import Step

# What a Verdict answers: one row per document that leaves, by address, with the evidence.
VERDICTS = pa.schema(
    [
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("keeper", pa.string(), nullable=False),  # id of the document kept for it
        pa.field("keeper_shard", pa.int32(), nullable=False),
        pa.field("keeper_row", pa.int64(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),  # to the keeper itself, 0..1
    ]
)

# What the engine adds to emitted rows: whose they are.
ADDRESS = pa.schema([VERDICTS.field("shard"), VERDICTS.field("row")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier(Step):
    """A step that no document passes before all have arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Barrier):
    """Narrow keyed rows are emitted, equal keys meet, verdicts about documents come back."""

    emits: ClassVar[pa.Schema]  # one row per document; its first column is `key: uint64`
    whole: ClassVar[bool] = False  # True: all rows meet at once, in the memory of one task

    @abstractmethod
    def emit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of `batch` as `emits`, in order."""
        raise NotImplementedError

    @abstractmethod
    def decide(self, rows: pa.Table) -> tuple[pa.Table, Mapping[str, int]]:
        """Verdicts (schema VERDICTS) over `rows` (ADDRESS and `emits`), and counts worth a line in the manifest.

        `rows` holds whole keys, in any order; the answer must not depend on that order.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(Barrier):
    """A mergeable statistic of all documents that becomes an asset of the run, for the steps behind it."""

    @abstractmethod
    def observe(self, batch: pa.RecordBatch) -> pa.Table:
        """What `batch` contributes."""
        raise NotImplementedError

    @abstractmethod
    def merge(self, parts: pa.Table) -> pa.Table:
        """One statistic from the concatenation of parts or of merged ones; order must not matter."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Regroup(Barrier):
    """Whole rows move to new shards: shuffling, sizing. Nothing may be dropped behind it.

    Filters belong before: a document should not travel in order to be dropped.
    """

    wants: ClassVar[str | None] = None  # name of the Summary whose table `groups` and `assign` are given

    @abstractmethod
    def groups(self, summary: pa.Table | None) -> list[str]:
        """The names of the new shards, a function of the summary alone."""
        raise NotImplementedError

    @abstractmethod
    def assign(self, batch: pa.RecordBatch, summary: pa.Table | None) -> pa.Int32Array:
        """For each row, the index of its group."""
        raise NotImplementedError

    @abstractmethod
    def arrange(self, rows: pa.Table) -> pa.Int64Array:
        """The order of the rows within a group: indices for `take`. A total order, never that of arrival."""
        raise NotImplementedError
