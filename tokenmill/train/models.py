"""Hybrid Mamba-Transformer mixture-of-experts models as numbers: shapes, and the parameter counts that follow.

Source: Nemotron 3 Nano (arXiv:2512.20848), Table 1, and the architecture flags that NVIDIA publishes for it in
Megatron-LM (examples/post_training/modelopt/conf/nvidia). What the whole family shares is no field here: a sigmoid
router that normalises the chosen scores, squared ReLU in experts, RMSNorm before every layer, no positional
embedding, no dropout, no bias outside the Mamba convolution, untied embeddings.

Scope: layers M, E and *. Plain MLP layers, latent experts, multi-token prediction and the update of the router's
expert bias are not here; `mtp_parameters` is 0 because there are none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from types import MappingProxyType

from tokenmill.core.errors import RecipeError

LAYERS = {"M": "Mamba-2", "E": "mixture of experts", "*": "attention"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfiguration:
    """One model. In brackets behind each field: Nemotron 3 Nano's value."""

    name: str
    pattern: str  # one character a layer, see LAYERS [52: 23 M, 23 E, 6 *]
    vocabulary_size: int  # [131,072]
    hidden_size: int  # [2,688]
    query_heads: int  # [32]
    key_value_heads: int  # [2]
    head_size: int  # of attention [128]
    mamba_heads: int  # [64]
    mamba_head_size: int  # [64]
    mamba_state_size: int  # [128]
    mamba_groups: int  # [8]
    convolution_width: int = 4  # tokens [4]
    chunk_size: int  # tokens that the Mamba scan takes at once; changes speed and rounding, not the model [128]
    experts: int  # routed ones in each E layer [128]
    experts_per_token: int  # [6]
    expert_size: int  # hidden width of one routed expert [1,856]
    shared_expert_size: int  # of the one expert that every token visits [3,712]
    router_scaling: float  # factor on the normalised scores of the chosen experts [2.5]

    def __post_init__(self) -> None:
        def want(holds: bool, wanted: str) -> None:
            if not holds:
                raise RecipeError(f"model {self.name}: {wanted}")

        sizes = [value for value in self.as_dict().values() if isinstance(value, int)]
        want(min(sizes) > 0, f"sizes must be positive, the smallest is {min(sizes)}")
        want(bool(self.pattern), "the pattern is empty")
        strange = sorted(set(self.pattern) - set(LAYERS))
        want(not strange, f"pattern {self.pattern} has {' '.join(strange)}; available: {' '.join(LAYERS)}")
        want(self.query_heads % self.key_value_heads == 0, "query_heads must be a multiple of key_value_heads")
        want(self.mamba_heads % self.mamba_groups == 0, "mamba_heads must be a multiple of mamba_groups")
        want(self.experts >= 2, f"experts={self.experts}, want at least 2")
        want(self.experts_per_token <= self.experts, "experts_per_token must not exceed experts")

    def as_dict(self) -> dict[str, str | int | float]:
        """Every field, for a file that says what was trained."""
        return {field: getattr(self, field) for field in self.__slots__}

    @property
    def initial_deviation(self) -> float:
        """Standard deviation of the weights at the start.

        sqrt(0.8 / hidden_size) gives all three published values: 0.0173 (Nano), 0.014 (Super), 0.0099 (Ultra).
        """
        return sqrt(0.8 / self.hidden_size)

    @property
    def parameters(self) -> int:
        """Everything that is trained, both embeddings included."""
        return self._count(self.experts)

    @property
    def mtp_parameters(self) -> int:
        """Of multi-token prediction."""
        return 0

    @property
    def active_parameters(self) -> int:
        """What one token passes through, both embeddings counted whole."""
        return self._count(self.experts_per_token)

    @property
    def active_parameters_without_input_embedding(self) -> int:
        """The published "active" count: a look-up costs nothing, the output projection does."""
        return self.active_parameters - self.vocabulary_size * self.hidden_size

    def _count(self, experts: int) -> int:
        by_layer = {"M": self._mamba(), "*": self._attention(), "E": self._mixture(experts)}
        layers = sum(by_layer[layer] + self.hidden_size for layer in self.pattern)  # + the norm before each
        return 2 * self.vocabulary_size * self.hidden_size + layers + self.hidden_size  # + the last norm

    def _mamba(self) -> int:
        inner = self.mamba_heads * self.mamba_head_size
        convolved = inner + 2 * self.mamba_groups * self.mamba_state_size  # x, B and C
        projection_in = self.hidden_size * (inner + convolved + self.mamba_heads)  # gate, convolved, time steps
        convolution = convolved * (self.convolution_width + 1)  # weights and a bias
        per_head = 3 * self.mamba_heads  # A, D and the bias of the time step
        return projection_in + convolution + per_head + inner + inner * self.hidden_size  # inner: the gated norm

    def _attention(self) -> int:
        return 2 * self.hidden_size * self.head_size * (self.query_heads + self.key_value_heads)

    def _mixture(self, experts: int) -> int:
        router = self.experts * self.hidden_size
        return router + 2 * self.hidden_size * (experts * self.expert_size + self.shared_expert_size)


def tiny(vocabulary_size: int) -> ModelConfiguration:
    """Nano's proportions at a twenty-first of its width: 0.98 M parameters and two embeddings.

    Kept: Mamba inner width about 1.5 and expert width about 0.69 of hidden_size, the shared expert twice a routed
    one, few key-value heads, E behind M, attention rare, the router's scaling. Mamba chunks of 32 tokens were the
    fastest on a CPU (tokens/s at 16, 32, 64, 128, 256: 10,600, 10,400, 9,200, 8,200, 7,100; batch 8 x 256, vocabulary
    4,096, 2 threads, torch 2.13, 2026-11-23); 16 is no better beyond noise.
    """
    return ModelConfiguration(
        name="tiny",
        pattern="MEM*EME",
        vocabulary_size=vocabulary_size,
        hidden_size=128,
        query_heads=4,
        key_value_heads=2,
        head_size=32,
        mamba_heads=6,
        mamba_head_size=32,
        mamba_state_size=16,
        mamba_groups=2,
        chunk_size=32,
        experts=8,
        experts_per_token=2,
        expert_size=88,
        shared_expert_size=176,
        router_scaling=2.5,
    )


MODELS: Mapping[str, Callable[[int], ModelConfiguration]] = MappingProxyType({"tiny": tiny})


def model_named(name: str, vocabulary_size: int) -> ModelConfiguration:
    """The configuration for a vocabulary. Raises RecipeError, with the names there are, for any other name."""
    if name not in MODELS:
        raise RecipeError(f"--model {name}: no such model to train; available: {', '.join(MODELS)}")
    return MODELS[name](vocabulary_size)
