"""The barrier at which whole rows move: each shard is scattered into pieces, each group gathers its own."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import pyarrow as pa

from tokenmill.core.barrier import Regroup
from tokenmill.core.document import BATCH_BYTES, SHARD_NAME
from tokenmill.core.errors import DataError
from tokenmill.core.format import Format
from tokenmill.engines.context import Context
from tokenmill.engines.keyed_file import KeyedFile
from tokenmill.engines.loop import run_stages
from tokenmill.engines.merge import rows_between
from tokenmill.engines.summary import read_summary
from tokenmill.engines.task import Receipt, Report, Task
from tokenmill.manifests.attempt import Attempt

CONTENT_DIGITS = 8  # of a shard's hash in its name: Megatron caches by path, so other content needs another path


def regroup_of(context: Context, segment: int) -> Regroup:
    regroup = context.regroup_of(segment)
    assert regroup is not None
    return regroup


@dataclass(frozen=True, slots=True, kw_only=True)
class ScatterTask(Task):
    """Sort the rows of one shard by the group they go to. Memory: one batch."""

    segment: int
    shard: int
    inputs: str

    def describe(self, context: Context) -> str:
        return f"{regroup_of(context, self.segment).name} of {context.plan.shards[self.shard].name}"

    def receipt(self, context: Context) -> str:
        return context.receipt(f"scatter-{self.segment}", context.plan.shards[self.shard].name)

    def run(self, context: Context, report: Report) -> Receipt:
        regroup = regroup_of(context, self.segment)
        shard = context.plan.shards[self.shard]
        summary = read_summary(context, regroup.wants)
        groups = regroup.groups(summary)
        with (
            Attempt(context.out) as attempt,
            pa.memory_map(str(context.out.path(context.survivors(self.segment, shard.name)))) as file,
        ):
            reader = pa.ipc.open_file(file)
            key = pa.field("key", pa.int32())
            pieces = KeyedFile(attempt.file(context.pieces(regroup.name, shard.name)), reader.schema.append(key))
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                group = regroup.assign(batch, summary)
                _check_groups(regroup, group, batch.num_rows, len(groups))
                pieces.write(batch.append_column(key, group))
            pieces.close()
            return attempt.commit(self.receipt(context), {"inputs": self.fingerprint(context)})


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherTask(Task):
    """Put one group in order and run the last segment on it. Memory: the group, twice."""

    segment: int
    group: int
    name: str
    inputs: str

    def describe(self, context: Context) -> str:
        return f"{self.name}, segment {self.segment}"

    def receipt(self, context: Context) -> str:
        return context.receipt(f"segment-{self.segment}", self.name)

    def run(self, context: Context, report: Report) -> Receipt:
        regroup = regroup_of(context, self.segment - 1)
        place = context.segments[self.segment - 1].barriers.index(regroup)
        batches = list(rows_between(context, self.segment - 1, place, 0, self.group, self.group + 1))
        with Attempt(context.out) as attempt:
            body = {"inputs": self.fingerprint(context), "documents": sum(b.num_rows for b in batches)}
            if batches:  # a group that no document chose has no file
                rows = pa.Table.from_batches(batches).drop_columns("key")
                rows = rows.take(regroup.arrange(rows)).combine_chunks()
                self._write(context, attempt, _in_batches(rows))
            return attempt.commit(self.receipt(context), body)

    def _write(self, context: Context, attempt: Attempt, batches: Iterable[pa.RecordBatch]) -> None:
        stages = context.segments[self.segment].stages
        done = (run_stages(stages, batch, _nothing_leaves) for batch in batches)
        if context.plan.recipe.format is None:
            file = attempt.parquet(f"documents/{self.name}.parquet", "documents", context.documents)
            for batch in done:
                file.write(batch)
        else:
            named = (b.append_column(SHARD_NAME, context.shard_names(b["shard"])) for b in done)
            _write_format(context.plan.recipe.format, self.name, attempt, named)


def _write_format(format_: Format, name: str, attempt: Attempt, batches: Iterable[pa.RecordBatch]) -> None:
    """One shard in the recipe's format, named by its content."""
    files = {}
    rows = 0

    def create(suffix: str) -> BinaryIO:
        files[suffix] = attempt.file(f"{format_.folder}/{name}{suffix}", format_.folder)
        return cast(BinaryIO, files[suffix])

    def counted() -> Iterable[pa.RecordBatch]:
        nonlocal rows
        for batch in batches:
            rows += batch.num_rows
            yield batch

    format_.write(counted(), create)
    if set(files) != set(format_.suffixes):
        raise DataError(f"{format_.name}: wrote {sorted(files)}, promises {sorted(format_.suffixes)}; mend the format")
    for file in files.values():
        file.close()
    content = hashlib.sha256("".join(files[s].sha256 for s in format_.suffixes).encode()).hexdigest()[:CONTENT_DIGITS]
    for suffix in format_.suffixes:
        final = f"{format_.folder}/{name}-{content}{suffix}"
        attempt.content_name(f"{format_.folder}/{name}{suffix}", final)
        attempt.count_rows(final, rows)


def _in_batches(rows: pa.Table) -> Iterable[pa.RecordBatch]:
    """Batches of about BATCH_BYTES."""
    per_row = max(1, rows.nbytes // max(1, rows.num_rows))
    return cast(Iterable[pa.RecordBatch], rows.to_batches(max_chunksize=max(1, BATCH_BYTES // per_row)))


def _check_groups(regroup: Regroup, group: pa.Int32Array, rows: int, groups: int) -> None:
    values = group.to_numpy(zero_copy_only=False)
    if len(values) != rows or group.null_count or (rows and not (values.min() >= 0 and values.max() < groups)):
        raise DataError(f"{regroup.name}: assign() must give {rows} groups in 0..{groups - 1}; mend the barrier")


def _nothing_leaves(leaving: Any) -> None:
    raise DataError(
        f"{leaving.stage}: failed on {leaving.batch.num_rows} rows behind a regroup ({leaving.rule[0]}); "
        "nothing may leave there"
    )
