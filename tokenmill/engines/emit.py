"""The shard's side of a later round: what it remembers of the documents that were answered, keyed anew."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from tokenmill.core.barrier import COMPONENTS, Round
from tokenmill.engines.address import Addresses, addresses, is_among, of_shard
from tokenmill.engines.context import Context
from tokenmill.engines.index import check_index, read_index
from tokenmill.engines.keyed_file import KeyedFile
from tokenmill.engines.reduce import answer_schema, emission_schema, files_of
from tokenmill.engines.task import Receipt, Report, Task
from tokenmill.manifests.attempt import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitTask(Task):
    """Emit the rows of one round for one shard of the plan, or (negative) of the index.

    Memory: the answers about this shard, and a batch. The text is read in order, only those batches that hold a
    document which was answered, and only where the round wants it.
    """

    segment: int
    barrier: int
    round: int
    shard: int
    inputs: str

    def describe(self, context: Context) -> str:
        return (
            f"{context.verdict(self.segment, self.barrier).name}.{self._round(context).name} of {self._name(context)}"
        )

    def receipt(self, context: Context) -> str:
        barrier, round_ = context.verdict(self.segment, self.barrier), self._round(context)
        return context.receipt(f"emitted-{barrier.name}.{round_.name}", self._name(context).replace("/", "."))

    def run(self, context: Context, report: Report) -> Receipt:
        barrier, round_ = context.verdict(self.segment, self.barrier), self._round(context)
        told = self._told(context)
        asked = None if told is None else addresses(told)
        if self.shard < 0 and not self.round:
            check_index(context, barrier, self.shard)
        with Attempt(context.out) as attempt:
            file = attempt.file(context.emitted(barrier.name, round_, self._name(context)))
            emitted = KeyedFile(file, emission_schema(round_))
            if told is None or told.num_rows:
                for kept, documents in self._remembered(context, asked):
                    if told is None or asked is None:
                        emitted.write(round_.emit(kept, documents, None))
                    else:
                        mine = told.filter(pa.array(is_among(asked, addresses(kept))))
                        emitted.write(round_.emit(kept, documents, mine))
            emitted.close()
            return attempt.commit(self.receipt(context), {"inputs": self.fingerprint(context)})

    def _told(self, context: Context) -> pa.RecordBatch | None:
        """The answers of the round before about this shard; None in the first round."""
        if not self.round:
            return None
        barrier = context.verdict(self.segment, self.barrier)
        before = barrier.rounds[self.round - 1]
        schema = COMPONENTS if before.links else answer_schema(before)
        return of_shard(files_of(context, "answers", barrier, before), schema, self.shard)

    def _remembered(
        self, context: Context, asked: Addresses | None
    ) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch | None]]:
        """What was kept of the documents that are `asked` about (None: all), batch by batch; with the documents."""
        barrier, round_ = context.verdict(self.segment, self.barrier), self._round(context)
        if self.shard < 0:
            for batch in read_index(context, barrier, self.shard):
                some = batch if asked is None else batch.filter(pa.array(is_among(addresses(batch), asked)))
                if some.num_rows:
                    yield some, None
            return
        name = self._name(context)
        documents = None
        if round_.reads_text:
            documents = _Columns(context.out.path(context.survivors(self.segment, name)), list(barrier.reads.names))
        with pa.memory_map(str(context.out.path(context.kept(barrier.name, name)))) as file:
            reader = pa.ipc.open_file(file)
            for number in range(reader.num_record_batches):
                kept = reader.get_batch(number)
                if asked is None:
                    yield kept, documents.batch(number) if documents else None
                    continue
                chosen = pa.array(is_among(addresses(kept), asked))
                if chosen.true_count:
                    yield kept.filter(chosen), documents.batch(number).filter(chosen) if documents else None

    def _round(self, context: Context) -> Round:
        return context.verdict(self.segment, self.barrier).rounds[self.round]

    def _name(self, context: Context) -> str:
        return context.plan.shard_name(self.shard)


class _Columns:
    """Some columns of the documents that a segment left of a shard, batch by batch; nothing else is decompressed."""

    def __init__(self, path: Path, names: list[str]) -> None:
        self._file = pa.memory_map(str(path))
        schema = pa.ipc.open_file(self._file).schema
        places = [schema.get_field_index(name) for name in names]
        self._reader = pa.ipc.open_file(self._file, options=pa.ipc.IpcReadOptions(included_fields=places))

    def batch(self, number: int) -> pa.RecordBatch:
        return self._reader.get_batch(number)
