"""What to train: a blend, a model and the numbers of the optimiser, and how many steps follow from them."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tokenmill.core.errors import RecipeError
from tokenmill.train.blend import Blend
from tokenmill.train.models import ModelConfiguration
from tokenmill.train.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimiser:
    """AdamW and its schedule. Source: Nemotron 3 Nano (arXiv:2512.20848), section 2.4; its values in brackets."""

    global_batch: int = 8  # sequences a step [3,072]
    # [1e-3] Of 1e-3, 3e-3, 6e-3 and 1e-2 the best for `tiny` after 150 steps of 2,048 tokens of Python code and
    # package metadata: hold-out loss 5.49, 5.05, 4.97, 5.04 (2026-11-23); after 30 steps 6e-3 and 1e-2 are equal.
    peak_learning_rate: float = 6e-3
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1  # of matrices; vectors are left alone, as in Megatron-LM
    gradient_clip: float = 1.0  # Megatron-LM's default; the report is silent
    seed: int = 0  # of the weights; the blend has its own for the data
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        if self.global_batch < 1:
            raise RecipeError(f"--batch {self.global_batch}: want at least 1 sequence")
        if not 0 <= self.seed < 2**63:
            raise RecipeError(f"--seed {self.seed}: want 0..2^63 - 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRequest:
    """Everything that decides the losses, as far as a request can."""

    blend: Blend
    model: ModelConfiguration
    optimiser: Optimiser

    @property
    def tokens_per_step(self) -> int:
        return self.optimiser.global_batch * self.blend.sequence_length

    @property
    def steps_in_blend(self) -> int:
        """Whole global batches in the blend: a last part of one is left out."""
        return min(self.blend.total_tokens // self.tokens_per_step, self.blend.samples // self.optimiser.global_batch)

    def steps(self, wanted: int | None) -> int:
        """How far to train: the whole blend, or `wanted` steps of it.

        Raises RecipeError where the blend holds less than one global batch, or less than what is wanted.
        """
        blend, available = self.blend, self.steps_in_blend
        batch = f"{self.optimiser.global_batch} x {blend.sequence_length:,} = {self.tokens_per_step:,} tokens"
        holds = f"the blend {blend.name} has {blend.total_tokens:,} tokens in {blend.samples:,} samples"
        if not available:
            raise RecipeError(f"{holds}, less than one global batch of {batch}; lower --batch or raise total_tokens")
        if wanted is not None and not 1 <= wanted <= available:
            raise RecipeError(f"--steps {wanted}: {holds}, at {batch} a step that is 1..{available} steps")
        return available if wanted is None else wanted

    def as_dict(self, content: str) -> dict[str, Any]:
        """The request as JSON, for OUT. `content` is the blend's (see `content_of`).

        Neither the number of steps nor that of checkpoints is in it: a run may be stopped early and go on later.
        """
        optimiser = asdict(self.optimiser) | {"betas": list(self.optimiser.betas)}
        return {"blend": content, "model": self.model.as_dict(), "optimiser": optimiser}
