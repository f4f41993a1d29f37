"""The inner loop. It exists once; every engine's shard task calls it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.errors import DataError, EngineError, TokenmillError
from tokenmill.core.stage import Decision, Filter, Stage
from tokenmill.manifests import ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """Documents that leave the run at one step, with one fate, and why: one entry per row of `batch`."""

    batch: pa.RecordBatch
    fate: str
    stage: str
    rule: pa.Array
    value: pa.Array | None = None
    bound: pa.Array | None = None
    keeper: pa.RecordBatch | None = None  # the columns of VERDICTS from `keeper` on


Leave = Callable[[Leaving], None]


def run_stages(stages: Sequence[Stage], batch: pa.RecordBatch, leave: Leave) -> pa.RecordBatch:
    """What is left of `batch` behind the last stage. Every row is either in it or was given to `leave`.

    A stage that raises on a batch is tried on each row alone: the rows it cannot take leave with fate
    `error`, the others go on. Raises DataError if a stage loses or reorders rows.
    """
    for stage in stages:
        if not batch.num_rows:
            break
        batch = (
            drop_decided(stage.name, batch, stage.decide(batch), leave)
            if isinstance(stage, Filter)
            else _apply(stage, batch, leave)
        )
        batch = count_chars_in(batch)
    return batch


def take_errors(batch: pa.RecordBatch, stage: str, leave: Leave) -> pa.RecordBatch:
    """Let the rows leave whose `error` is set."""
    if "error" not in batch.schema.names:  # behind a regroup only what is still read travels
        return batch
    errors = batch["error"]
    if errors.null_count == len(errors):
        return batch
    failed = pc.is_valid(errors)
    lost = batch.filter(failed)
    leave(Leaving(batch=lost, fate=ledger.ERROR, stage=stage, rule=lost["error"]))
    return batch.filter(pc.invert(failed))


def count_chars_in(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Fill `chars_in` where a document has a text for the first time."""
    counted = batch["chars_in"]
    if not counted.null_count:
        return batch
    filled = pc.coalesce(counted, pc.cast(pc.utf8_length(batch["text"]), pa.int64()))
    place = batch.schema.get_field_index("chars_in")
    return batch.set_column(place, batch.schema.field(place), filled)


def drop_decided(step: str, batch: pa.RecordBatch, decision: Decision, leave: Leave) -> pa.RecordBatch:
    """Let the rows leave that `decision` has a rule for, with its value and bound; the others."""
    leaves = pc.is_valid(decision.rule)
    if pc.any(leaves).as_py():
        leave(
            Leaving(
                batch=batch.filter(leaves),
                fate=ledger.DROPPED,
                stage=step,
                rule=decision.rule.filter(leaves),
                value=decision.value.filter(leaves),
                bound=decision.bound.filter(leaves),
            )
        )
        batch = batch.filter(pc.invert(leaves))
    return batch


def _apply(stage: Stage, batch: pa.RecordBatch, leave: Leave) -> pa.RecordBatch:
    try:
        result = stage.apply(batch)
    except (TokenmillError, MemoryError):
        raise
    except ImportError as error:  # no document is at fault, and all of them would be booked as errors
        raise EngineError(
            f"{stage.name}: {error}; install that where workers run, then run the same command again"
        ) from error
    except Exception as error:
        if batch.num_rows > 1:
            rows = [_apply(stage, batch.slice(i, 1), leave) for i in range(batch.num_rows)]
            return _joined(stage, batch, [r for r in rows if r.num_rows])
        reason = pa.array([f"{type(error).__name__}: {error}"[:200]], pa.string())
        leave(Leaving(batch=batch, fate=ledger.ERROR, stage=stage.name, rule=reason))
        return batch.slice(0, 0)
    if result.num_rows != batch.num_rows or not result["row"].equals(batch["row"]):
        raise DataError(
            f"{stage.name}: given {batch.num_rows} rows, returned {result.num_rows} or in another order; mend the stage"
        )
    return take_errors(result, stage.name, leave)


def _joined(stage: Stage, batch: pa.RecordBatch, rows: list[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch of the rows that survived one by one; with the stage's columns even if none did."""
    if not rows:
        absent = [f for f in stage.adds if f.name not in batch.schema.names]
        empty = batch.slice(0, 0)
        for field in absent:
            empty = empty.append_column(field, pa.array([], field.type))
        return empty
    return pa.concat_batches(rows)
