"""Keep one of each set of documents that share most of their word shingles.

LSH proposes: documents with all hashes of some band equal are candidates, which a pair of similarity s becomes
with odds 1 - (1 - s^rows_per_band)^bands. Verification decides: over the pairs whose signatures agree in at least
`threshold` of their places, walk the documents in order of preference (priority, longer text first, id, content
hash, shard, row); a document is kept unless a kept one is paired with it, and the most preferred such is its
keeper (kernels/greedy_keepers.py).

Defaults: 5-word shingles, 14 bands of 8 hashes, threshold .75 (FineWeb, arXiv:2406.17557, which removes on a shared
band alone: a pair at .75 is found with odds of 77%, one at .6 with 21%). The estimate has a standard error of .04
at .75. Documents with fewer words than a shingle have none and are never compared here; exact_dedup handles them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.barrier import Verdict
from tokenmill.core.errors import RecipeError
from tokenmill.dedup.narrow_rows import BYTES16, column, content_hash, narrow_ids, tail_of_preference, verdicts
from tokenmill.kernels.greedy_keepers import greedy_keepers
from tokenmill.kernels.minhash import signatures


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzyDedup(Verdict):
    """Emits 4 * bands * rows_per_band + 56 bytes per document (504 by default).

    `decide` holds all signatures once beside its input, 448 bytes per row by default, and about 150 more: 600 MB and
    3 s of one core per million documents (measured on 10% near-duplicates). The pinned Unicode table says what a word
    is: when it changes, so must `revision`.
    """

    name: ClassVar[str] = "fuzzy_dedup"
    revision: ClassVar[int] = 1
    whole: ClassVar[bool] = True
    reads: ClassVar[pa.Schema] = pa.schema([("id", pa.string()), ("text", pa.large_string()), ("priority", pa.int32())])

    shingle_words: int = 5
    bands: int = 14
    rows_per_band: int = 8
    threshold: float = 0.75  # 0..1, share of equal hashes
    seed: int = 1
    comparisons_at_most: int = 10_000  # per document: about 0.1 ms; what it prevents is counted as `unverified`

    def __post_init__(self) -> None:
        for field in ("shingle_words", "bands", "rows_per_band", "comparisons_at_most"):
            if getattr(self, field) < 1:
                raise RecipeError(f"{self.name}: {field}={getattr(self, field)}, want at least 1")
        if not 0 < self.threshold <= 1:
            raise RecipeError(f"{self.name}: threshold={self.threshold}, want more than 0 and at most 1")

    @property
    def hashes(self) -> int:
        """Places in a signature."""
        return self.bands * self.rows_per_band

    @property
    def emits(self) -> pa.Schema:  # its width follows from the parameters
        return pa.schema(
            [
                pa.field("key", pa.uint64(), nullable=False),  # 0: all documents meet
                pa.field("signature", pa.binary(4 * self.hashes), nullable=False),  # uint32, little-endian
                pa.field("shingles", pa.int32(), nullable=False),  # with repeats; 0: no candidate
                pa.field("priority", pa.int32(), nullable=False),
                pa.field("chars", pa.int64(), nullable=False),
                pa.field("id", BYTES16, nullable=False),
                pa.field("content", BYTES16),
            ]
        )

    def emit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        text = batch["text"]
        signature, shingles = signatures(text, self.hashes, self.shingle_words, self.seed)
        return pa.record_batch(
            [
                pa.array(np.zeros(batch.num_rows, np.uint64)),
                pa.Array.from_buffers(pa.binary(4 * self.hashes), batch.num_rows, [None, pa.py_buffer(signature)]),
                pa.array(np.minimum(shingles, np.iinfo(np.int32).max).astype(np.int32)),
                batch["priority"],
                pc.fill_null(pc.utf8_length(text), 0),
                narrow_ids(batch["id"], self.name),
                content_hash(text),
            ],
            schema=self.emits,
        )

    def decide(self, rows: pa.Table) -> tuple[pa.Table, Mapping[str, int]]:
        """Counts: `compared` pairs, `verified` ones, and comparisons that the cap prevented (`unverified`)."""
        some = np.flatnonzero(column(rows, "shingles"))
        order = np.lexsort(
            [*tail_of_preference(rows, some), -column(rows, "chars", some), column(rows, "priority", some)]
        )
        found = greedy_keepers(
            self._signatures(rows), some[order], self.bands, self._equal_at_least(), self.comparisons_at_most
        )
        removed = np.flatnonzero(found.keeper >= 0)
        similarity = (found.equal[removed] / self.hashes).astype(np.float32)
        counts = {"compared": found.compared, "verified": found.verified, "unverified": found.unverified}
        return verdicts(rows, removed, found.keeper[removed], similarity), counts

    def _equal_at_least(self) -> int:
        """The fewest equal places whose share is not below the threshold."""
        return next(equal for equal in range(self.hashes + 1) if equal / self.hashes >= self.threshold)

    def _signatures(self, rows: pa.Table) -> npt.NDArray[np.uint32]:
        """uint32[n, hashes]: a view of the column where it is one chunk, else its only copy."""
        chunks = [_matrix(chunk, self.hashes) for chunk in rows["signature"].chunks if len(chunk)]
        if len(chunks) == 1:
            return chunks[0]
        return np.concatenate([np.zeros((0, self.hashes), np.uint32), *chunks])


def _matrix(chunk: pa.FixedSizeBinaryArray, hashes: int) -> npt.NDArray[np.uint32]:
    places = np.frombuffer(chunk.buffers()[1], "<u4")
    return places[chunk.offset * hashes : (chunk.offset + len(chunk)) * hashes].reshape(-1, hashes)
