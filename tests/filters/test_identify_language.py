"""Languages by fastText's model."""

import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError
from tokenmill.filters.identify_language import LID_176, IdentifyLanguage

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
ENGLISH = "The committee will meet again on Thursday to discuss the new proposal."
GERMAN = "Der Ausschuss trifft sich am Donnerstag wieder, um den neuen Vorschlag zu besprechen."


def identify(*texts: str | None, **parameters) -> pa.RecordBatch:
    batch = pa.record_batch({"text": pa.array(texts, pa.large_string())})
    return IdentifyLanguage(**parameters).apply(batch)


def test_prose_is_recognised():
    japanese, russian = (
        "委員会は木曜日に再び会合し、新しい提案について議論します。",
        "Комитет снова соберется в четверг.",
    )
    found = identify(ENGLISH, GERMAN, japanese, russian)
    assert found["language"].to_pylist() == ["en", "de", "ja", "ru"]
    assert all(0.8 < score <= 1 for score in found["language_score"].to_pylist())


def test_nothing_to_read_is_null():
    found = identify(None, "", " \n\t\u3000")
    assert found["language"].to_pylist() == found["language_score"].to_pylist() == [None] * 3


def test_a_text_is_one_line_and_only_its_beginning_counts():
    one_line, lines, longer = identify(ENGLISH, ENGLISH.replace(" ", "\n"), ENGLISH + GERMAN * 50, sample_chars=70)[
        "language_score"
    ].to_pylist()
    assert one_line == lines == longer


def test_scores_never_leave_0_to_1_and_odd_characters_do_no_harm():
    found = identify("이것은 한국어 " * 40, "\0\0", "\U0001f600" * 3000, "a" * 100_000, "\u2028\x85 x")
    scores = found["language_score"].to_pylist()
    assert scores[0] == 1  # fastText itself says 1.00007
    assert all(0 <= score <= 1 for score in scores)


def test_an_earlier_language_is_replaced_and_slices_and_pickles_do_not_matter():
    batch = pa.record_batch(
        {"language": pa.array(["xx"] * 3, pa.string()), "text": pa.array([GERMAN, None, ENGLISH], pa.large_string())}
    )
    stage = pickle.loads(pickle.dumps(IdentifyLanguage()))
    assert stage.apply(batch)["language"].to_pylist() == ["de", None, "en"]
    assert stage.apply(batch.slice(1))["language"].to_pylist() == [None, "en"]


def test_another_file_than_the_recipes_is_refused():
    wrong = Asset(LID_176.uri, "0" * 64)
    with pytest.raises(RecipeError, match="sha256"):
        identify(ENGLISH, model=wrong)


def test_loading_prints_nothing(capfd):
    identify(ENGLISH)
    assert capfd.readouterr() == ("", "")


def test_the_beginning_of_real_documents_stands_for_the_whole():
    path = DATA / "multilingual" / "tf_docs.parquet"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    texts = pc.cast(pq.read_table(path)["text"].combine_chunks(), pa.large_string()).slice(0, 400)
    whole, sample = (
        IdentifyLanguage(sample_chars=n).apply(pa.record_batch({"text": texts})) for n in (1_000_000, 2_000)
    )
    same = sum(a == b for a, b in zip(whole["language"].to_pylist(), sample["language"].to_pylist(), strict=True))
    assert same >= 0.98 * 400
