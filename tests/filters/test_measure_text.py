"""The stage that measures text."""

import pyarrow as pa

from tokenmill.filters.measure_text import MeasureText
from tokenmill.kernels.text_measures import TEXT_MEASURES


def test_adds_every_measure_behind_the_columns_that_are_there() -> None:
    batch = pa.record_batch({"id": ["x", "y"], "text": pa.array(["One # two.", None], pa.large_string())})
    measured = MeasureText().apply(batch)
    assert measured.schema == pa.schema([*batch.schema, *TEXT_MEASURES])
    assert measured.select(["id", "text"]) == batch
    row = measured.to_pylist()[0]
    assert (row["chars"], row["words_and_symbols"], row["words"], row["mean_word_length"]) == (10, 4, 2, 3.0)
    assert row["hashes_per_word_or_symbol"] == 1 / 4
    assert row["c4_sentences"] == 1


def test_measures_are_null_where_the_text_is() -> None:
    batch = pa.record_batch({"text": pa.array([None], pa.large_string())})
    assert set(MeasureText().apply(batch).to_pylist()[0].values()) == {None}


def test_no_rows_give_the_same_columns() -> None:
    batch = pa.record_batch({"text": pa.array([], pa.large_string())})
    assert MeasureText().apply(batch).schema == pa.schema([*batch.schema, *TEXT_MEASURES])
