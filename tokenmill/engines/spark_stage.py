"""Our stages on a user's own DataFrame: `frame.mapInArrow(*map_in_arrow(frame.schema, GopherQuality()))`.

All stages run in one pass, batch by batch, in Spark's Python workers. Every other column of the frame passes through.
"""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.pandas.types import from_arrow_type, to_arrow_schema
from pyspark.sql.types import StructField, StructType

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.stage import Stage

Batches = Iterator[pa.RecordBatch]


def map_in_arrow(schema: StructType, *stages: Stage) -> tuple[Callable[[Batches], Batches], StructType]:
    """The function, and the schema of what it gives: `schema`, and the columns that `stages` add or change.

    A filter drops rows; a row that a stage cannot handle keeps its reason in the column `error`, where a stage adds
    one. Raises RecipeError where a column is missing that a stage reads, or is of a type that does not fit.
    """
    came = to_arrow_schema(schema, timezone="UTC")  # whichever it is, a timestamp passes as it came
    columns = _checked(came, stages)
    goes = pa.schema([pa.field(f.name, _spark_type(f.type), f.nullable) for f in columns])
    fields = {f.name: f for f in schema.fields}
    same = {f.name for f in came if f.name in fields and _spark_type(columns.field(f.name).type) == f.type}
    result = StructType(
        [fields[f.name] if f.name in same else StructField(f.name, from_arrow_type(f.type), f.nullable) for f in goes]
    )

    def apply(batches: Batches) -> Batches:
        for batch in batches:
            if batch.num_rows:
                # As it came, where the type is the same: Spark's timestamps have the session's time zone, for one.
                to = [batch.schema.field(f.name).with_nullable(f.nullable) if f.name in same else f for f in goes]
                yield _cast(_through(batch, stages), pa.schema(to))

    return apply, result


def _checked(columns: pa.Schema, stages: tuple[Stage, ...]) -> pa.Schema:
    """The columns behind all stages, as these leave them."""
    for stage in stages:
        for wanted in stage.reads:
            if wanted.name not in columns.names:
                raise RecipeError(f"{stage.name} reads {wanted.name}; the frame has {', '.join(columns.names)}")
            found = columns.field(wanted.name).type
            if not _fits(found, wanted.type):
                raise RecipeError(f"{stage.name} reads {wanted.name} as {wanted.type}; in the frame it is {found}")
        for added in stage.adds:
            place = columns.get_field_index(added.name)
            columns = columns.append(added) if place < 0 else columns.set(place, added)
    return columns


def _through(batch: pa.RecordBatch, stages: tuple[Stage, ...]) -> pa.RecordBatch:
    for stage in stages:
        for wanted in stage.reads:
            place = batch.schema.get_field_index(wanted.name)
            if batch.schema.field(place).type != wanted.type:
                batch = batch.set_column(place, wanted.name, _as(batch.column(place), wanted.type, stage.name))
        batch = stage.apply(batch)
        if batch.num_rows == 0:
            break
    return batch


def _cast(batch: pa.RecordBatch, to: pa.Schema) -> pa.RecordBatch:
    """The columns of `to`, of its types; those that a stage adds are absent where no row came as far."""
    there = set(batch.schema.names)
    columns = [_as(batch[f.name], f.type, f.name) if f.name in there else pa.nulls(batch.num_rows, f.type) for f in to]
    return pa.record_batch(columns, schema=to)


def _as(column: pa.Array, wanted: pa.DataType, where: str) -> pa.Array:
    try:
        return pc.cast(column, wanted)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{where}: {error}; a batch must fit {wanted}, so mend the column, "
            "or lower spark.sql.execution.arrow.maxRecordsPerBatch"
        ) from error


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Numbers of other widths do: one that is too large for its column is met in its batch."""
    alike = (pa.types.is_integer, pa.types.is_floating)
    return _spark_type(found) == _spark_type(wanted) or any(is_one(found) and is_one(wanted) for is_one in alike)


def _spark_type(of: pa.DataType) -> pa.DataType:
    """What Spark has for it. Strings go back as `string`: Spark takes three times as long over large_string."""
    match of:
        case _ if pa.types.is_large_string(of) or pa.types.is_string_view(of):
            return pa.string()
        case _ if pa.types.is_large_binary(of) or pa.types.is_fixed_size_binary(of) or pa.types.is_binary_view(of):
            return pa.binary()
        case _ if pa.types.is_list(of) or pa.types.is_large_list(of) or pa.types.is_fixed_size_list(of):
            return pa.list_(_spark_type(of.value_type))
        case _ if of == pa.uint64():
            return pa.decimal128(20, 0)
        case _ if pa.types.is_unsigned_integer(of):
            return {8: pa.int16(), 16: pa.int32(), 32: pa.int64()}[of.bit_width]
        case _ if pa.types.is_float16(of):
            return pa.float32()
        case _:
            return of
