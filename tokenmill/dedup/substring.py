"""Cut out of documents what stands word for word in a preferred one, or earlier in the same: 50 tokens or more.

The definition. A text is a sequence of units (kernels/substring_units.py: tokens, or bytes), a window is `length`
consecutive ones. The windows of all documents are ordered by the document's preference (dedup/preference.py), then by
place. Of equal windows the first stays and the others leave, each with all its units, except that a window that
overlaps the first of its like in the same document leaves only what lies behind that: of periodic text the first
window stays whole. What leaves a document is the union of that.

That is what a suffix array finds. It marks [i, i + l) where l >= `length` is the longest match of place i with an
earlier one; all windows inside begin at places that match an earlier one in `length` units, so they are marked here;
and a window marked here matches an earlier place in at least `length` units, so it lies inside what is marked there.
Each unit that leaves has an equal one at an earlier place in the order, and that one, if it leaves too, another still
earlier: so no text is lost from all documents, other than with documents that are dropped whole.

How it is found without moving text. Each window has an anchor that its content decides (kernels/substring_winnow.py),
so a window whose anchor occurs once occurs once. Round 1 sends the anchors: 1.5 bytes per token. Round 2 sends, from
the documents that have an anchor which occurs more often, the hashes of the windows around it: 16 bytes for each
token in such stretches (kernels/substring_windows.py, which states the odds of a wrong match). Round 3 joins what was
found of one document into spans. Where most of the text is copies, round 2 is three times the text: so exact_dedup and
fuzzy_dedup belong before this. Only a key range is in memory at a time, but of that a key whole: an anchor that occurs
a million times is about 200 MB in one task, and linear work.

Lengths: 50 tokens is what Lee et al. 2022 (arXiv:2107.06499), RefinedWeb (arXiv:2306.01116) and Nemotron-CC
(arXiv:2412.02595) take, theirs of a subword vocabulary. Ours need no tokenizer; 50 are about 250 bytes of English.

This verdict has no index: the windows that later documents may repeat are 8 bytes per token, more than the text.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import pyarrow as pa

from tokenmill.core.barrier import Bounds, Round, SpanVerdict
from tokenmill.core.errors import RecipeError
from tokenmill.core.stage import Decision
from tokenmill.dedup.cut_out import check_bounds, cut_out, measures_of_cut
from tokenmill.dedup.preference import POLICY, check_policy, columns_of, who, who_is
from tokenmill.dedup.substring_rounds import Join, Match, Propose

LENGTH_AT_MOST = 10_000  # units: beyond it a row of windows is no narrow row


@dataclass(frozen=True, slots=True, kw_only=True)
class SubstringDedup(SpanVerdict):
    """What becomes of a document of which too little is left: dedup/cut_out.py.

    The pinned Unicode table says what a token is: when it changes, so must `revision`.
    """

    name: ClassVar[str] = "substring_dedup"
    revision: ClassVar[int] = 1
    adds: ClassVar[pa.Schema] = measures_of_cut(name)

    unit: Literal["tokens", "bytes"] = "tokens"
    length: int = 50  # units
    prefer: tuple[str, ...] = POLICY
    chars_left_at_least: int = 20
    share_left_at_least: float = 0.0  # of the characters, 0..1
    lost_share_at_most: float | None = 0.9  # of a source's bytes: beyond that a template, not passages; None: no bound

    def __post_init__(self) -> None:
        if self.unit not in ("tokens", "bytes"):
            raise RecipeError(f"{self.name}: unit={self.unit}, want tokens or bytes")
        if not 1 <= self.length <= LENGTH_AT_MOST:
            raise RecipeError(f"{self.name}: length={self.length}, want 1..{LENGTH_AT_MOST}")
        check_bounds(self.name, self.chars_left_at_least, self.share_left_at_least)
        self.bounds.check(self.name)
        check_policy(self.prefer, self.name)

    @property
    def reads(self) -> pa.Schema:
        return columns_of(self.prefer)

    @property
    def bounds(self) -> Bounds:
        return Bounds(lost_share_at_most=self.lost_share_at_most)

    @property
    def keeps(self) -> pa.Schema:
        return who(self.prefer)

    @property
    def rounds(self) -> tuple[Round, ...]:
        bytewise = self.unit == "bytes"
        return Propose(self.length, bytewise), Match(self.length, bytewise, self.keeps), Join()

    def observe(self, batch: pa.RecordBatch, summary: pa.Table | None) -> pa.RecordBatch:
        return pa.record_batch(who_is(batch, self.prefer, self.name), schema=self.keeps)

    def cut(self, batch: pa.RecordBatch, spans: pa.RecordBatch) -> tuple[pa.RecordBatch, Decision]:
        return cut_out(batch, spans, self.adds, self.chars_left_at_least, self.share_left_at_least)
