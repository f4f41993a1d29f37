"""Books every document of one shard: its text where it belongs, one ledger row, one row of measures."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.document import TOKENS
from tokenmill.engines.context import Context
from tokenmill.engines.loop import Leaving
from tokenmill.manifests import ledger
from tokenmill.manifests.attempt import Attempt
from tokenmill.manifests.ledger import LEDGER
from tokenmill.manifests.parquet_file import ParquetFile, conform
from tokenmill.manifests.totals import Totals


class Outcome:
    """For one shard of one segment. Memory: some 600 bytes per document of the shard, beside one batch."""

    def __init__(self, context: Context, attempt: Attempt, segment: int, shard: str) -> None:
        self._context = context
        self._attempt = attempt
        self._segment = segment
        self._shard = shard
        self._dropped: ParquetFile | None = None
        self._ledger: list[pa.RecordBatch] = []
        self._measures: list[pa.RecordBatch] = []
        self.left = 0

    def leave(self, leaving: Leaving) -> None:
        """Documents leave: their text goes to dropped/, unless the recipe does not want it."""
        batch = leaving.batch
        self.left += batch.num_rows
        if self._dropped is None and self._context.plan.recipe.keeps_dropped:
            path = self._context.dropped(self._segment, self._shard)
            self._dropped = self._attempt.parquet(path, "dropped", self._context.documents)
        if self._dropped is not None:
            self._dropped.write(batch)
        self._book(batch, leaving.fate, leaving)

    def keep(self, batch: pa.RecordBatch) -> None:
        """Documents have arrived: nothing behind this segment can drop them."""
        self._book(batch, ledger.KEPT, None)

    def close(self) -> Totals:
        """In the closing segment, write ledger and measures, whole and in order of rows; before it, put them by.

        Returns the totals of what was written: empty before the closing segment.
        """
        context, shard = self._context, self._shard
        booked = {
            "ledger": pa.Table.from_batches(self._ledger, LEDGER),
            "measures": pa.Table.from_batches(self._measures, context.measures),
        }
        if self._segment < context.closing:
            for what, table in booked.items():
                with pa.ipc.new_file(
                    self._attempt.file(context.left(self._segment, shard, what)), table.schema
                ) as writer:
                    writer.write_table(table)
            return Totals()
        totals = Totals()
        for what, table in booked.items():
            earlier = [_read(context.out.path(context.left(n, shard, what))) for n in range(self._segment)]
            whole = pa.concat_tables([*earlier, table]).combine_chunks()
            whole = whole.take(pa.array(np.argsort(whole["row"].to_numpy(), kind="stable")))
            schema = LEDGER if what == "ledger" else context.measures
            file = self._attempt.parquet(f"{what}/{shard}.parquet", what, schema)
            for batch in whole.to_batches(max_chunksize=1 << 16):
                file.write(batch)
            if what == "ledger":
                totals = Totals.of(whole)
        return totals

    def _book(self, batch: pa.RecordBatch, fate: str, leaving: Leaving | None) -> None:
        n = batch.num_rows
        text = pa.scalar(None, pa.string())
        chars_in = pc.fill_null(batch["chars_in"], 0)
        kept = fate == ledger.KEPT
        chars_out = (
            pc.cast(pc.fill_null(pc.utf8_length(batch["text"]), 0), pa.int64())
            if kept
            else pa.array(np.zeros(n, np.int64))
        )
        columns: dict[str, pa.Array] = {
            "id": batch["id"],
            "shard": self._context.shard_names(batch["shard"]),
            "row": batch["row"],
            "fate": pa.repeat(fate, n),
            "stage": pa.repeat(leaving.stage if leaving else text, n),
            "chars_in": chars_in,
            "chars_out": chars_out,
        }
        if kept and TOKENS.name in batch.schema.names:
            columns["tokens"] = batch[TOKENS.name]
        if "parent" in batch.schema.names:
            columns["parent"] = batch["parent"]
        if leaving is not None:
            columns["rule"] = leaving.rule
            if leaving.value is not None:
                columns["value"], columns["bound"] = leaving.value, leaving.bound
            if (keeper := leaving.keeper) is not None:
                columns["keeper"], columns["keeper_row"] = keeper["keeper"], keeper["keeper_row"]
                columns["keeper_shard"] = self._context.shard_names(keeper["keeper_shard"])
                columns["similarity"], columns["band"] = keeper["similarity"], keeper["band"]
        self._ledger.append(conform(pa.RecordBatch.from_pydict(columns), LEDGER))
        self._measures.append(conform(batch, self._context.measures))


def _read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()
