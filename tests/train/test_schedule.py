"""The learning rate follows the published shares, whatever the budget."""

import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.train.schedule import Schedule

T = 10**12


@pytest.mark.parametrize(
    ("consumed", "share"),
    [
        pytest.param(0, 0.0, id="nothing done"),
        pytest.param(4_200_000_000, 0.5, id="half the warmup"),
        pytest.param(8_400_000_000, 1.0, id="warmup over"),
        pytest.param(20 * T, 1.0, id="last stable token"),
        pytest.param(20 * T + T * 5 // 4, 0.01 + 0.99 * 0.5, id="a quarter of the decay: 1 - sqrt(1/4)"),
        pytest.param(25 * T, 0.01, id="last token"),
        pytest.param(26 * T, 0.01, id="beyond"),
    ],
)
def test_nano_at_25_trillion_tokens(consumed: int, share: float) -> None:
    assert Schedule().share_of_peak(consumed, 25 * T) == pytest.approx(share)


def test_a_small_budget_has_the_same_shape() -> None:
    assert Schedule().share_of_peak(850, 1000) == pytest.approx(0.01 + 0.99 * 0.5)


def test_no_warmup_and_no_decay_is_constant() -> None:
    flat = Schedule(warmup_share=0.0, decay_share=0.0)
    assert [flat.share_of_peak(consumed, 100) for consumed in (0, 1, 99, 100, 101)] == [1.0] * 5


def test_all_warmup_then_all_decay() -> None:
    triangle = Schedule(warmup_share=0.5, decay_share=0.5, final_share=0.0)
    assert triangle.share_of_peak(25, 100) == 0.5
    assert triangle.share_of_peak(50, 100) == 1.0
    assert triangle.share_of_peak(100, 100) == 0.0


@pytest.mark.parametrize("shares", [{"warmup_share": -0.1}, {"warmup_share": 0.9}, {"final_share": 1.5}])
def test_refuses_shares_that_do_not_fit(shares: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match="want"):
        Schedule(**shares)
