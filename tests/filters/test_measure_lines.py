"""The stage that measures lines."""

import pyarrow as pa
import pytest

from tokenmill.filters.measure_lines import MeasureLines


def test_adds_every_measure_behind_the_columns_that_are_there() -> None:
    text = "A first line that has more than thirty characters.\nshort\nshort"
    batch = pa.record_batch({"text": pa.array([text], pa.large_string())})
    (row,) = MeasureLines().apply(batch).to_pylist()
    assert row == {
        "text": text,
        "share_of_lines_ending_with_punctuation": pytest.approx(1 / 3),
        "share_of_lines_short": pytest.approx(2 / 3),
        "share_of_chars_in_duplicate_lines": pytest.approx(5 / 60),
        "newlines_per_word_or_symbol": pytest.approx(2 / 12),  # nine words, a full stop, short, short
    }


def test_measures_are_null_where_the_text_is() -> None:
    batch = pa.record_batch({"text": pa.array([None], pa.large_string())})
    assert set(MeasureLines().apply(batch).to_pylist()[0].values()) == {None}
