"""Divide a source's shards among the phases that use it.

Megatron starts every dataset anew when the phase changes: a shard in two phases would give the second one the very
samples of the first, in the same order, while others were never seen. So a shard belongs to one phase.
"""

from collections.abc import Mapping, Sequence

from tokenmill.core.errors import RecipeError
from tokenmill.manifests.megatron_index import TokenShard


def divide(source: str, shards: Sequence[TokenShard], wanted: Mapping[str, float]) -> dict[str, tuple[TokenShard, ...]]:
    """For each phase in `wanted` (tokens of this source it asks for, > 0), its shards, in the order of `shards`.

    Whole shards, in proportion: the largest first, each to the phase that has least of what it wants; ties go to the
    earlier shard, the larger wish, the earlier phase. Every shard is used. The more shards there are, the closer
    the proportion; what a phase repeats is stated as its epochs.
    Raises RecipeError if there are fewer shards than phases.
    """
    phases = list(wanted)
    if len(shards) < len(phases):
        tokens = sum(shard.tokens for shard in shards)
        raise RecipeError(
            f"source {source}: {len(phases)} phases use it ({', '.join(phases)}) and it has {len(shards)} "
            f"shard{'s' * (len(shards) > 1)} of {tokens:,} tokens; Megatron would replay a shard in every phase, so "
            f"each needs its own: tokenize again with --shard-tokens {suggested_shard_tokens(tokens, len(phases))},"
            " or use it in fewer phases"
        )
    given = dict.fromkeys(phases, 0)
    chosen: dict[str, list[int]] = {phase: [] for phase in phases}
    for i in sorted(range(len(shards)), key=lambda i: (-shards[i].tokens, i)):
        # Phases without a shard come first, those that want most before the others.
        phase = min(phases, key=lambda p: (given[p] / wanted[p], -wanted[p], phases.index(p)))
        chosen[phase].append(i)
        given[phase] += shards[i].tokens
    return {phase: tuple(shards[i] for i in sorted(chosen[phase])) for phase in phases}


def suggested_shard_tokens(tokens: int, phases: int) -> int:
    """About ten shards for every phase: their division then meets the proportions within some per cent."""
    return max(tokens // (10 * phases), 1)
