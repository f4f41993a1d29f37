"""The second round of fuzzy_dedup: each component meets, and signatures decide what they can."""

from typing import ClassVar

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import ADDRESS, Reduced, Round
from tokenmill.dedup.narrow_rows import column, matrix_of, verdicts
from tokenmill.dedup.preference import preference
from tokenmill.kernels.greedy_keepers import KEPT, NEEDS_SHINGLES, REMOVED, Rule, propose

KEY = pa.field("key", pa.uint64(), nullable=False)  # of the component


class Signatures(Round):
    """Candidates emit what is remembered of them. `reduce` holds all signatures once beside its rows.

    Answers go to documents that the third round needs: to their component, whether they stay in any case, whether they
    must show their shingles, and how many comparisons the cap has prevented so far.
    """

    name: ClassVar[str] = "signatures"
    answers: ClassVar[pa.Schema] = pa.schema(
        [
            KEY,
            pa.field("stays", pa.bool_(), nullable=False),
            pa.field("shows", pa.bool_(), nullable=False),
            pa.field("unverified", pa.int64(), nullable=False),
        ]
    )

    def __init__(self, rule: Rule, keeps: pa.Schema) -> None:
        self._rule = rule
        self.emits = pa.schema([KEY, *keeps])

    def emit(
        self, kept: pa.RecordBatch, documents: pa.RecordBatch | None, told: pa.RecordBatch | None
    ) -> pa.RecordBatch:
        assert told is not None
        names = [name for name in self.emits.names if name != "key"]
        columns = [told["component"], *(kept[name] for name in (*names, *ADDRESS.names))]
        return pa.record_batch(columns, schema=pa.schema([*self.emits, *ADDRESS]))

    def reduce(self, rows: pa.Table) -> Reduced:
        """Counts: `candidates`; pairs `compared`; `open` documents, and `unverified` comparisons of those kept."""
        everyone = np.arange(rows.num_rows)
        order = np.lexsort(preference(rows, everyone))
        stays = column(rows, "shard") < 0
        hashes = self.emits.field("signature").type.byte_width // 4
        found = propose(matrix_of(rows["signature"], hashes), order, stays, self._rule)
        removed = np.flatnonzero(found.keeper >= 0)
        asked = np.flatnonzero(found.asked)
        columns = [
            *(rows[name].combine_chunks().take(pa.array(asked)) for name in (*ADDRESS.names, "key")),
            pa.array(found.state[asked] == KEPT),
            pa.array((found.asked[asked] & NEEDS_SHINGLES) > 0),
            pa.array(found.unverified[asked]),
        ]
        still_open = (found.asked > 0) & (found.state != KEPT)
        counts = {
            "candidates": rows.num_rows,
            "compared": found.compared,
            "open": int(still_open.sum()),
            "unverified": int(found.unverified[(found.state != REMOVED) & ~still_open].sum()),
        }
        table = verdicts(rows, removed, found.keeper[removed], found.similarity[removed], found.band[removed])
        return Reduced(
            verdicts=table, answers=pa.table(columns, schema=pa.schema([*ADDRESS, *self.answers])), counts=counts
        )
