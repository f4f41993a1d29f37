"""What a blend gives is what Megatron's interleaving gives, sample by sample."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmill.manifests.blend_interleave import samples_per_shard


@pytest.mark.parametrize(
    ("weights", "counts"),
    [
        pytest.param([1.0], [7], id="one"),
        pytest.param([3.0, 1.0], [5, 2], id="a quarter of seven: 0 1 0 0 0 1 0"),
        pytest.param(
            [1.0, 1.0, 1e-9], [3, 3, 1], id="even the smallest weight is ahead of two that are even: 0 1 2 0 1 0 1"
        ),
    ],
)
def test_seven_samples_are_shared_out(weights: list[float], counts: list[int]) -> None:
    found, simulated = samples_per_shard(weights, 7)
    assert found.tolist() == counts and simulated


def interleaved(weights: list[float], samples: int) -> list[int]:
    """Megatron's definition, word for word."""
    normal = (np.array(weights) / np.sum(weights)).tolist()
    taken = [0] * len(normal)
    for sample in range(samples):
        behind = [weight * max(sample, 1) - count for weight, count in zip(normal, taken, strict=True)]
        taken[behind.index(max(behind))] += 1
    return taken


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=12), st.integers(0, 200))
def test_equals_the_plain_definition(weights: list[float], samples: int) -> None:
    assert samples_per_shard(weights, samples)[0].tolist() == interleaved(weights, samples)


@pytest.mark.filterwarnings("ignore")  # megatron-core warns about what is not installed (0.16.1)
@pytest.mark.parametrize("seed", range(5))
def test_the_simulation_is_megatrons(seed: int) -> None:
    helpers = pytest.importorskip("megatron.core.datasets.helpers", exc_type=ImportError)
    random = np.random.default_rng(seed)
    shards, samples = int(random.integers(1, 40)), int(random.integers(1, 5_000))
    weights = (random.random(shards) ** 3 + 1e-6).tolist()
    normal = np.array(weights) / np.sum(weights)
    chosen, within = np.zeros(samples, np.int16), np.zeros(samples, np.int64)
    helpers.build_blending_indices(chosen, within, normal.tolist(), shards, samples, False)
    assert samples_per_shard(weights, samples)[0].tolist() == np.bincount(chosen, minlength=shards).tolist()


def test_beyond_what_is_worth_simulating_shares_are_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    exact, _ = samples_per_shard([0.2, 0.5, 0.3], 10_001)
    monkeypatch.setattr("tokenmill.manifests.blend_interleave.STEPS", 1)
    rounded, simulated = samples_per_shard([0.2, 0.5, 0.3], 10_001)
    assert not simulated and rounded.sum() == exact.sum() == 10_001
    assert np.abs(rounded - exact).max() <= 1
