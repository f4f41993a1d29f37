"""A step's version changes exactly when its output may."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError
from tokenmill.core.step import Step, canonical_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Score(Step):
    name: ClassVar[str] = "score"
    revision: ClassVar[int] = 1
    model: Asset
    more: tuple[Asset, ...] = ()
    at_least: float = 0.5
    words: Any = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRevised(Score):
    revision: ClassVar[int] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreWithPyarrow(Score):
    pins: ClassVar[tuple[str, ...]] = ("pyarrow",)


MODEL = Asset("/models/here.bin", "aa" * 32)


def test_where_an_asset_lies_does_not_matter() -> None:
    assert Score(model=MODEL).version == Score(model=Asset("s3://there/model.bin", MODEL.sha256)).version


def test_what_an_asset_holds_does() -> None:
    assert Score(model=MODEL).version != Score(model=Asset(MODEL.uri, "bb" * 32)).version


def test_every_parameter_matters() -> None:
    versions = {
        Score(model=MODEL).version,
        Score(model=MODEL, at_least=0.6).version,
        Score(model=MODEL, words=("the",)).version,
        Score(model=MODEL, words=("the", "of")).version,
        Score(model=MODEL, words=("of", "the")).version,
        Score(model=MODEL, more=(MODEL,)).version,
    }
    assert len(versions) == 6


def test_a_set_has_no_order() -> None:
    assert Score(model=MODEL, words=frozenset(["the", "of", "and"])).parameters()["words"] == ["and", "of", "the"]


def test_revision_matters() -> None:
    assert Score(model=MODEL).version != ScoreRevised(model=MODEL).version


def test_the_installed_version_of_a_pinned_library_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    here = ScoreWithPyarrow(model=MODEL).version
    assert here != Score(model=MODEL).version
    monkeypatch.setattr("tokenmill.core.step.installed_version", lambda name: f"{name} of tomorrow")
    assert ScoreWithPyarrow(model=MODEL).version != here


@pytest.mark.parametrize("value", [{"a": 1}, object(), b"bytes", Path("file")], ids=["dict", "object", "bytes", "path"])
def test_refuses_parameters_that_have_no_one_text(value: object) -> None:
    with pytest.raises(RecipeError, match=f"score: a parameter of type {type(value).__name__}; want numbers, strings"):
        _ = Score(model=MODEL, words=value).version


def test_knows_its_assets() -> None:
    other = Asset("other", "cc" * 32)
    assert list(Score(model=MODEL, more=(other, MODEL)).assets()) == [MODEL, other, MODEL]


def test_canonical_json_is_one_text_for_one_value() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "é"}) == '{"a":"\\u00e9","b":[1,2.5]}'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_canonical_json_refuses_what_json_cannot_say(value: float) -> None:
    with pytest.raises(ValueError):
        canonical_json(value)
