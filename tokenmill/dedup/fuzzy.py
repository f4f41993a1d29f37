"""Keep one of each set of documents that share most of their shingles.

LSH proposes: documents with all hashes of some band equal are candidates, which a pair of similarity s becomes with
odds 1 - (1 - s^rows_per_band)^bands. Verification decides: over the candidates whose Jaccard similarity is at least
`threshold`, walk the documents in order of preference; a document is kept unless a kept one is paired with it, and the
most preferred such is its keeper (kernels/greedy_keepers.py). A pair is decided by its signatures where they are more
than four standard errors from the threshold (odds of an error at that distance 3e-5), else by its shingles.

Three rounds. `bands` (fuzzy_bands.py): narrow rows keyed by a hash of each band find out who shares one, and which
documents hang together. `signatures` (fuzzy_signatures.py): each component meets and decides what signatures can
decide. `shingles` (fuzzy_shingles.py): what is left open meets once more, with the shingle hashes of just those
documents, for which their text is read a second time.

Documents with fewer words than a shingle are equal only to those with the same bytes. A null text is compared with
nothing. Presets: 5 words, 14 x 8 (FineWeb, arXiv:2406.17557, which removes on a shared band alone: a pair at .75 is
found with odds of 77%, one at .6 with 21%), and those at the end of this file.
"""

from dataclasses import dataclass
from math import ceil, sqrt
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.core.barrier import Bounds, Round, Verdict
from tokenmill.core.errors import RecipeError
from tokenmill.core.step import canonical_json
from tokenmill.dedup.fuzzy_bands import Bands
from tokenmill.dedup.fuzzy_shingles import SHINGLES, Shingles, high_halves
from tokenmill.dedup.fuzzy_signatures import Signatures
from tokenmill.dedup.narrow_rows import first_half
from tokenmill.dedup.preference import POLICY, check_policy, columns_of, recalled, who, who_is
from tokenmill.kernels.device import chosen
from tokenmill.kernels.greedy_keepers import Rule
from tokenmill.kernels.minhash_cuda import signatures_on

STANDARD_ERRORS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzyDedup(Verdict):
    """Remembers 4 * bands * rows_per_band + 32 + 8 * len(prefer) bytes per document (496 by default).

    Emits 20 bytes per band and document, then what it remembers of candidates, then the shingles (4 bytes each) of
    those that are near the threshold. The pinned Unicode table says what a word is: when it changes, so must
    `revision`.
    """

    name: ClassVar[str] = "fuzzy_dedup"
    revision: ClassVar[int] = 2

    unit: Literal["words", "characters"] = "words"
    shingle_length: int = 5  # words or characters
    bands: int = 14
    rows_per_band: int = 8
    threshold: float = 0.75  # 0..1, Jaccard similarity of the sets of shingles
    seed: int = 1
    prefer: tuple[str, ...] = POLICY
    comparisons_at_most: int = 2000  # per document: some 50 microseconds; what it prevents is counted as `unverified`
    lost_share_at_most: float | None = 0.95  # of a source: beyond that templates or a broken extractor, not copies
    cluster_at_most: int | None = 1_000_000  # documents for one keeper: a hundredth of the largest public dump's pages

    def __post_init__(self) -> None:
        for field in ("shingle_length", "bands", "rows_per_band", "comparisons_at_most"):
            if getattr(self, field) < 1:
                raise RecipeError(f"{self.name}: {field}={getattr(self, field)}, want at least 1")
        if not 0 < self.threshold <= 1:
            raise RecipeError(f"{self.name}: threshold={self.threshold}, want more than 0 and at most 1")
        if self.unit not in ("words", "characters"):
            raise RecipeError(f"{self.name}: unit={self.unit}, want words or characters")
        check_policy(self.prefer, self.name)
        self.bounds.check(self.name)

    @property
    def reads(self) -> pa.Schema:
        return columns_of(self.prefer)

    @property
    def hashes(self) -> int:
        """Places in a signature."""
        return self.bands * self.rows_per_band

    @property
    def keeps(self) -> pa.Schema:
        return pa.schema(
            [
                *who(self.prefer),
                pa.field("signature", pa.binary(4 * self.hashes), nullable=False),  # uint32, little-endian
            ]
        )

    @property
    def rounds(self) -> tuple[Round, ...]:
        rule, keeps = self.rule, self.keeps
        return (Bands(self.bands, self.hashes), Signatures(rule, keeps), Shingles(rule, keeps, self))

    @property
    def rule(self) -> Rule:
        """`surely` and `maybe` are the places beyond which signatures decide alone."""
        margin = STANDARD_ERRORS * sqrt(self.threshold * (1 - self.threshold) / self.hashes)
        return Rule(
            bands=self.bands,
            threshold=self.threshold,
            surely=min(self.hashes, ceil(self.hashes * (self.threshold + margin))),
            maybe=max(1, ceil(self.hashes * (self.threshold - margin))),
            comparisons_at_most=self.comparisons_at_most,
        )

    @property
    def bounds(self) -> Bounds:
        return Bounds(lost_share_at_most=self.lost_share_at_most, cluster_at_most=self.cluster_at_most)

    def observe(self, batch: pa.RecordBatch, summary: pa.Table | None) -> pa.RecordBatch:
        known = who_is(batch, self.prefer, self.name)
        places, shingles = signatures_on(
            chosen(), batch["text"], self.hashes, self.shingle_length, self.seed, self.unit
        )
        short = np.flatnonzero(shingles == 0)
        places[short] = _signatures_of_short(first_half(known[-1])[short], self.hashes)
        packed = pa.Array.from_buffers(pa.binary(4 * self.hashes), batch.num_rows, [None, pa.py_buffer(places)])
        return pa.record_batch([*known, packed], schema=self.keeps)

    @property
    def index(self) -> pa.Schema:
        return pa.schema([*self.keeps, SHINGLES])

    @property
    def index_version(self) -> str:
        """Signatures and shingles are the same where these are; threshold, policy and bounds may differ."""
        shared = [self.revision, self.unit, self.shingle_length, self.bands * self.rows_per_band, self.seed]
        return canonical_json([*shared, len(self.prefer)])

    def indexed(self, kept: pa.RecordBatch, documents: pa.RecordBatch) -> pa.RecordBatch:
        return kept.append_column(SHINGLES, high_halves(documents["text"], self.shingle_length, self.unit))

    def recalled(self, rows: pa.RecordBatch, priority: int) -> pa.RecordBatch:
        return recalled(rows, self.prefer, priority)


def _signatures_of_short(contents: npt.NDArray[np.uint64], hashes: int) -> npt.NDArray[np.uint32]:
    """Signatures that agree everywhere or nowhere: the text's hash, spread by an odd multiplier for each place."""
    multipliers = (np.arange(hashes, dtype=np.uint64) * np.uint64(2) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return ((contents[:, None] * multipliers[None, :]) >> np.uint64(32)).astype(np.uint32)


# Nemotron-CC (arXiv:2412.02595) and its open recipe: half of the pairs at .77 become candidates, 68% at .8, 92% at .85.
CHARACTERS_20X13 = FuzzyDedup(unit="characters", shingle_length=24, bands=20, rows_per_band=13, threshold=0.8, seed=42)
# The bands of Dolma's tool, there over tokens: half of the pairs at .72 become candidates, 67% at .75, 90% at .8.
CHARACTERS_26X11 = FuzzyDedup(unit="characters", shingle_length=24, bands=26, rows_per_band=11, threshold=0.75, seed=42)
