"""Whole shards go to phases in proportion to what each wants."""

from pathlib import Path

import numpy as np
import pytest

from tokenmill.manifests.blend_division import divide
from tokenmill.manifests.megatron_index import TokenShard


def sizes(*tokens: int) -> list[TokenShard]:
    return [
        TokenShard(prefix=Path(f"s{i}"), dtype=np.dtype("<u2"), documents=1, tokens=t) for i, t in enumerate(tokens)
    ]


@pytest.mark.parametrize(
    ("tokens", "wanted", "given"),
    [
        pytest.param([10] * 10, {"a": 90, "b": 10}, {"a": 90, "b": 10}, id="in proportion"),
        pytest.param([10, 10, 10], {"a": 1, "b": 1}, {"a": 20, "b": 10}, id="ties go to the earlier phase"),
        pytest.param([10, 10], {"a": 1_000, "b": 1}, {"a": 10, "b": 10}, id="every phase has one"),
        pytest.param([1, 8, 4, 2, 1], {"a": 1, "b": 1}, {"a": 8, "b": 8}, id="of unequal sizes"),
    ],
)
def test_whole_shards_are_divided_in_proportion(
    tokens: list[int], wanted: dict[str, float], given: dict[str, int]
) -> None:
    divided = divide("s", sizes(*tokens), wanted)
    assert {phase: sum(s.tokens for s in shards) for phase, shards in divided.items()} == given
    assert sorted(s.prefix for shards in divided.values() for s in shards) == sorted(s.prefix for s in sizes(*tokens))
