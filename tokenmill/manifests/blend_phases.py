"""Cut the training into phases: how many samples each has, from which shards, and whether there is data enough."""

from dataclasses import dataclass
from pathlib import Path

from tokenmill.core.errors import RecipeError
from tokenmill.manifests.blend_division import divide, suggested_shard_tokens
from tokenmill.manifests.blend_request import BlendRequest, PhaseRequest
from tokenmill.manifests.blend_source import TokenSource
from tokenmill.manifests.megatron_index import TokenShard

MAX_PREFIXES = 32_766  # Megatron numbers datasets in an int16, and wants fewer than 32,767
ROUNDING = 1 + 1e-9  # of max_epochs: what floating point may add to a request that is exactly as large as allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Samples `first_sample` .. `first_sample + samples` of the training, and where each source's come from."""

    name: str
    first_sample: int
    samples: int
    shares: dict[str, float]  # requested; they add up to 1
    shards: dict[str, tuple[TokenShard, ...]]

    def prefixes(self) -> list[tuple[float, str]]:
        """Weight and prefix of every shard: its share of its source's tokens here, times the source's share."""
        return [
            (share * shard.tokens / sum(s.tokens for s in self.shards[name]), str(shard.prefix))
            for name, share in self.shares.items()
            for shard in self.shards[name]
        ]


def phases_of(path: Path, request: BlendRequest, sources: dict[str, TokenSource]) -> list[Phase]:
    """Raises RecipeError for a phase of less than one sequence, one that no shard is left for, and too many epochs."""
    ends = _ends(path, request)
    sizes = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    for phase, samples in zip(request.phases, sizes, strict=True):
        if samples < 1:
            raise RecipeError(
                f"{path}: phase {phase.name} has less than one sequence of {request.sequence_length:,} tokens; raise "
                "total_tokens, or move its `until` or that of the phase before"
            )
    shares = [_shares(phase) for phase in request.phases]
    given: dict[str, dict[str, tuple[TokenShard, ...]]] = {}
    for name, source in sources.items():
        wanted = {
            phase.name: share[name] * samples * request.sequence_length
            for phase, share, samples in zip(request.phases, shares, sizes, strict=True)
            if name in share
        }
        given[name] = divide(name, source.train, wanted)
    phases = [
        Phase(
            name=phase.name,
            first_sample=end - samples,
            samples=samples,
            shares=share,
            shards={name: given[name][phase.name] for name in share},
        )
        for phase, share, samples, end in zip(request.phases, shares, sizes, ends, strict=True)
    ]
    for p in phases:
        if (count := len(p.prefixes())) > MAX_PREFIXES:
            raise RecipeError(
                f"{path}: phase {p.name} has {count:,} shards, Megatron takes {MAX_PREFIXES:,}; tokenize with a larger "
                "--shard-tokens"
            )
    _check_epochs(request, sources, phases)
    return phases


def _ends(path: Path, request: BlendRequest) -> list[int]:
    """The sample behind the last of each phase. A budget that is no whole number of sequences loses its rest."""
    total = request.total_tokens // request.sequence_length
    ends: list[int] = []
    before = 0.0
    for i, phase in enumerate(request.phases):
        where = f"{path}: phase {phase.name}"
        last = i == len(request.phases) - 1
        if phase.until is None and not last:
            raise RecipeError(f"{where} has no `until`, and only the last one may go without")
        until = 1.0 if phase.until is None else phase.until
        share = until if until <= 1 else until / request.total_tokens
        if share > 1:
            raise RecipeError(f"{where} ends at {until:,.0f} tokens, and there are {request.total_tokens:,} in all")
        if share <= before:
            raise RecipeError(f"{where} ends at {share:.4%}, the one before at {before:.4%}; want an increase")
        if last and share != 1:
            raise RecipeError(f"{where} is the last and ends at {share:.4%}; want until: 1, or nothing")
        before = share
        ends.append(round(share * total))
    return ends


def _shares(phase: PhaseRequest) -> dict[str, float]:
    total = sum(phase.weights.values())
    return {name: weight / total for name, weight in phase.weights.items()}


def _check_epochs(request: BlendRequest, sources: dict[str, TokenSource], phases: list[Phase]) -> None:
    """No source is repeated more often than allowed, neither on the whole nor the shards that one phase got."""
    for name, source in sources.items():
        allowed = request.sources[name].max_epochs
        users = [p for p in phases if name in p.shares]
        wanted = {p.name: p.shares[name] * p.samples * request.sequence_length for p in users}
        total = sum(wanted.values())
        if total > allowed * source.tokens * ROUNDING:
            raise RecipeError(
                f"source {name}: the phases want {total:,.0f} tokens and it has {source.tokens:,}, which is "
                f"{total / source.tokens:.4g} epochs; max_epochs is {allowed:g}: lower its weights or total_tokens, "
                "raise max_epochs, or add data"
            )
        for phase in users:
            given = sum(shard.tokens for shard in phase.shards[name])
            if wanted[phase.name] > allowed * given * ROUNDING:
                raise RecipeError(
                    f"source {name}: phase {phase.name} wants {wanted[phase.name]:,.0f} tokens, and of the source's "
                    f"{len(source.train)} shards, divided among {len(users)} phases, it gets {given:,} tokens, that is "
                    f"{wanted[phase.name] / given:.4g} epochs; max_epochs is {allowed:g} (on the whole it would be "
                    f"{total / source.tokens:.4g}): tokenize again with --shard-tokens "
                    f"{suggested_shard_tokens(source.tokens, len(users))} or less, so that shards divide more evenly, "
                    "or raise max_epochs"
                )
