"""The rows hash depends on rows alone: not on cuts, slices, offsets or what lies under a null."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmill.manifests.rows_hash import RowsHash

SCHEMA = pa.schema(
    [
        ("text", pa.large_string()),
        ("id", pa.string()),
        ("n", pa.int64()),
        ("x", pa.float64()),
        ("b", pa.bool_()),
        ("h", pa.binary(2)),
        ("ids", pa.large_list(pa.int32())),
    ]
)
ROW = st.fixed_dictionaries(
    {
        "text": st.none() | st.text(max_size=5),
        "id": st.none() | st.text(max_size=5),
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "x": st.none() | st.floats(allow_nan=False),
        "b": st.none() | st.booleans(),
        "h": st.none() | st.binary(min_size=2, max_size=2),
        "ids": st.none() | st.lists(st.integers(0, 9), max_size=3),
    }
)


def digest(*batches: pa.RecordBatch) -> str:
    hasher = RowsHash(batches[0].schema)
    for batch in batches:
        hasher.update(batch)
    return hasher.hexdigest()


@given(st.lists(ROW, max_size=8), st.data())
def test_where_batches_are_cut_changes_nothing(rows, data):
    whole = pa.RecordBatch.from_pylist(rows, SCHEMA)
    cut = data.draw(st.integers(0, len(rows)))
    assert digest(whole.slice(0, cut), whole.slice(cut)) == digest(whole)


@given(st.lists(ROW, min_size=1, max_size=6), st.data())
def test_any_other_value_changes_it(rows, data):
    place = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from(SCHEMA.names))
    other = data.draw(ROW.map(lambda row: row[column]).filter(lambda v: v != rows[place][column]))
    changed = [row | {column: other} if n == place else row for n, row in enumerate(rows)]
    assert digest(pa.RecordBatch.from_pylist(rows, SCHEMA)) != digest(pa.RecordBatch.from_pylist(changed, SCHEMA))


def test_a_letter_that_moves_to_the_next_row_changes_it():
    assert digest(pa.record_batch({"a": ["ab", "c"]})) != digest(pa.record_batch({"a": ["a", "bc"]}))


def test_null_and_empty_differ():
    assert digest(pa.record_batch({"a": pa.array([""])})) != digest(
        pa.record_batch({"a": pa.array([None], pa.string())})
    )


def test_what_lies_under_a_null_is_nobodys():
    values = pa.array([1, 2], pa.int64())
    masked = pa.Array.from_buffers(pa.int64(), 2, [pa.array([True, False]).buffers()[1], values.buffers()[1]])
    assert digest(pa.record_batch({"a": masked})) == digest(pa.record_batch({"a": pa.array([1, None], pa.int64())}))


def test_a_dictionary_counts_as_its_values():
    plain = pa.array(["a", "b", "a"])
    other = pa.DictionaryArray.from_arrays(np.array([1, 0, 1], np.int32), pa.array(["b", "a"]))
    schema = pa.schema([("s", other.type)])
    hasher = RowsHash(schema)
    hasher.update(pa.record_batch([other], schema=schema))
    again = RowsHash(schema)
    again.update(pa.record_batch([plain.dictionary_encode().cast(other.type)], schema=schema))
    assert hasher.hexdigest() == again.hexdigest()


def test_another_schema_is_refused():
    hasher = RowsHash(pa.schema([("a", pa.int64())]))
    with pytest.raises(ValueError, match="rows of another schema"):
        hasher.update(pa.record_batch({"b": pa.array([1])}))
