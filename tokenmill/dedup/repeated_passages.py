"""What deduplication by line and by paragraph share: all copies of a passage are cut out but one.

The copy that stays is the first in the most preferred document (preference.py, then the place in the text), so within
one document the first. A passage that occurs less than `occurrences_at_least` times over all documents is left alone,
and so is one of fewer than `chars_at_least` characters.

What is left of a document that lost passages must be worth keeping, else it leaves whole. The passages that it was the
keeper of leave with it: at most what `chars_left_at_least` and `share_left_at_least` allow, so keep these low. A
document that lost nothing is never dropped here.

There is no index: an index has one row per document, and passages are many.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.barrier import SPANS, Bounds, Reduced, Round, SpanVerdict
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.stage import Decision
from tokenmill.dedup.equal_keys import KEY, equal_sets
from tokenmill.dedup.narrow_rows import column
from tokenmill.dedup.preference import POLICY, check_policy, columns_of, who, who_is
from tokenmill.kernels.cut_lines import cut_lines
from tokenmill.kernels.hashing import hex_from_bytes16
from tokenmill.kernels.line_spans import line_spans


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedPassages(SpanVerdict):
    """Emits 64 bytes and 8 a criterion for each passage, beside its address; `reduce` needs 40 bytes for each beside
    its input, and 120 more for one that has a twin.
    """

    passage: ClassVar[str]  # line or paragraph

    prefer: tuple[str, ...] = POLICY
    occurrences_at_least: int = 2  # 7: Llama 3 (arXiv:2407.21783, 3.1.1), which counts lines over 30M documents
    # Shorter lines recur by chance. Of those in 682 web pages 18% are there twice, mostly headings and names of
    # speakers ("Post a Comment", "§ Mr. Davies"); of the longer ones 3% are.
    chars_at_least: int = 20
    chars_left_at_least: int = 100
    share_left_at_least: float = 0.1  # of the characters, 0..1
    lost_share_at_most: float | None = 0.9  # of a source's bytes: beyond that a template, not passages; None: no bound

    def __post_init__(self) -> None:
        check_policy(self.prefer, self.name)
        for field, least in (("occurrences_at_least", 2), ("chars_at_least", 1), ("chars_left_at_least", 0)):
            if getattr(self, field) < least:
                raise RecipeError(f"{self.name}: {field}={getattr(self, field)}, want at least {least}")
        if not 0 <= self.share_left_at_least <= 1:
            raise RecipeError(f"{self.name}: share_left_at_least={self.share_left_at_least}, want 0..1")
        self.bounds.check(self.name)

    @property
    def reads(self) -> pa.Schema:
        return columns_of(self.prefer)

    @property
    def adds(self) -> pa.Schema:
        return pa.schema(
            [
                pa.field("text", pa.large_string()),
                pa.field(f"{self.name}_{self.passage}s_removed", pa.int64()),
                pa.field(f"{self.name}_chars_removed", pa.int64()),  # newlines and blank lines between included
            ]
        )

    @property
    def bounds(self) -> Bounds:
        return Bounds(lost_share_at_most=self.lost_share_at_most)

    @property
    def keeps(self) -> pa.Schema:
        return who(self.prefer)

    @property
    def rounds(self) -> tuple[Round, ...]:
        return (_Meet(self),)

    def observe(self, batch: pa.RecordBatch, summary: pa.Table | None) -> pa.RecordBatch:
        return pa.record_batch(who_is(batch, self.prefer, self.name), schema=self.keeps)

    def cut(self, batch: pa.RecordBatch, spans: pa.RecordBatch) -> tuple[pa.RecordBatch, Decision]:
        """Whole lines go (kernels/cut_lines.py says with which blank ones). Rows of `batch` are of one shard, in order.

        Both columns are 0 for a text that lost nothing and null for no text; of a document that leaves they say what
        it would have lost. Raises DataError for spans that are not of these texts.
        """
        text = batch["text"]
        places = _places(batch, spans, self.name)
        try:
            left = cut_lines(text, places, spans["start"].to_numpy(), spans["stop"].to_numpy())
        except ValueError as error:
            raise DataError(f"{self.name}: {error}; the texts are not those that were compared") from error
        before, after = (pc.cast(pc.utf8_length(texts), pa.int64()) for texts in (text, left))
        null = text.is_null().to_numpy(zero_copy_only=False)
        cuts = pa.array(np.bincount(places, minlength=batch.num_rows).astype(np.int64), mask=null)
        decision = self._decide(pc.greater(cuts, 0), before, after)
        columns = [pc.if_else(pc.is_null(decision.rule), left, text), cuts, pc.subtract(before, after)]
        for field, values in zip(self.adds, columns, strict=True):
            at = batch.schema.get_field_index(field.name)
            batch = batch.append_column(field, values) if at < 0 else batch.set_column(at, field, values)
        return batch, decision

    def _decide(self, lost: pa.BooleanArray, before: pa.Int64Array, after: pa.Int64Array) -> Decision:
        chars = pc.cast(after, pa.float64())
        share = pc.divide(chars, pc.max_element_wise(before, 1))
        few = pc.less(chars, self.chars_left_at_least)
        low = pc.less(share, self.share_left_at_least)
        goes = pc.fill_null(pc.and_(lost, pc.or_(few, low)), False)
        rule = pc.if_else(few, "chars_left_at_least", "share_left_at_least")
        bound = pc.if_else(few, float(self.chars_left_at_least), float(self.share_left_at_least))
        no_rule, nothing = pa.scalar(None, pa.string()), pa.scalar(None, pa.float64())
        return Decision(
            pc.if_else(goes, rule, no_rule),
            pc.if_else(goes, pc.if_else(few, chars, share), nothing),
            pc.if_else(goes, bound, nothing),
        )


class _Meet(Round):
    """The one round: passages with equal hashes meet."""

    name = "meet"

    def __init__(self, step: RepeatedPassages) -> None:
        self._step = step
        places = (pa.field(name, pa.int64(), nullable=False) for name in ("start", "stop"))
        self.emits = pa.schema([*KEY, *places, *who(step.prefer)])

    def emit(
        self, kept: pa.RecordBatch, documents: pa.RecordBatch | None, told: pa.RecordBatch | None
    ) -> pa.RecordBatch:
        assert documents is not None, "there is no index and one round"
        found = line_spans(
            documents["text"],
            paragraphs=self._step.passage == "paragraph",
            chars_at_least=self._step.chars_at_least,
        )
        rows = kept.take(pa.array(found.rows))
        values = (found.hashes[:, 0], found.hashes[:, 1], found.starts, found.stops)
        own = [self.emits.field(n) for n in range(len(values))]
        arrays = [pa.array(v, f.type) for v, f in zip(values, own, strict=True)]
        return pa.record_batch([*arrays, *rows.columns], schema=pa.schema([*own, *rows.schema]))

    def reduce(self, rows: pa.Table) -> Reduced:
        """Counts: `repeated` passages, each once, and the `copies` of them that are cut."""
        sets = equal_sets(rows, within=("start",))
        goes = sets.leave & (sets.sizes >= self._step.occurrences_at_least)[sets.number]
        number = sets.number[goes]
        spans = _spans(rows, sets.rows[goes], sets.first[number], sets.sizes[number])
        return Reduced(verdicts=spans, counts={"repeated": len(np.unique(number)), "copies": len(number)})


def _spans(
    rows: pa.Table, cut: npt.NDArray[np.int64], keepers: npt.NDArray[np.int64], occurrences: npt.NDArray[np.int64]
) -> pa.Table:
    columns = [column(rows, name, cut) for name in ("shard", "row", "start", "stop")]
    ids = hex_from_bytes16(pc.take(rows["id"].combine_chunks(), pa.array(keepers)))
    whose = [ids, *(column(rows, name, keepers) for name in ("shard", "row"))]
    return pa.table([*columns, *whose, occurrences], schema=SPANS)


def _places(batch: pa.RecordBatch, spans: pa.RecordBatch, step: str) -> npt.NDArray[np.int64]:
    """Where in `batch` the row of each span is."""
    rows, wanted = batch["row"].to_numpy(), spans["row"].to_numpy()
    places: npt.NDArray[np.int64] = np.searchsorted(rows, wanted)
    if len(wanted) and (places[-1] == len(rows) or (rows[places] != wanted).any()):
        raise DataError(f"{step}: spans of rows that are not among the documents {rows[:1]} to {rows[-1:]}")
    return places
