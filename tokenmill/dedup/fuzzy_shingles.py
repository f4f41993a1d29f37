"""The third round of fuzzy_dedup: what signatures left open meets again, with the shingles that decide it.

A shingle is 32 bits here: the half of its hash that signatures do not use. Among the shingles of two texts of n words
each some n^2 / 2^32 meet by chance: none at a thousand words, 2 of 200,000 at a hundred thousand.
"""

from typing import ClassVar, Literal, Protocol

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import ADDRESS, Reduced, Round
from tokenmill.dedup.fuzzy_signatures import KEY
from tokenmill.dedup.narrow_rows import column, matrix_of, verdicts
from tokenmill.dedup.preference import preference
from tokenmill.kernels.greedy_keepers import KEPT, Rule, settle
from tokenmill.kernels.shingle_sets import shingle_sets

SHINGLES = pa.field("shingles", pa.large_list(pa.uint32()), nullable=False)  # ascending
_STAYS = pa.field("stays", pa.bool_(), nullable=False)
_UNVERIFIED = pa.field("unverified", pa.int64(), nullable=False)


class Shingling(Protocol):
    """What the round must know of its verdict."""

    @property
    def unit(self) -> Literal["words", "characters"]: ...

    @property
    def shingle_length(self) -> int: ...


class Shingles(Round):
    """Reads the text of documents near the threshold once more. `reduce` holds their signatures and shingles."""

    name: ClassVar[str] = "shingles"
    reads_text: ClassVar[bool] = True

    def __init__(self, rule: Rule, keeps: pa.Schema, shingling: Shingling) -> None:
        self._rule = rule
        self._unit, self._length = shingling.unit, shingling.shingle_length
        self.emits = pa.schema([KEY, *keeps, _STAYS, _UNVERIFIED, SHINGLES])

    def emit(
        self, kept: pa.RecordBatch, documents: pa.RecordBatch | None, told: pa.RecordBatch | None
    ) -> pa.RecordBatch:
        assert told is not None
        if documents is None:
            shingles = kept["shingles"]  # of an index
        else:
            shingles = high_halves(documents["text"], self._length, self._unit, told["shows"].to_numpy(False))
        given = {"key": told["key"], "stays": told["stays"], "unverified": told["unverified"], "shingles": shingles}
        schema = pa.schema([*self.emits, *ADDRESS])
        return pa.record_batch([given[n] if n in given else kept[n] for n in schema.names], schema=schema)

    def reduce(self, rows: pa.Table) -> Reduced:
        """Counts: `compared` pairs, `exactly` those by shingles, `unverified` comparisons of documents that stay."""
        everyone = np.arange(rows.num_rows)
        order = np.lexsort(preference(rows, everyone))
        stays = rows["stays"].combine_chunks().to_numpy(zero_copy_only=False)
        hashes = self.emits.field("signature").type.byte_width // 4
        shingles = rows["shingles"].combine_chunks()
        offsets = shingles.offsets.to_numpy()
        values = shingles.values.to_numpy()
        found = settle(matrix_of(rows["signature"], hashes), order, stays, self._rule, values, offsets)
        removed = np.flatnonzero(found.keeper >= 0)
        kept = (found.state == KEPT) & ~stays
        prevented = found.unverified + column(rows, "unverified")
        counts = {
            "compared": found.compared,
            "exactly": found.exactly,
            "unverified": int(prevented[kept].sum()),
        }
        table = verdicts(rows, removed, found.keeper[removed], found.similarity[removed], found.band[removed])
        return Reduced(verdicts=table, counts=counts)


def high_halves(
    texts: pa.LargeStringArray,
    length: int,
    unit: Literal["words", "characters"],
    shown: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None,
) -> pa.LargeListArray:
    """The upper 32 bits of the distinct shingles of each text, ascending; where `shown` is given, of those alone."""
    if shown is not None:
        some = pa.array(shown)
        values, offsets = shingle_sets(texts.filter(some), length, unit)
        sizes = np.zeros(len(texts), np.int64)
        sizes[shown] = np.diff(offsets)
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
    else:
        values, offsets = shingle_sets(texts, length, unit)
    halves = (values >> np.uint64(32)).astype(np.uint32)
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(halves))
