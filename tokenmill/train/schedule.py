"""The learning rate by consumed tokens: linear warmup, a stable stretch, minus-sqrt decay (WSD).

Source: Nemotron 3 Nano (arXiv:2512.20848), section 2.4: of 25T tokens, warmup 8.4B, decay over the last 5T to
1e-5 from 1e-3. The report does not name the shape of the decay; Nemotron 3 Super's names minus-sqrt, and so do we.
The formula is Megatron-LM's `--lr-decay-style WSD --lr-wsd-decay-style minus_sqrt`.
"""

from dataclasses import dataclass
from math import sqrt

from tokenmill.core.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Shares are of the run's total tokens, so that one schedule fits any budget."""

    warmup_share: float = 8.4e9 / 25e12
    decay_share: float = 5e12 / 25e12
    final_share: float = 1e-5 / 1e-3  # of the peak, at the last token

    def __post_init__(self) -> None:
        if min(self.warmup_share, self.decay_share) < 0 or self.warmup_share + self.decay_share > 1:
            shares = f"warmup {self.warmup_share} and decay {self.decay_share}"
            raise RecipeError(f"schedule: {shares}, want shares that sum to at most 1")
        if not 0 <= self.final_share <= 1:
            raise RecipeError(f"schedule: final_share={self.final_share}, want 0..1")

    def share_of_peak(self, consumed: int, total: int) -> float:
        """The factor on the peak learning rate, 0..1, when `consumed` of `total` tokens are done.

        A step asks with its own tokens counted, so that the first one does not stand still at rate 0 (Megatron-LM
        asks without, one step behind) and the last one reaches `final_share`. Beyond `total` it stays there.
        """
        warmup = self.warmup_share * total
        decay = self.decay_share * total
        if consumed < warmup:
            return consumed / warmup
        left = max(0, total - consumed)
        if left >= decay:
            return 1.0
        progress = (decay - left) / decay
        return self.final_share + (1.0 - self.final_share) * (1.0 - sqrt(progress))
