"""A configuration knows its parameters, and refuses shapes that cannot be."""

from dataclasses import replace

import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.train.models import ModelConfiguration, model_named, tiny

# Nemotron 3 Nano (arXiv:2512.20848), Table 1.
NANO = ModelConfiguration(
    name="nano",
    pattern="MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
    vocabulary_size=131_072,
    hidden_size=2688,
    query_heads=32,
    key_value_heads=2,
    head_size=128,
    mamba_heads=64,
    mamba_head_size=64,
    mamba_state_size=128,
    mamba_groups=8,
    chunk_size=128,
    experts=128,
    experts_per_token=6,
    expert_size=1856,
    shared_expert_size=3712,
    router_scaling=2.5,
)


def test_counts_are_those_published_for_nano() -> None:
    assert round(NANO.parameters / 1e9, 1) == 31.6
    assert round(NANO.active_parameters_without_input_embedding / 1e9, 1) == 3.2
    assert round(NANO.active_parameters / 1e9, 1) == 3.6
    assert NANO.mtp_parameters == 0


def test_counts_by_hand() -> None:
    """Every size 1 or 2: few enough to add up."""
    small = ModelConfiguration(
        name="small",
        pattern="ME*",
        vocabulary_size=10,
        hidden_size=2,
        query_heads=2,
        key_value_heads=1,
        head_size=2,
        mamba_heads=2,
        mamba_head_size=1,
        mamba_state_size=1,
        mamba_groups=1,
        convolution_width=3,
        chunk_size=4,
        experts=4,
        experts_per_token=1,
        expert_size=1,
        shared_expert_size=2,
        router_scaling=1.0,
    )
    embeddings, norms = 2 * 10 * 2, 4 * 2
    mamba = 2 * (2 + 4 + 2) + 4 * 3 + 4 + 3 * 2 + 2 + 2 * 2  # in, convolution and its bias, per head, norm, out
    mixture = 4 * 2 + 4 * (2 + 2) + (4 + 4)  # router, four experts of width 1, the shared one of width 2
    attention = 2 * 4 + 2 * 2 + 2 * 2 + 4 * 2  # q, k, v, out
    assert small.parameters == embeddings + norms + mamba + mixture + attention
    assert small.active_parameters == small.parameters - 3 * (2 + 2)
    assert small.active_parameters_without_input_embedding == small.active_parameters - 20


@pytest.mark.parametrize("standard", [(2688, 0.0173), (4096, 0.014), (8192, 0.0099)], ids=["nano", "super", "ultra"])
def test_initial_deviation_is_the_published_one(standard: tuple[int, float]) -> None:
    hidden_size, published = standard
    assert abs(replace(NANO, hidden_size=hidden_size).initial_deviation - published) < 0.0001


def test_tiny_has_all_three_kinds_of_layer_and_under_a_million_parameters_inside() -> None:
    model = tiny(4096)
    assert set(model.pattern) == {"M", "E", "*"}
    assert 200_000 < model.parameters - 2 * 4096 * model.hidden_size < 1_000_000


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"pattern": "MEX"}, "has X; available: M E"),
        ({"pattern": ""}, "the pattern is empty"),
        ({"experts": 1, "experts_per_token": 1}, "want at least 2"),
        ({"experts_per_token": 9}, "must not exceed experts"),
        ({"query_heads": 3}, "multiple of key_value_heads"),
        ({"mamba_groups": 4}, "multiple of mamba_groups"),
        ({"hidden_size": 0}, "the smallest is 0"),
    ],
)
def test_refuses_shapes_that_cannot_be(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        replace(tiny(64), **change)


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(RecipeError, match=r"--model nano: .* available: tiny"):
        model_named("nano", 64)
    assert model_named("tiny", 64) == tiny(64)
