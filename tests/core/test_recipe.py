"""A recipe that cannot work is refused before anything runs, with the step that is wrong and what to do."""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pytest

from tokenmill.core.barrier import Regroup, Summary, Verdict
from tokenmill.core.errors import RecipeError
from tokenmill.core.format import Format
from tokenmill.core.recipe import SOURCE_COLUMNS, Recipe
from tokenmill.core.stage import Filter, Measure, Rule, Stage

WORDS = pa.field("words", pa.int64())


@dataclass(frozen=True, slots=True, kw_only=True)
class CountWords(Measure):
    name: ClassVar[str] = "count_words"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("text", pa.large_string())])
    adds: ClassVar[pa.Schema] = pa.schema([WORDS])


@dataclass(frozen=True, slots=True, kw_only=True)
class CountWordsAgain(CountWords):
    name: ClassVar[str] = "count_words_again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Longer(Filter):
    name: ClassVar[str] = "longer"
    revision: ClassVar[int] = 1
    words: int = 3

    @property
    def rules(self) -> tuple[Rule, ...]:
        return (Rule(name="words", measure="words", op="at_least", bound=self.words, source="this test"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsWordsAsText(Stage):
    name: ClassVar[str] = "reads_words_as_text"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("words", pa.string())])


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim(Stage):
    name: ClassVar[str] = "trim"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("text", pa.large_string())])
    adds: ClassVar[pa.Schema] = pa.schema([("text", pa.large_string())])
    edits: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Same(Verdict):
    name: ClassVar[str] = "same"
    revision: ClassVar[int] = 1
    emits: ClassVar[pa.Schema] = pa.schema([("key", pa.uint64())])


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike(Same):
    name: ClassVar[str] = "alike"


@dataclass(frozen=True, slots=True, kw_only=True)
class Total(Summary):
    name: ClassVar[str] = "total"
    revision: ClassVar[int] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Informed(Same):
    name: ClassVar[str] = "informed"
    wants: ClassVar[str | None] = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle(Regroup):
    name: ClassVar[str] = "shuffle"
    revision: ClassVar[int] = 1
    wants: ClassVar[str | None] = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleAgain(Shuffle):
    name: ClassVar[str] = "shuffle_again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages(Format):
    name: ClassVar[str] = "pages"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("pages", pa.int64())])
    folder: ClassVar[str] = "pages"
    suffixes: ClassVar[tuple[str, ...]] = (".txt",)


# The toys above implement nothing: what is tested here is declared, and never runs.
for cls in (
    CountWords,
    CountWordsAgain,
    Longer,
    ReadsWordsAsText,
    Trim,
    Same,
    Alike,
    Informed,
    Total,
    Shuffle,
    ShuffleAgain,
    Pages,
):
    cls.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


def recipe(*steps: type, format: Format | None = None) -> Recipe:
    return Recipe("toy", tuple(step() for step in steps), format)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        pytest.param(
            (Trim, Trim), "toy: 2 steps are called trim; names must differ, `--set` uses them", id="one name twice"
        ),
        pytest.param(
            (ReadsWordsAsText,),
            "toy: reads_words_as_text reads words: string, and no step before it adds that",
            id="no such column",
        ),
        pytest.param(
            (CountWords, ReadsWordsAsText),
            "toy: reads_words_as_text reads words as string, but here it is int64",
            id="another type",
        ),
        pytest.param(
            (Longer,),
            "toy: longer: rule words asks about words, which no step measures",
            id="a rule before its measure",
        ),
        pytest.param(
            (Longer, CountWords), "toy: longer: rule words asks about words", id="a rule in front of its measure"
        ),
        pytest.param(
            (CountWords, CountWordsAgain),
            "toy: count_words_again measures words, which an earlier step adds already",
            id="measured twice",
        ),
        pytest.param(
            (CountWords, Total, Shuffle, Longer),
            "toy: longer stands behind shuffle; there are no filters and barriers there",
            id="a filter behind a regroup",
        ),
        pytest.param((Total, Shuffle, Same), "toy: same stands behind shuffle", id="a verdict behind a regroup"),
        pytest.param(
            (Total, Shuffle, ShuffleAgain), "toy: shuffle_again stands behind shuffle", id="a regroup behind another"
        ),
        pytest.param(
            (Shuffle,), "toy: shuffle wants the summary total, and no step before it makes that", id="no summary"
        ),
        pytest.param((Shuffle, Total), "toy: shuffle wants the summary total", id="a summary too late"),
    ],
)
def test_refuses_what_cannot_work(steps: tuple[type, ...], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(*steps).check()
    assert str(caught.value).startswith(message)


def test_a_format_is_checked_like_any_step() -> None:
    with pytest.raises(RecipeError, match="toy: pages reads pages: int64, and no step before it adds that"):
        recipe(CountWords, format=Pages()).check()


def test_columns_behind_the_last_step_are_those_of_the_source_and_what_steps_added() -> None:
    assert recipe(CountWords, Longer, Trim, Same).check() == SOURCE_COLUMNS.append(WORDS)


def test_stages_may_stand_behind_a_regroup() -> None:
    assert recipe(Total, Shuffle, CountWords).check() == SOURCE_COLUMNS.append(WORDS)


@pytest.mark.parametrize(
    ("steps", "segments"),
    [
        pytest.param((), ["|"], id="no step: one segment that passes everything on"),
        pytest.param((Trim, CountWords), ["trim count_words|"], id="no barrier"),
        pytest.param((Trim, Same), ["trim|same", "|"], id="what a barrier leaves is one more segment"),
        pytest.param((Trim, Same, Alike, CountWords), ["trim|same alike", "count_words|"], id="verdicts share a pass"),
        pytest.param((Same, Trim, Alike), ["|same", "trim|alike", "|"], id="a stage between them parts them"),
        pytest.param(
            (Total, Shuffle), ["|total shuffle", "|"], id="a summary changes nothing: the next barrier shares its pass"
        ),
        pytest.param((Total, Same), ["|total same", "|"], id="so does a verdict that does not want it"),
        pytest.param((Total, Informed), ["|total", "|informed", "|"], id="one that does has to wait for it"),
        pytest.param((Total, Same, Informed), ["|total same", "|informed", "|"], id="behind another verdict too"),
        pytest.param((Same, Total), ["|same", "|total", "|"], id="a summary must not count what a verdict removes"),
    ],
)
def test_is_cut_behind_each_run_of_barriers_that_see_the_same_documents(
    steps: tuple[type, ...], segments: list[str]
) -> None:
    found = recipe(*steps).segments()
    assert [" ".join(s.name for s in f.stages) + "|" + " ".join(b.name for b in f.barriers) for f in found] == segments


def test_measures_are_recorded_in_the_order_of_measuring() -> None:
    assert recipe(Trim, CountWords, Longer).measures() == pa.schema([WORDS])


def test_version_follows_the_steps_and_their_order_not_the_name() -> None:
    version = recipe(Trim, CountWords).version
    assert Recipe("other", (Trim(), CountWords())).version == version
    assert recipe(CountWords, Trim).version != version
    assert recipe(Trim).version != version
    assert (
        Recipe("toy", (CountWords(), Longer(words=3))).version != Recipe("toy", (CountWords(), Longer(words=4))).version
    )
    assert recipe(Trim, CountWords, format=Pages()).version != version
