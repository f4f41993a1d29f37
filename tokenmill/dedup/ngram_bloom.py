"""Cut out paragraphs most of whose 13-token runs a preferred document has: DCLM's dedup, the same in any order.

A paragraph is a line. It goes where at least `seen_share_at_least` of its n-grams were seen in documents of smaller
rank (dedup/ngram_filter.py). .8 over n-grams of 13 is DCLM's (arXiv:2406.11794, appendix on bff). Its keeper is the
document that most of the seen ones lead to. What is seen in a paragraph that goes itself counts for others too: so of
paragraphs that drift by a fifth from copy to copy, the far end goes with the rest, for a keeper that lost its own.

The error. Every n-gram that a document of smaller rank has is seen, so no repeated paragraph is missed, other than by
the verdict's own limits: those with fewer than `ngrams_at_least` n-grams are not judged, nor is what a document repeats
of itself. A new n-gram is taken for a seen one with odds e of at most (share of cells filled)^hashes; a filter of more
than `error_at_most` is refused. A paragraph of n new n-grams is then lost with odds of the tail of a binomial,
P(B(n, e) >= .8 n): at e = .1 and n = 5, where 4 suffice, 5 in 10,000; at n = 10 4 in 10 million.

When to take it: for paragraphs that come back with a few words changed, which substring_dedup leaves standing, and
where one filter in the memory of every worker holds all n-grams (dedup/ngram_filter.py), so that no row per token need
be sent or sorted. With all n-grams it is not smaller than substring_dedup; with one in 16 it is, for long paragraphs.
Both read the text twice.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.core.barrier import ADDRESS, SPANS, Bounds, Reduced, Round, SpanVerdict
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.stage import Decision
from tokenmill.dedup.cut_out import check_bounds, cut_out, measures_of_cut
from tokenmill.dedup.narrow_rows import BYTES16, column, halves, narrow_ids
from tokenmill.dedup.ngram_filter import ranks_of
from tokenmill.kernels.bloom_ngrams import paragraphs
from tokenmill.kernels.hashing import hex_from_bytes16

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NgramBloom(SpanVerdict):
    """Sends 36 bytes for each document and 44 for each paragraph that goes."""

    name: ClassVar[str] = "ngram_bloom"
    revision: ClassVar[int] = 1
    wants: ClassVar[str | None] = "ngram_filter"
    reads: ClassVar[pa.Schema] = pa.schema([("id", pa.string()), ("text", pa.large_string()), ("priority", pa.int32())])
    adds: ClassVar[pa.Schema] = measures_of_cut(name)

    seen_share_at_least: float = 0.8  # of the n-grams of a paragraph, 0..1
    ngrams_at_least: int = 5  # of the filter's sample in a paragraph, for its share to be believed
    error_at_most: float = 0.1  # odds of taking a new n-gram for a seen one, 0..1
    chars_left_at_least: int = 20
    share_left_at_least: float = 0.0
    lost_share_at_most: float | None = 0.9  # of a source's bytes: beyond that a template, not passages; None: no bound

    def __post_init__(self) -> None:
        if not 0 < self.seen_share_at_least <= 1:
            raise RecipeError(
                f"{self.name}: seen_share_at_least={self.seen_share_at_least}, want more than 0, at most 1"
            )
        if self.ngrams_at_least < 1:
            raise RecipeError(f"{self.name}: ngrams_at_least={self.ngrams_at_least}, want at least 1")
        if not 0 < self.error_at_most <= 1:
            raise RecipeError(f"{self.name}: error_at_most={self.error_at_most}, want more than 0, at most 1")
        check_bounds(self.name, self.chars_left_at_least, self.share_left_at_least)
        self.bounds.check(self.name)

    @property
    def bounds(self) -> Bounds:
        return Bounds(lost_share_at_most=self.lost_share_at_most)

    @property
    def keeps(self) -> pa.Schema:
        return pa.schema(
            [
                pa.field("rank", pa.uint64(), nullable=False),
                pa.field("id", BYTES16, nullable=False),
                pa.field(
                    "claims", pa.large_binary(), nullable=False
                ),  # start, stop and the keeper's rank: 24 bytes each
            ]
        )

    @property
    def rounds(self) -> tuple[Round, ...]:
        return (MeetOwners(),)

    def observe(self, batch: pa.RecordBatch, summary: pa.Table | None) -> pa.RecordBatch:
        """Raises DataError for a filter that is too full."""
        if summary is None:
            raise DataError(f"{self.name}: no filter; put {self.wants} before it")
        owners = np.frombuffer(summary["owners"].chunk(0).buffers()[2], np.uint64)
        tokens, hashes = summary["tokens"][0].as_py(), summary["hashes"][0].as_py()
        filled = summary["share_filled"][0].as_py()
        if filled**hashes > self.error_at_most:
            raise DataError(
                f"{self.name}: {filled:.0%} of the filter's cells are filled, so a new n-gram is taken for a seen one "
                f"with odds of {filled**hashes:.2g}, want at most {self.error_at_most}; raise {self.wants}.cells"
            )
        ranks = ranks_of(batch)
        found = paragraphs(batch["text"], ranks, tokens, hashes, owners, summary["one_in"][0].as_py())
        goes = (found.ngrams >= self.ngrams_at_least) & (found.seen >= self.seen_share_at_least * found.ngrams)
        claims = np.stack([found.starts, found.stops, found.firsts.view(np.int64)], axis=1)[goes]
        ends = np.searchsorted(found.owners[goes], np.arange(batch.num_rows + 1)) * 24
        buffers = [None, pa.py_buffer(ends.astype(np.int64)), pa.py_buffer(np.ascontiguousarray(claims))]
        packed = pa.Array.from_buffers(pa.large_binary(), batch.num_rows, buffers)
        return pa.record_batch([pa.array(ranks), narrow_ids(batch["id"], self.name), packed], schema=self.keeps)

    def cut(self, batch: pa.RecordBatch, spans: pa.RecordBatch) -> tuple[pa.RecordBatch, Decision]:
        return cut_out(batch, spans, self.adds, self.chars_left_at_least, self.share_left_at_least)


class MeetOwners(Round):
    """A filter knows its owners by rank alone: here each claim on a rank meets the document that has it."""

    name = "meet_owners"
    emits = pa.schema(
        [
            pa.field("key", pa.uint64(), nullable=False),  # a rank
            pa.field("id", BYTES16, nullable=False),
            pa.field("start", pa.int64(), nullable=False),  # -1: the document itself; else a paragraph of another
            pa.field("stop", pa.int64(), nullable=False),
        ]
    )

    def emit(
        self, kept: pa.RecordBatch, documents: pa.RecordBatch | None, told: pa.RecordBatch | None
    ) -> pa.RecordBatch:
        _, ends, data = kept["claims"].buffers()
        ends = np.frombuffer(ends, np.int64)[kept["claims"].offset :][: kept.num_rows + 1]
        claims = np.frombuffer(data if data is not None else b"", np.int64)[ends[0] // 8 : ends[-1] // 8].reshape(-1, 3)
        of = np.repeat(np.arange(kept.num_rows), np.diff(ends) // 24)
        itself = np.full(kept.num_rows, -1, np.int64)
        taken = pa.array(np.append(np.arange(kept.num_rows), of))
        columns = [
            pa.array(np.append(kept["rank"].to_numpy(), claims[:, 2].view(np.uint64))),
            kept["id"].take(taken),
            pa.array(np.append(itself, claims[:, 0])),
            pa.array(np.append(itself, claims[:, 1])),
            *(kept[name].take(taken) for name in ADDRESS.names),
        ]
        return pa.record_batch(columns, schema=pa.schema([*self.emits, *ADDRESS]))

    def reduce(self, rows: pa.Table) -> Reduced:
        """Counts: `paragraphs` that go, and those that stay because a verdict before this one removed their keeper."""
        rows = rows.combine_chunks()
        key, start = column(rows, "key"), column(rows, "start")
        documents, claims = np.flatnonzero(start < 0), np.flatnonzero(start >= 0)
        order = [column(rows, name, documents) for name in ("row", "shard")]
        documents = documents[np.lexsort([*order, *halves(rows, "id", documents), key[documents]])]
        place = np.searchsorted(key[documents], key[claims])  # the first of equal ranks
        place = np.minimum(place, len(documents) - 1)
        there = key[documents][place] == key[claims] if len(documents) else np.zeros(len(claims), np.bool_)
        claims, keepers = claims[there], documents[place[there]]
        shard, row = column(rows, "shard"), column(rows, "row")
        spans = [
            *(pa.array(column(rows, name, claims)) for name in ("shard", "row", "start", "stop")),
            hex_from_bytes16(rows["id"].combine_chunks().take(pa.array(keepers))),
            pa.array(shard[keepers]),
            pa.array(row[keepers]),
            pa.array(np.full(len(claims), 2, np.int64)),  # a filter does not count: here and there, at least
        ]
        counts = {"paragraphs": len(claims), "keepers_gone": int(np.sum(~there))}
        return Reduced(verdicts=pa.table(spans, schema=SPANS), counts=counts)
