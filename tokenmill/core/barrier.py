"""Where documents must meet. Three kinds, and no fourth; an engine moves only what they emit.

Verdicts that follow each other with no stage between share one pass over the text: what each of them needs
is emitted together, and they decide one after the other, each without the documents that an earlier one removed.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from tokenmill.core.errors import RecipeError
from tokenmill.core.stage import Decision
from tokenmill.core.step import Step

# What a Verdict answers: one row per document that leaves, by address, with the evidence.
VERDICTS = pa.schema(
    [
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("keeper", pa.string(), nullable=False),  # id of the document kept for it
        pa.field("keeper_shard", pa.int32(), nullable=False),  # negative: a shard of an index, see `Round.emit`
        pa.field("keeper_row", pa.int64(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),  # to the keeper itself, 0..1
        pa.field("band", pa.int32()),  # the LSH band that proposed the pair, where one did
    ]
)

# What the engine adds to emitted rows: whose they are.
ADDRESS = pa.schema([VERDICTS.field("shard"), VERDICTS.field("row")])

# What a SpanVerdict answers: one row per stretch of text that leaves its document; spans of one document are apart.
SPANS = pa.schema(
    [
        *ADDRESS,
        pa.field("start", pa.int64(), nullable=False),  # bytes of the UTF-8 text, [start, stop)
        pa.field("stop", pa.int64(), nullable=False),
        *(VERDICTS.field(name) for name in ("keeper", "keeper_shard", "keeper_row")),  # whose copy stays
        pa.field("occurrences", pa.int64(), nullable=False),  # of its most frequent part, the one that stays included
    ]
)

# Two documents that belong together, by address: what a round with `links` gives instead of answers.
LINKS = pa.schema(
    [
        *ADDRESS,
        pa.field("other_shard", pa.int32(), nullable=False),
        pa.field("other_row", pa.int64(), nullable=False),
    ]
)

# What becomes of links: the component of every document that has one.
COMPONENTS = pa.schema([*ADDRESS, pa.field("component", pa.uint64(), nullable=False)])  # a hash of its first address


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier(Step):
    """A step that no document passes before all have arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """What one range of keys came to. Tables may have their rows in any order; the engine sorts them by address."""

    verdicts: pa.Table | None = None  # VERDICTS, or SPANS of a SpanVerdict; final
    answers: pa.Table | None = None  # ADDRESS and the columns of `Round.answers`: what the next round is told
    links: pa.Table | None = None  # LINKS
    counts: Mapping[str, int] = field(default_factory=dict)  # worth a line in the manifest; added up over ranges


class Round(ABC):
    """One exchange of a Verdict: keyed rows go out, equal keys meet, answers come back by address.

    Small and picklable. `name` is unique within the verdict.
    """

    name: ClassVar[str]
    emits: pa.Schema  # its first column is `key: uint64`; the engine adds ADDRESS
    answers: ClassVar[pa.Schema] = pa.schema([])  # beside ADDRESS, any number of rows for a document
    links: ClassVar[bool] = False  # `reduce` gives LINKS; the next round is told COMPONENTS
    reads_text: ClassVar[bool] = False  # a round but the first is given the documents once more, in order

    @abstractmethod
    def emit(
        self, kept: pa.RecordBatch, documents: pa.RecordBatch | None, told: pa.RecordBatch | None
    ) -> pa.RecordBatch:
        """The rows of some documents as `emits` with ADDRESS, any number for each, in any order.

        `kept` is what `Verdict.observe` gave for them, with ADDRESS. In the first round these are all documents of a
        batch, in `documents`. In a later one they are those that the round before answered: `told` are the answers
        (ordered by row), and `documents` is None unless `reads_text`. Of documents in an index `kept` is what
        `Verdict.indexed` gave, `documents` is always None, and the shard is negative.
        """
        raise NotImplementedError

    @abstractmethod
    def reduce(self, rows: pa.Table) -> Reduced:
        """Decide over `rows` (`emits` with ADDRESS): whole keys, in any order; the answer must not depend on that."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Where a verdict takes too much to be believed: the run then stops and shows the evidence. None: no bound."""

    lost_share_at_most: float | None = None  # of the documents of any one source, 0..1; of its bytes, for spans
    cluster_at_most: int | None = None  # documents removed for any one keeper

    def check(self, step: str) -> None:
        """Raises RecipeError for a bound out of range."""
        if self.lost_share_at_most is not None and not 0 <= self.lost_share_at_most <= 1:
            raise RecipeError(f"{step}: lost_share_at_most={self.lost_share_at_most}, want 0..1 or none")
        if self.cluster_at_most is not None and self.cluster_at_most < 0:
            raise RecipeError(f"{step}: cluster_at_most={self.cluster_at_most}, want at least 0 or none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Barrier):
    """Narrow keyed rows are emitted, equal keys meet, verdicts about documents come back; once or in several rounds."""

    wants: ClassVar[str | None] = None  # name of the Summary whose table `observe` is given

    @property
    @abstractmethod
    def keeps(self) -> pa.Schema:
        """What is remembered of each document beside its shard, for this verdict's rounds."""
        raise NotImplementedError

    @property
    @abstractmethod
    def rounds(self) -> tuple[Round, ...]:
        """The exchanges, in order. A document is removed by the verdicts of any of them, at most once."""
        raise NotImplementedError

    @abstractmethod
    def observe(self, batch: pa.RecordBatch, summary: pa.Table | None) -> pa.RecordBatch:
        """One row of `keeps` for each of `batch`, in order."""
        raise NotImplementedError

    @property
    def bounds(self) -> Bounds:
        return Bounds()

    @property
    def index(self) -> pa.Schema | None:
        """What an index remembers of each document that stays, `keeps` first. None: this verdict has no index."""
        return None

    @property
    def index_version(self) -> str:
        """Equal for two verdicts if either can read what the other's index holds."""
        return self.version

    def indexed(self, kept: pa.RecordBatch, documents: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of `index` for documents that stay, from which later runs are deduplicated without their text."""
        return kept

    def recalled(self, rows: pa.RecordBatch, priority: int) -> pa.RecordBatch:
        """Rows of `index` as a later run takes them: of a source of this priority, below zero and of all others."""
        return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting(Verdict):
    """A verdict of one round: every document emits one row, and those with equal keys are decided together."""

    emits: ClassVar[pa.Schema]  # its first column is `key: uint64`

    @property
    def keeps(self) -> pa.Schema:
        return self.emits

    @property
    def rounds(self) -> tuple[Round, ...]:
        return (_MeetOnce(self),)

    @property
    def index(self) -> pa.Schema | None:
        return self.emits

    def observe(self, batch: pa.RecordBatch, summary: pa.Table | None) -> pa.RecordBatch:
        return self.emit(batch)

    @abstractmethod
    def emit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of `batch` as `emits`, in order."""
        raise NotImplementedError

    @abstractmethod
    def decide(self, rows: pa.Table) -> tuple[pa.Table, Mapping[str, int]]:
        """Verdicts (schema VERDICTS) over `rows` (`emits` with ADDRESS), and counts worth a line in the manifest.

        `rows` holds whole keys, in any order; the answer must not depend on that order. A row with a negative shard
        is of an index: it stays, and goes before all others.
        """
        raise NotImplementedError


class _MeetOnce(Round):
    """The one round of a Meeting."""

    name = "meet"

    def __init__(self, step: Meeting) -> None:
        self._step = step
        self.emits = step.emits

    def emit(
        self, kept: pa.RecordBatch, documents: pa.RecordBatch | None, told: pa.RecordBatch | None
    ) -> pa.RecordBatch:
        return kept

    def reduce(self, rows: pa.Table) -> Reduced:
        verdicts, counts = self._step.decide(rows)
        return Reduced(verdicts=verdicts, counts=counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanVerdict(Verdict):
    """A verdict about stretches of text: they are cut out of documents that are otherwise kept."""

    @abstractmethod
    def cut(self, batch: pa.RecordBatch, spans: pa.RecordBatch) -> tuple[pa.RecordBatch, Decision]:
        """`batch` with the columns of `adds`, `text` among them, and which rows are not worth keeping now.

        `spans` (SPANS) are those of the rows of `batch`, ordered by (row, start). Rows that are decided to leave
        keep their text as it was.
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

    def nothing(self) -> pa.Table | None:
        """What no document at all comes to, as `observe` would give it. None: there is no such statistic."""
        return None

    def finish(self, merged: pa.Table) -> pa.Table:
        """The asset, from what all documents came to: done once."""
        return merged


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
