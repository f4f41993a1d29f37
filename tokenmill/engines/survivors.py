"""What a segment begins with behind barriers: the documents that the last one left, less what was decided since."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import SpanVerdict, Verdict
from tokenmill.engines.address import is_among, with_address
from tokenmill.engines.context import Context
from tokenmill.engines.index import index_schema
from tokenmill.engines.loop import Leave, Leaving, drop_decided
from tokenmill.engines.plan import InputShard
from tokenmill.engines.reduce import verdicts_of
from tokenmill.manifests import ledger
from tokenmill.manifests.attempt import Attempt
from tokenmill.manifests.ledger import SPAN_EVIDENCE
from tokenmill.manifests.parquet_file import ParquetFile, conform


class Survivors:
    """Of one shard, batch by batch. Memory: a batch, and the verdicts about the shard."""

    def __init__(self, context: Context, attempt: Attempt, segment: int, shard: InputShard, leave: Leave) -> None:
        self._context, self._attempt, self._segment, self._shard = context, attempt, segment, shard
        self._leave = leave
        barriers = context.verdicts_before(segment)
        indexed = context.indexed_barriers
        self._judges = [_Judge(context, attempt, b, shard) for b in barriers]
        self._indexers = [_Indexer(context, attempt, b, shard) if b in indexed else None for b in barriers]

    def batches(self, arrived: Callable[[int], None]) -> Iterator[pa.RecordBatch]:
        """`arrived` is told how many documents each batch had before anything was decided about them."""
        path = self._context.survivors(self._segment - 1, self._shard.name)
        with pa.memory_map(str(self._context.out.path(path))) as file:
            reader = pa.ipc.open_file(file)
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                arrived(batch.num_rows)
                for judge, indexer in zip(self._judges, self._indexers, strict=True):
                    batch = judge.apply(batch, self._leave) if batch.num_rows else batch
                    if indexer is not None:  # at once: what comes next may cut the text that was compared
                        indexer.take(number, batch)
                yield batch
        for indexer in self._indexers:
            if indexer is not None:
                indexer.close()


class _Judge:
    """Carries one barrier's verdicts about one shard out."""

    def __init__(self, context: Context, attempt: Attempt, barrier: Verdict, shard: InputShard) -> None:
        self._barrier = barrier
        self._verdicts = verdicts_of(context, barrier, shard.index)
        self._rows = self._verdicts["row"].to_numpy()
        self._spans: ParquetFile | None = None
        self._context = context
        if isinstance(barrier, SpanVerdict):
            self._spans = attempt.parquet(context.spans(barrier.name, shard.name), "spans", SPAN_EVIDENCE)

    def apply(self, batch: pa.RecordBatch, leave: Leave) -> pa.RecordBatch:
        if isinstance(self._barrier, SpanVerdict):
            return self._cut(self._barrier, batch, leave)
        rows = batch["row"].to_numpy()
        leaves = is_among(rows, self._rows)
        if not leaves.any():
            return batch
        gone = batch.filter(pa.array(leaves))
        leave(
            Leaving(
                batch=gone,
                fate=ledger.DUPLICATE,
                stage=self._barrier.name,
                rule=pa.repeat(self._barrier.name, gone.num_rows),
                keeper=self._verdicts.take(pa.array(np.searchsorted(self._rows, rows[leaves]))),
            )
        )
        return batch.filter(pa.array(~leaves))

    def _cut(self, barrier: SpanVerdict, batch: pa.RecordBatch, leave: Leave) -> pa.RecordBatch:
        rows = batch["row"].to_numpy()
        first, last = np.searchsorted(self._rows, rows[0], "left"), np.searchsorted(self._rows, rows[-1], "right")
        spans = self._verdicts.slice(int(first), int(last - first))
        spans = spans.filter(pa.array(is_among(spans["row"].to_numpy(), rows)))  # rows may have left since
        if spans.num_rows and self._spans is not None:
            ids = batch["id"].take(pa.array(np.searchsorted(rows, spans["row"].to_numpy())))
            named = self._context.shard_names(spans["keeper_shard"])
            place = spans.schema.get_field_index("keeper_shard")
            named_spans = spans.set_column(place, "keeper_shard", named).append_column("id", ids)
            self._spans.write(conform(named_spans, SPAN_EVIDENCE))
        cut, decision = barrier.cut(batch, spans)
        return drop_decided(barrier.name, cut, decision, leave)


class _Indexer:
    """Puts by what one barrier knows of the documents that it lets pass."""

    def __init__(self, context: Context, attempt: Attempt, barrier: Verdict, shard: InputShard) -> None:
        self._barrier = barrier
        kept = pa.memory_map(str(context.out.path(context.kept(barrier.name, shard.name))))
        self._kept = pa.ipc.open_file(kept)
        self._schema = index_schema(barrier)
        file = attempt.file(context.left_for_index(barrier.name, shard.name))
        self._writer = pa.ipc.new_file(file, self._schema)

    def take(self, number: int, batch: pa.RecordBatch) -> None:
        """The survivors of batch `number`, which `keeps` lies beside."""
        kept = self._kept.get_batch(number)
        kept = kept.filter(pa.array(is_among(kept["row"].to_numpy(), batch["row"].to_numpy())))
        self._writer.write_batch(with_address(self._barrier.indexed(kept, batch), batch).select(self._schema.names))

    def close(self) -> None:
        self._writer.close()
