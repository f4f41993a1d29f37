"""Which steps the documents take that come back: from where their text is known, with the measures they ask about."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from toys import TEXT, Count, Length

from tokenmill.core.errors import RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.core.stage import Stage
from tokenmill.dedup.exact import ExactDedup
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.dedup.semantic import SemanticDedup
from tokenmill.dedup.substring import SubstringDedup
from tokenmill.engines.takedown_tail import source_of, tail_of
from tokenmill.filters.c4_edit import C4Edit
from tokenmill.ingest.extract_html import ExtractHtml

EXACT, FUZZY, PAGE, EDIT = ExactDedup(), FuzzyDedup(), ExtractHtml(), C4Edit()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag(Stage):
    """Adds a column that is no measure: it is written into documents/."""

    name: ClassVar[str] = "tag"
    revision: ClassVar[int] = 1
    adds: ClassVar = TEXT.remove(0).append(TEXT.field(0).with_name("tag"))


def names(recipe: Recipe, *displaced_by: str) -> list[str]:
    tail = tail_of(replace(recipe, indexes=True), displaced_by)
    tail.check()
    return [s.name for s in tail.steps]


def test_it_begins_at_the_first_verdict_that_sees_the_same_text():
    """Also where a later one removed them: the index of the earlier must tell of what comes back."""
    recipe = Recipe("r", (PAGE, EXACT, FUZZY))
    assert names(recipe, "exact_dedup") == ["exact_dedup", "fuzzy_dedup"]
    assert names(recipe, "fuzzy_dedup") == ["exact_dedup", "fuzzy_dedup"]
    apart = Recipe("r", (PAGE, EDIT, EXACT, Count(), Length(), FUZZY))
    assert names(apart, "fuzzy_dedup") == ["exact_dedup", "count", "length", "fuzzy_dedup"]


def test_measures_are_taken_again_only_where_they_are_asked_about():
    assert names(Recipe("r", (PAGE, Count(), Length(), EXACT)), "exact_dedup") == ["exact_dedup"]
    assert names(Recipe("r", (PAGE, Count(), EXACT, Length())), "exact_dedup") == ["count", "exact_dedup", "length"]
    by_words = ExactDedup(prefer=("-words",))
    assert names(Recipe("r", (PAGE, Count(), by_words)), "exact_dedup") == ["count", "exact_dedup"]
    assert names(Recipe("r", (PAGE, Tag(), EXACT)), "exact_dedup") == ["tag", "exact_dedup"]


def test_bounds_that_held_over_all_documents_are_lifted():
    """All that was displaced may resemble one kept document: that is no template that took a whole source."""
    (tail,) = tail_of(Recipe("r", (PAGE, FUZZY), indexes=True), ["fuzzy_dedup"]).steps
    assert (tail.lost_share_at_most, tail.cluster_at_most) == (None, None)
    assert tail.index_version == FUZZY.index_version
    assert tail.threshold == FUZZY.threshold


@pytest.mark.parametrize(
    ("steps", "displaced_by", "reason"),
    [
        ((EXACT, EDIT, FUZZY), ["exact_dedup", "fuzzy_dedup"], "c4_edit stands between exact_dedup and fuzzy_dedup"),
        ((EXACT, SubstringDedup(), FUZZY), ["exact_dedup", "fuzzy_dedup"], "substring_dedup stands between"),
        ((EXACT, EDIT, FUZZY), ["fuzzy_dedup"], "edited since exact_dedup: its index could not tell"),
        ((Count(), EDIT, EXACT, Length()), ["exact_dedup"], "words of count is asked about behind a step that changed"),
        ((Tag(), EDIT, EXACT), ["exact_dedup"], "tag of tag is asked about behind a step that changed"),
        ((SemanticDedup(),), ["semantic_dedup"], "semantic_dedup removed copies .*, and has no index"),
        ((EXACT, PAGE), ["exact_dedup"], "extract_html reads the page itself"),
    ],
)
def test_where_a_text_is_not_known_any_more_it_is_refused(steps, displaced_by, reason):
    with pytest.raises(RecipeError, match=f"{reason}.*run the remaining sources again"):
        tail_of(Recipe("r", steps, indexes=True), displaced_by)


def test_an_edit_behind_the_only_verdict_that_displaced_is_done_again():
    recipe = Recipe("r", (PAGE, EXACT, EDIT, FUZZY))
    assert names(recipe, "exact_dedup") == ["exact_dedup", "c4_edit", "fuzzy_dedup"]


def test_without_the_text_of_what_was_dropped_nothing_comes_back():
    with pytest.raises(RecipeError, match="keeps no text of what is dropped"):
        tail_of(Recipe("r", (EXACT,), keeps_dropped=False, indexes=True), ["exact_dedup"])


def test_the_source_of_a_shard_is_all_before_its_number():
    assert source_of("cc-2024-00017") == "cc-2024"
    assert source_of("0123456789ab/cc-00000") == "0123456789ab/cc"
