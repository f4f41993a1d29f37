"""Our stages on a Spark DataFrame give what they give when they are called."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from spark_session import spark  # noqa: F401
from toys import Count, Length

from tokenmill.core.errors import RecipeError
from tokenmill.core.stage import Stage
from tokenmill.filters.c4_edit import C4Edit
from tokenmill.filters.gopher_quality import GopherQuality
from tokenmill.filters.identify_language import IdentifyLanguage
from tokenmill.filters.measure_lines import MeasureLines
from tokenmill.filters.measure_text import MeasureText

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")

PROSE = "The river ran past the old mill, and the miller had been there with his son for as long as any could say. "
GERMAN = "Der Fluss floss an der alten Mühle vorbei, und der Müller war mit seinem Sohn schon lange dort gewesen. "
TEXTS = [PROSE * 12, GERMAN * 12, "too short", "", None, "🙂 " * 90, PROSE * 3 + "\n" + "home\nabout {x}\n" + PROSE * 9]


@pytest.fixture
def frame(spark):  # noqa: F811
    """With a column that no stage knows."""
    rows = [(n, text, datetime(2026, 11, n + 1, tzinfo=UTC)) for n, text in enumerate(TEXTS)]
    return spark.createDataFrame(rows, "number int, text string, seen timestamp")


def called(*stages: Stage) -> pa.RecordBatch:
    """Without Spark."""
    batch = pa.record_batch(
        {"number": pa.array(range(len(TEXTS)), pa.int32()), "text": pa.array(TEXTS, pa.large_string())}
    )
    for stage in stages:
        batch = stage.apply(batch)
    return batch


@pytest.mark.parametrize(
    ("stages", "stay"),
    [
        pytest.param(
            (IdentifyLanguage(), MeasureText(), GopherQuality()), 2, id="language, measures, and their filter"
        ),
        pytest.param((MeasureLines(), C4Edit()), 7, id="an edit of the text"),
    ],
)
def test_rows_are_those_of_the_stage_itself(frame, stages, stay):
    from tokenmill.engines.spark_stage import map_in_arrow

    wanted = called(*stages).to_pylist()
    assert len(wanted) == stay
    got = frame.repartition(2).mapInArrow(*map_in_arrow(frame.schema, *stages)).orderBy("number")
    assert got.schema["text"] == frame.schema["text"]
    found = [row.asDict() for row in got.collect()]
    assert [row.pop("seen") is not None for row in found] == [True] * stay
    assert found == wanted


def test_a_stage_that_lacks_a_column_is_refused_before_anything_runs(frame):
    from tokenmill.engines.spark_stage import map_in_arrow

    with pytest.raises(RecipeError, match="length reads words; the frame has number, text, seen"):
        map_in_arrow(frame.schema, Length())
    with pytest.raises(RecipeError, match="count reads text as large_string; in the frame it is int32"):
        map_in_arrow(frame.select(frame.number.alias("text")).schema, Count())
    function, schema = map_in_arrow(frame.schema, Count(), Length(words_at_least=4))
    assert schema.names == ["number", "text", "seen", "chars", "words"]
    assert callable(function)
