"""A configuration as a torch model: transformers' own NemotronH, whose Mamba falls back to plain torch on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenmill.core.errors import DataError
from tokenmill.train.extra import extra
from tokenmill.train.models import ModelConfiguration

BLOCKS = {"M": "linear_attention", "E": "moe", "*": "full_attention"}  # transformers' names


def build(model: ModelConfiguration, longest: int) -> Any:
    """A new model, its weights drawn from torch's global generator; `longest` is the sequence length, in tokens."""
    with quiet():
        return extra("transformers").NemotronHForCausalLM(configuration(model, longest))


def configuration(model: ModelConfiguration, longest: int) -> Any:
    """The NemotronHConfig of `model`. No special tokens: a blend knows its end of document, generation is not ours."""
    return extra("transformers").NemotronHConfig(
        layers_block_type=[BLOCKS[layer] for layer in model.pattern],
        vocab_size=model.vocabulary_size,
        hidden_size=model.hidden_size,
        num_attention_heads=model.query_heads,
        num_key_value_heads=model.key_value_heads,
        head_dim=model.head_size,
        max_position_embeddings=longest,
        mamba_num_heads=model.mamba_heads,
        mamba_head_dim=model.mamba_head_size,
        ssm_state_size=model.mamba_state_size,
        n_groups=model.mamba_groups,
        conv_kernel=model.convolution_width,
        chunk_size=model.chunk_size,
        n_routed_experts=model.experts,
        num_experts_per_tok=model.experts_per_token,
        moe_intermediate_size=model.expert_size,
        moe_shared_expert_intermediate_size=model.shared_expert_size,
        routed_scaling_factor=model.router_scaling,
        initializer_range=model.initial_deviation,
        use_cache=False,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )


def save_model(model: Any, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` as transformers' `from_pretrained` reads them."""
    with quiet():
        model.save_pretrained(folder)


def load_model(folder: Path) -> Any:
    """The model in `folder`, bit for bit. Raises DataError if the files do not hold one."""
    with quiet():
        kind = extra("transformers").NemotronHForCausalLM
        try:
            model, report = kind.from_pretrained(folder, output_loading_info=True, local_files_only=True)
        except Exception as error:  # each of three libraries has its own for what cannot be read
            raise DataError(f"{folder}: holds no model that can be read ({error}); delete this folder") from error
    if wrong := sorted(report["missing_keys"]) + sorted(report["unexpected_keys"]):
        raise DataError(f"{folder}: {len(wrong)} weights do not fit the model, such as {wrong[0]}; delete this folder")
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars and its remarks that Mamba's CUDA kernels are missing; here is no GPU."""
    logging = extra("transformers.utils.logging")
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
