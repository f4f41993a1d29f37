"""--set: what may be set, and what is said of what may not."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import pyarrow as pa
import pytest
from toys import Count, CountDocuments, Length, PlainText

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.core.stage import Stage
from tokenmill.jobs.overrides import with_overrides


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs(Stage):
    name: ClassVar[str] = "knobs"
    revision: ClassVar[int] = 1

    whole: int = 1
    share: float = 0.5
    on: bool = False
    words: tuple[str, ...] = ()
    kind: Literal["a", "b"] = "a"
    perhaps: int | None = None
    model: Asset | None = None

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch


RECIPE = Recipe("toy", (Count(), Length(), Knobs(), CountDocuments()), PlainText())


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("knobs.whole=1_000", "whole", 1000),
        ("knobs.share=0.25", "share", 0.25),
        ("knobs.on=true", "on", True),
        ("knobs.words=the,of", "words", ("the", "of")),
        ("knobs.kind=b", "kind", "b"),
        ("knobs.perhaps=7", "perhaps", 7),
        ("knobs.perhaps=none", "perhaps", None),
    ],
)
def test_a_value_is_read_as_its_field_wants(setting, field, value):
    changed = with_overrides(RECIPE, [setting])
    assert getattr(changed.steps[2], field) == value
    assert changed.format == PlainText()
    assert changed.version != RECIPE.version or getattr(Knobs(), field) == value


def test_a_file_becomes_an_asset_known_by_its_content(tmp_path):
    (tmp_path / "m").write_bytes(b"abc")
    changed = with_overrides(RECIPE, [f"knobs.model={tmp_path / 'm'}"])
    want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # sha256 of abc, FIPS 180-2
    assert changed.steps[2].model == Asset(str(tmp_path / "m"), want)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("length.words_at_laest=3", r"length has no field words_at_laest; did you mean length\.words_at_least\?"),
        ("lenght.words_at_least=3", r"toy has no step lenght; did you mean length\.words_at_least\?"),
        ("zzz.q=3", r"toy has no step zzz; it has count_documents|toy has no step zzz; it has knobs, length"),
        ("length.words_at_least=many", r"want float, got 'many'"),
        ("knobs.whole=1.5", r"want int, got '1\.5'"),
        ("knobs.on=maybe", r"want bool, got 'maybe'"),
        ("knobs.kind=c", r"got 'c'"),
        ("length=3", r"want step\.field=value, for example"),
        ("length.words_at_least", r"want step\.field=value"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_nearest_that_would(setting, message):
    with pytest.raises(RecipeError, match=message):
        with_overrides(RECIPE, [setting])


def test_the_last_one_for_a_field_holds():
    changed = with_overrides(RECIPE, ["length.words_at_least=3", "length.words_at_least=4"])
    assert changed.steps[1] == Length(words_at_least=4)
