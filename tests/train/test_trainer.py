"""Training learns, and an interruption leaves no trace in what it gives."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("megatron.core")

from train.hand_made_blend import counting_blend  # noqa: E402

from tokenmill.core.errors import DataError, EngineError, RecipeError  # noqa: E402
from tokenmill.train.blend import read_blend  # noqa: E402
from tokenmill.train.checkpoint import Step  # noqa: E402
from tokenmill.train.models import tiny  # noqa: E402
from tokenmill.train.nemotron_h import quiet  # noqa: E402
from tokenmill.train.request import Optimiser, TrainingRequest  # noqa: E402
from tokenmill.train.trainer import Trained, train  # noqa: E402


def request_for(blend: Path, **settings: Any) -> TrainingRequest:
    data = read_blend(blend)
    optimiser = Optimiser(**{"global_batch": 4, **settings})
    return TrainingRequest(blend=data, model=tiny(data.vocabulary_size), optimiser=optimiser)


def run(request: TrainingRequest, out: Path, steps: int, every: int = 100, report: Any = lambda step: None) -> Trained:
    return train(request, out, steps=steps, checkpoint_every=every, report=report)


def contents(out: Path, *names: str) -> list[bytes]:
    return [(out / name).read_bytes() for name in names]


LAST = ("metrics.jsonl", "checkpoints/step-000006/model.safetensors", "checkpoints/step-000006/optimizer.pt")


def test_three_steps_and_three_more_are_six(tmp_path: Path) -> None:
    request = request_for(counting_blend(tmp_path))
    whole = run(request, tmp_path / "whole", 6)
    half = run(request, tmp_path / "halves", 3)
    rest = run(request, tmp_path / "halves", 6)
    assert (half.last.step, rest.resumed_from, rest.last) == (3, 3, whole.last)
    assert rest.holdout_loss == whole.holdout_loss
    assert contents(tmp_path / "halves", *LAST) == contents(tmp_path / "whole", *LAST)
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["tokens"]) for line in lines] == [(n, n * 4 * 16) for n in range(1, 7)]


def test_an_interruption_between_checkpoints_costs_time_alone(tmp_path: Path) -> None:
    request = request_for(counting_blend(tmp_path))
    run(request, tmp_path / "whole", 6)

    def interrupt(step: Step) -> None:
        if step.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(request, tmp_path / "out", 6, every=2, report=interrupt)
    told: list[int] = []
    again = run(request, tmp_path / "out", 6, every=2, report=lambda step: told.append(step.step))
    assert (again.resumed_from, told) == (4, [5, 6])
    assert contents(tmp_path / "out", *LAST) == contents(tmp_path / "whole", *LAST)
    assert sorted(p.name for p in (tmp_path / "out" / "checkpoints").iterdir()) == [f"step-00000{n}" for n in (2, 4, 6)]


def test_a_finished_training_says_again_what_it_gave(tmp_path: Path) -> None:
    request = request_for(counting_blend(tmp_path))
    first = run(request, tmp_path / "out", 3)
    again = run(request, tmp_path / "out", 2)
    assert again.last == first.last and again.holdout_loss == first.holdout_loss
    assert (again.resumed_from, again.checkpoint) == (3, first.checkpoint)


def test_learns_to_count(tmp_path: Path) -> None:
    request = request_for(counting_blend(tmp_path, samples=160), global_batch=8)
    losses: list[float] = []
    trained = run(request, tmp_path / "out", 20, report=lambda step: losses.append(step.loss))
    assert 3.0 < losses[0] < 5.0  # ln 32 = 3.47 is guessing
    assert losses[-1] < 1.5
    assert trained.holdout_loss is not None and trained.holdout_loss < 1.5 and trained.holdout_samples == 5


def test_a_checkpoint_is_a_model_that_transformers_reads(tmp_path: Path) -> None:
    trained = run(request_for(counting_blend(tmp_path, samples=160), global_batch=8), tmp_path / "out", 20)
    with quiet():
        model = transformers.AutoModelForCausalLM.from_pretrained(trained.checkpoint)
        with torch.no_grad():
            logits = model(input_ids=torch.arange(3, 20).unsqueeze(0)).logits
    assert logits[0, -1].argmax().item() == 20


def test_the_rate_follows_the_blend_not_the_steps_wanted(tmp_path: Path) -> None:
    request = request_for(counting_blend(tmp_path), peak_learning_rate=0.004)
    rates: list[float] = []
    run(request, tmp_path / "out", 12, report=lambda step: rates.append(step.learning_rate))
    assert request.steps(None) == 12
    assert rates[:9] == [0.004] * 9  # 80% of 12 steps are 9.6
    assert rates[9] < rates[8] and rates[11] == pytest.approx(0.00004)


def test_the_seed_decides_the_weights_alone(tmp_path: Path) -> None:
    blend = counting_blend(tmp_path)
    first, same, other = (
        run(request_for(blend, seed=seed), tmp_path / name, 1).last.loss
        for name, seed in [("first", 0), ("same", 0), ("other", 1)]
    )
    assert first == same != other


def test_another_request_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    blend = counting_blend(tmp_path)
    run(request_for(blend), tmp_path / "out", 1)
    before = contents(tmp_path / "out", "training.json", "metrics.jsonl")
    with pytest.raises(RecipeError, match="global_batch 4, now 8"):
        run(request_for(blend, global_batch=8), tmp_path / "out", 1)
    shard = tmp_path / "tokens" / "code.bin"
    shard.write_bytes(shard.read_bytes()[::-1])
    with pytest.raises(RecipeError, match="blend '"):
        run(request_for(blend), tmp_path / "out", 1)
    assert contents(tmp_path / "out", "training.json", "metrics.jsonl") == before


def test_a_batch_too_large_for_memory_is_taken_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = request_for(counting_blend(tmp_path))
    at_once = run(request, tmp_path / "at_once", 3)
    monkeypatch.setattr("tokenmill.train.trainer.LOGITS_AT_ONCE", 3 * 16 * 32)  # three of four sequences
    parts = run(request, tmp_path / "parts", 3)
    assert parts.last.loss == pytest.approx(at_once.last.loss, rel=1e-4)


def test_a_loss_that_is_no_number_stops_with_the_samples_named(tmp_path: Path) -> None:
    request = request_for(counting_blend(tmp_path), peak_learning_rate=1e30)
    with pytest.raises(DataError, match=r"step [2-9]: the loss is (nan|inf), from samples"):
        run(request, tmp_path / "out", 10)


def test_a_disk_that_is_full_leaves_no_checkpoint_and_the_same_command_goes_on(tmp_path: Path) -> None:
    request = request_for(counting_blend(tmp_path))
    whole = run(request, tmp_path / "whole", 2)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))  # a checkpoint is 12 MB
    try:
        with pytest.raises(EngineError, match="step-000002"):
            run(request, tmp_path / "out", 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((tmp_path / "out" / "checkpoints").glob("step-*"))
    assert run(request, tmp_path / "out", 2).last == whole.last


def test_torchs_settings_are_as_before(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        state = torch.random.get_rng_state()
        run(request_for(counting_blend(tmp_path)), tmp_path / "out", 1)
        assert torch.get_num_threads() == 1 and not torch.are_deterministic_algorithms_enabled()
        assert torch.equal(torch.random.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)
