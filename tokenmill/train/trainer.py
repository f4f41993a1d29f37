"""The training loop: one process, plain torch, fp32 on the CPU; it stops and goes on without a trace in the losses.

Scope: the language-model loss alone. The router's expert bias stays 0 and no auxiliary loss balances the experts;
there is no multi-token prediction, no mixed precision, and no second process.

Same request, same losses to the last bit on one kind of machine, however often it is interrupted: the order of the
samples is a function of the blend, weights of the seed, and sums are cut the same way everywhere (THREADS). Another
processor or another torch may round differently.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from tokenmill.core.errors import DataError, EngineError
from tokenmill.train.blend import content_of
from tokenmill.train.blend_data import Batch, Samples, open_blend
from tokenmill.train.checkpoint import Step, TrainingDirectory
from tokenmill.train.extra import extra, need_models_extra
from tokenmill.train.nemotron_h import build, load_model, quiet, save_model
from tokenmill.train.request import Optimiser, TrainingRequest

THREADS = 2  # fixed, because it decides in which order floats are added; more gain little on a model this small
LOGITS_AT_ONCE = 1 << 25  # 128 MiB a copy, of which a step holds about four; bounds the micro-batch
HOLDOUT_SAMPLES = 64  # a second's work at sequence 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Where a run stands. Losses are in nats a token; `holdout_loss` is None where the blend holds nothing out."""

    last: Step
    holdout_loss: float | None
    holdout_samples: int
    resumed_from: int  # steps that were done before this call
    checkpoint: Path


def train(
    request: TrainingRequest, out: Path, *, steps: int, checkpoint_every: int, report: Callable[[Step], None]
) -> Trained:
    """Train until `steps` steps are done in all, from the newest checkpoint in `out` if there is one.

    A checkpoint is written behind every `checkpoint_every` steps and the last. Raises RecipeError if `out` holds
    another request or the extra `[models]` is absent, DataError for a damaged shard or checkpoint, or a loss that
    is no number, EngineError if `out` cannot be written.
    """
    need_models_extra()
    content = content_of(request.blend)
    directory = TrainingDirectory(out)
    try:
        directory.claim(request.as_dict(content))
        with _reproducible(request.optimiser.seed), quiet():
            data, holdout = open_blend(request.blend, out / "cache" / content, HOLDOUT_SAMPLES)
            return _train(request, directory, data, holdout, steps, checkpoint_every, report)
    except OSError as error:
        raise EngineError(f"{error.filename or out}: {error.strerror}; mend that, then run this again") from error


def _train(
    request: TrainingRequest,
    directory: TrainingDirectory,
    data: Samples,
    holdout: Samples | None,
    steps: int,
    checkpoint_every: int,
    report: Callable[[Step], None],
) -> Trained:
    torch = extra("torch")
    settings, blend = request.optimiser, request.blend
    done, last, checkpoint = 0, None, directory.newest()
    if checkpoint is None:
        model = build(request.model, blend.sequence_length)
        optimiser = _adamw(model, settings)
    else:
        last = directory.last_step(checkpoint)
        done, model = last.step, load_model(checkpoint)
        optimiser = _adamw(model, settings)
        optimiser.load_state_dict(torch.load(checkpoint / "optimizer.pt", weights_only=True))
    directory.forget_steps_beyond(done)
    micro_batch = max(1, LOGITS_AT_ONCE // (blend.sequence_length * blend.vocabulary_size))
    model.train()
    for number in range(done + 1, steps + 1):
        tokens = number * request.tokens_per_step
        rate = settings.peak_learning_rate * settings.schedule.share_of_peak(tokens, blend.total_tokens)
        for group in optimiser.param_groups:
            group["lr"] = rate
        first = (number - 1) * settings.global_batch
        loss = _accumulate(model, data.batch(first, settings.global_batch), micro_batch)
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
        if not isfinite(loss):
            raise DataError(
                f"step {number}: the loss is {loss}, from samples {first} to {first + settings.global_batch - 1} "
                f"of {blend.name} at learning rate {rate:.2e}; look at these, or lower the rate"
            )
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        last = Step(step=number, tokens=tokens, loss=loss, learning_rate=rate)
        directory.add_step(last)
        report(last)
        if number == steps or number % checkpoint_every == 0:
            checkpoint = _save(directory, model, optimiser, last, samples=first + settings.global_batch)
    assert last is not None and checkpoint is not None  # `steps` is at least 1: one was loaded or made
    return Trained(
        last=last,
        holdout_loss=None if holdout is None else _evaluate(model, holdout, micro_batch),
        holdout_samples=0 if holdout is None else len(holdout),
        resumed_from=done,
        checkpoint=checkpoint,
    )


def _save(directory: TrainingDirectory, model: Any, optimiser: Any, last: Step, samples: int) -> Path:
    folder = directory.begin(last.step)
    try:
        save_model(model, folder)
        extra("torch").save(optimiser.state_dict(), folder / "optimizer.pt")
    except Exception as error:  # a full disk is an OSError to Python, a RuntimeError to torch, its own to safetensors
        raise EngineError(f"{folder}: cannot be written ({error}); make room, then run this again") from error
    return directory.commit(folder, last, samples)


def _adamw(model: Any, settings: Optimiser) -> Any:
    weights = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return extra("torch").optim.AdamW(groups, lr=settings.peak_learning_rate, betas=settings.betas)


def _accumulate(model: Any, batch: Batch, micro_batch: int) -> float:
    """Gradients of the mean loss over all counted tokens of `batch`; that loss."""
    counted = batch.counts.sum()
    total = 0.0
    for part in _parts(batch, micro_batch):
        loss = _summed_loss(model, part) / counted
        loss.backward()
        total += loss.item()
    return total


def _evaluate(model: Any, samples: Samples, micro_batch: int) -> float:
    model.eval()
    batch = samples.batch(0, len(samples))
    with extra("torch").no_grad():
        total = sum(float(_summed_loss(model, part)) for part in _parts(batch, micro_batch))
    return total / float(batch.counts.sum())


def _parts(batch: Batch, size: int) -> Iterator[Batch]:
    yield from map(Batch, batch.tokens.split(size), batch.labels.split(size), batch.counts.split(size))


def _summed_loss(model: Any, batch: Batch) -> Any:
    logits = model(input_ids=batch.tokens, use_cache=False).logits
    losses = extra("torch").nn.functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), reduction="none")
    return (losses * batch.counts.flatten()).sum()


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Seeded weights, a fixed number of threads, only deterministic kernels; the caller's settings come back."""
    torch = extra("torch")
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.use_deterministic_algorithms(strict)
        torch.set_num_threads(threads)
