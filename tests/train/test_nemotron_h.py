"""The torch model has exactly the parameters that the configuration counts, and survives a trip to disk."""

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from train.test_models import NANO  # noqa: E402

from tokenmill.core.errors import DataError  # noqa: E402
from tokenmill.train.models import ModelConfiguration, tiny  # noqa: E402
from tokenmill.train.nemotron_h import build, load_model, quiet, save_model  # noqa: E402


def parameters(model: ModelConfiguration) -> int:
    with torch.device("meta"):  # shapes without memory: Nano would take 126 GB
        return sum(p.numel() for p in build(model, 256).parameters())


@pytest.mark.parametrize(
    "model",
    [
        tiny(4096),
        replace(tiny(100), pattern="*"),
        replace(tiny(100), pattern="M", mamba_groups=3, convolution_width=2),
        replace(tiny(100), pattern="E", experts=5, experts_per_token=3),
        NANO,
    ],
    ids=["tiny", "attention", "mamba", "experts", "nano"],
)
def test_counts_equal_torchs(model: ModelConfiguration) -> None:
    assert model.parameters == parameters(model)


def test_active_parameters_are_what_is_left_with_the_chosen_experts_alone() -> None:
    model = tiny(64)
    router = (model.experts - model.experts_per_token) * model.hidden_size * model.pattern.count("E")  # stays whole
    assert model.active_parameters == parameters(replace(model, experts=model.experts_per_token)) + router


def test_weights_start_with_the_deviation_that_the_configuration_says() -> None:
    model = tiny(1000)
    torch.manual_seed(0)
    embedding = build(model, 16).get_input_embeddings().weight
    assert embedding.std().item() == pytest.approx(model.initial_deviation, rel=0.02)


def test_an_early_token_never_sees_a_later_one() -> None:
    """Causal through all layers, also across the chunks that the Mamba scan works in."""
    model = build(tiny(64), 80).eval()
    tokens = torch.arange(80).remainder(64).unsqueeze(0)
    changed = tokens.clone()
    changed[0, 70] = 1
    with torch.no_grad(), quiet():
        before, after = (model(input_ids=t).logits for t in (tokens, changed))
    assert torch.allclose(before[:, :70], after[:, :70], atol=1e-5)
    assert not torch.allclose(before[:, 70], after[:, 70], atol=1e-2)


def test_a_saved_model_comes_back_bit_for_bit(tmp_path: Path) -> None:
    model = build(tiny(64), 16)
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    before, after = model.state_dict(), again.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_what_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        load_model(tmp_path)
    save_model(build(tiny(64), 16), tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(DataError, match=str(tmp_path)):
        load_model(tmp_path)
