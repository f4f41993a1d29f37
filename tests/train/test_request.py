"""How far a blend reaches, and a refusal with numbers where it does not."""

from pathlib import Path

import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.train.blend import Blend, Phase, Weighted
from tokenmill.train.models import tiny
from tokenmill.train.request import Optimiser, TrainingRequest


def request_for(samples: int, total_tokens: int, batch: int) -> TrainingRequest:
    phase = Phase(name="only", samples=samples, train=(Weighted(prefix=Path("a"), weight=1.0),), valid=())
    blend = Blend(
        name="b",
        tokenizer="t",
        vocabulary_size=64,
        eod=0,
        sequence_length=256,
        total_tokens=total_tokens,
        seed=0,
        phases=(phase,),
    )
    return TrainingRequest(blend=blend, model=tiny(64), optimiser=Optimiser(global_batch=batch))


@pytest.mark.parametrize(
    ("samples", "total_tokens", "steps"),
    [
        pytest.param(240, 61_440, 30, id="30 steps of 8 x 256"),
        pytest.param(247, 63_300, 30, id="part of a batch is left out"),
        pytest.param(239, 61_440, 29, id="samples may run out before tokens"),
    ],
)
def test_steps_follow_from_the_blend(samples: int, total_tokens: int, steps: int) -> None:
    assert request_for(samples, total_tokens, 8).steps(None) == steps


def test_fewer_steps_may_be_wanted_never_more() -> None:
    request = request_for(240, 61_440, 8)
    assert request.steps(3) == 3
    with pytest.raises(RecipeError, match=r"--steps 31: .* 61,440 tokens in 240 samples.* 1\.\.30 steps"):
        request.steps(31)
    with pytest.raises(RecipeError, match="--steps 0"):
        request.steps(0)


def test_less_than_one_global_batch_is_refused() -> None:
    with pytest.raises(RecipeError, match="1,792 tokens in 7 samples, less than one global batch of 8 x 256 = 2,048"):
        request_for(7, 1792, 8).steps(None)


@pytest.mark.parametrize(("field", "value"), [("global_batch", 0), ("seed", -1), ("seed", 2**63)])
def test_numbers_that_cannot_be_are_refused(field: str, value: int) -> None:
    with pytest.raises(RecipeError, match="want"):
        Optimiser(**{field: value})


def test_the_request_on_disk_says_nothing_of_places_or_steps() -> None:
    told = request_for(240, 61_440, 8).as_dict(content="c0ffee")
    assert set(told) == {"blend", "model", "optimiser"} and told["blend"] == "c0ffee"
    assert told["optimiser"]["betas"] == [0.9, 0.95] and told["model"]["pattern"] == "MEM*EME"
