"""datatrove's steps as stages of a recipe: they keep, edit and note what a native run does."""

import json
import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sample_documents import documents

pytest.importorskip("datatrove", reason="needs the extra datatrove: pip install 'tokenmill[datatrove]'")

from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters import (
    C4BadWordsFilter,
    C4ParagraphFilter,
    C4QualityFilter,
    LambdaFilter,
    RegexFilter,
    SamplerFilter,
)
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.formatters import PIIFormatter, SymbolLinesFormatter
from datatrove_parity import REAL, differences

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError
from tokenmill.core.recipe import SOURCE_COLUMNS, Recipe
from tokenmill.engines.loop import Leaving, run_stages
from tokenmill.filters.from_datatrove import from_datatrove

ROOT = Path(__file__).parents[2]
BENCH = ROOT / ".venv-bench" / "bin" / "python"


def batch(*texts: str | None, **columns: list[Any]) -> pa.RecordBatch:
    rows = [
        {"id": f"{n:032x}", "text": text, "source": "made", "shard": 0, "row": n, "priority": 0}
        | {name: values[n] for name, values in columns.items()}
        for n, text in enumerate(texts)
    ]
    return pa.RecordBatch.from_pylist(rows, SOURCE_COLUMNS)


def taken_through(stages: Any, of: pa.RecordBatch) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """(the rows that stay, why each of the others leaves)"""
    left: dict[int, str] = {}

    def leave(leaving: Leaving) -> None:
        rows = leaving.batch["row"].to_pylist()
        left.update({r: f"{leaving.fate}: {why}" for r, why in zip(rows, leaving.rule.to_pylist(), strict=True)})

    return run_stages(stages, of, leave).to_pylist(), left


def long_enough(document: Any) -> bool | tuple[bool, str]:
    return len(document.text) > 3 or (False, "too short")


def is_english(document: Any) -> bool:
    return bool(document.metadata["language"] == "en" and document.metadata["score"] > 0.5)


class Annotates(BaseFilter):
    """Writes what it found into the metadata, two documents at a time; drops nothing."""

    name = "annotates"

    def __init__(self, label: str) -> None:
        super().__init__(batch_size=2)
        self.label = label

    def filter(self, doc: Any) -> bool:
        raise AssertionError("the batched way is taken")

    def filter_batch(self, batch: list[Any]) -> list[Any]:
        for document in batch:
            document.metadata |= {"language": "xx", "score": len(document.text) / 10, self.label: [len(batch)]}
        return [True] * len(batch)


class KeepsTheLongest(PipelineStep):
    """No filter: `run` alone says what stays."""

    name = "keeps"

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        for document in data:
            if len(document.text) > 2:
                document.text += "!"
                yield document


class Splits(PipelineStep):
    name = "splits"

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        for document in data:
            yield document
            yield document


@pytest.mark.parametrize(
    "case",
    ["c4 lines", "c4 lines, FineWeb's way", "paragraphs", "regex", "symbol lines", "addresses"],
)
def test_the_same_documents_edits_and_metadata_as_a_native_run(case: str) -> None:
    told = differences(case)
    assert told["differ"] == []
    assert told["edited"] or told["dropped"]
    if REAL.is_dir():
        assert told["documents"] > 400


@pytest.mark.slow
def test_the_same_as_a_native_run_of_the_filters_that_count_words() -> None:
    """They need datatrove[processing], whose fasttext is another than ours: in the environment of the benchmarks."""
    if not BENCH.exists():
        pytest.skip("no .venv-bench: `make bench` makes it")
    cases = ["c4 sentences", "gopher quality", "gopher repetition", "fineweb", "ftfy"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [str(BENCH), str(ROOT / "tests" / "datatrove_parity.py"), *cases]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    for case, told in json.loads(found.stdout.splitlines()[-1]).items():
        assert told["differ"] == [], case
        assert told["edited"] or told["dropped"], case


def test_reasons_are_rules_and_a_dropped_document_keeps_its_text() -> None:
    stages = from_datatrove("c4", C4QualityFilter, min_num_sentences=-1)
    lorem, edited = "Lorem ipsum is what it says here.", "A line that stays, as it should.\nmenu"
    kept, left = taken_through(stages, batch(lorem, edited))
    assert left == {0: "dropped: lorem_ipsum"}
    assert [row["text"] for row in kept] == ["A line that stays, as it should."]
    ran = stages[0].apply(batch(lorem, edited))
    assert ran["text"].to_pylist() == [lorem, "A line that stays, as it should."]


def test_without_a_reason_the_rule_is_the_name() -> None:
    assert taken_through(from_datatrove("no_numbers", RegexFilter, regex_exp="[0-9]"), batch("one", "1"))[1] == {
        1: "dropped: no_numbers"
    }


def test_a_step_of_ones_own_that_is_no_filter_keeps_edits_and_drops() -> None:
    kept, left = taken_through(from_datatrove("own", KeepsTheLongest), batch("abc", "a", None, "abcd"))
    assert [(row["row"], row["text"]) for row in kept] == [(0, "abc!"), (3, "abcd!")]
    assert left == {1: "dropped: own", 2: "dropped: own"}


def test_a_step_that_makes_more_documents_out_of_one_is_an_error_of_each() -> None:
    _, left = taken_through(from_datatrove("own", Splits), batch("a", "b"))
    assert [why.partition(":")[0] for why in left.values()] == ["error", "error"]
    assert "yields a document that it was not given, or one twice" in left[0]


def test_a_document_that_the_step_fails_on_costs_no_other() -> None:
    kept, left = taken_through(
        from_datatrove("english", LambdaFilter, filter_function=is_english),
        batch("a", "b", language=["en", None], meta=['{"score": 0.9}', '{"score": 0.9}']),
    )
    assert [row["row"] for row in kept] == [0]
    assert left == {1: "error: KeyError: 'language'"}


def test_a_null_text_is_shown_as_an_empty_one_and_stays_null() -> None:
    kept, _ = taken_through(from_datatrove("symbols", SymbolLinesFormatter), batch(None, ""))
    assert [row["text"] for row in kept] == [None, ""]


def test_what_is_noted_becomes_columns_and_the_rest_goes_into_meta() -> None:
    stages = from_datatrove("labels", Annotates, label="label", noted=(("score", "double"),))
    kept, _ = taken_through(stages, batch("abcde", "ab", "a", meta=['{"a": 1}', None, None], url=["u", None, None]))
    assert [row["score"] for row in kept] == [0.5, 0.2, 0.1]
    assert [row["language"] for row in kept] == ["xx"] * 3
    assert [json.loads(row["meta"]) for row in kept] == [{"a": 1, "label": [2]}, {"label": [2]}, {"label": [1]}]
    assert [row["url"] for row in kept] == ["u", None, None]


def test_what_the_step_does_not_touch_stays_byte_by_byte() -> None:
    odd = '{"url" : "another", "b":[1, 2],\n "language": null, "words": 1}'
    of = batch("long enough", url=["https://example.org"], meta=[odd])
    of = of.append_column("words", pa.array([7], pa.int64()))
    stages = from_datatrove("length", LambdaFilter, filter_function=long_enough, shown=(("words", "int64"),))
    (row,), _ = taken_through(stages, of)
    assert (row["meta"], row["url"], row["language"], row["words"]) == (odd, "https://example.org", None, 7)


def test_a_recipe_holds_several_and_its_columns_are_checked() -> None:
    recipe = Recipe(
        "mine",
        (
            *from_datatrove("length", LambdaFilter, filter_function=long_enough),
            *from_datatrove("no_numbers", RegexFilter, regex_exp="[0-9]"),
        ),
    )
    recipe.check()
    assert [step.name for step in recipe.steps] == ["length_run", "length", "no_numbers_run", "no_numbers"]
    with pytest.raises(RecipeError, match=r"length_run reads words"):
        stages = from_datatrove("length", LambdaFilter, filter_function=long_enough, shown=(("words", "int64"),))
        Recipe("mine", stages).check()


def test_the_version_says_datatrove_its_version_and_every_argument(tmp_path: Path) -> None:
    stage, _ = from_datatrove("a", C4QualityFilter, min_words_per_line=3)
    told = stage.parameters()
    assert told["step"] == "datatrove.pipeline.filters.c4_filters.C4QualityFilter"
    assert told["versions"]["datatrove"].startswith("0.1")
    assert told["arguments"] == {"min_words_per_line": 3}
    assert pickle.loads(pickle.dumps(stage)).version == stage.version
    model = tmp_path / "words.txt"
    model.write_text("one")
    versions = {
        stage.version,
        from_datatrove("a", C4QualityFilter, min_words_per_line=4)[0].version,
        from_datatrove("a", LambdaFilter, filter_function=long_enough)[0].version,
        from_datatrove("a", LambdaFilter, filter_function=is_english)[0].version,
        from_datatrove("a", Annotates, label=Asset.of(model))[0].version,
        from_datatrove("a", KeepsTheLongest)[0].version,
    }
    assert len(versions) == 6
    assert list(from_datatrove("a", Annotates, label=Asset.of(model))[0].assets()) == [Asset.of(model)]


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        (SamplerFilter, {"rate": 0.1}, "draws from a running generator"),
        (C4BadWordsFilter, {"keep_fraction": 0.1}, "draws from a running generator"),
        (PIIFormatter, {}, "anew=True to begin"),
        (LambdaFilter, {"filter_function": lambda _: True}, "no lambda"),
        (C4ParagraphFilter, {"exclusion_writer": 1}, "dropped documents are under dropped/"),
        (C4ParagraphFilter, {"min_paragraphs": 1}, "unexpected keyword argument"),
        (dict, {}, "is no step of datatrove"),
    ],
)
def test_what_cannot_be_a_stage_is_refused_before_anything_runs(kind: Any, arguments: Any, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        from_datatrove("a", kind, **arguments)


def test_a_step_that_remembers_can_be_made_anew_for_each_document() -> None:
    stages = from_datatrove("addresses", PIIFormatter, anew=True)
    both = "me@here.org and you@there.org"
    kept, _ = taken_through(stages, batch(both, both))
    assert {row["text"] for row in kept} == {"email@example.com and firstname.lastname@example.org"}


def test_cuts_of_batches_change_nothing() -> None:
    stage, _ = from_datatrove("c4", C4QualityFilter, min_num_sentences=-1)
    whole = pa.Table.from_batches([stage.apply(documents())])
    parts = pa.Table.from_batches([stage.apply(documents().slice(n, 1)) for n in range(documents().num_rows)])
    assert parts.combine_chunks().equals(whole.combine_chunks())
