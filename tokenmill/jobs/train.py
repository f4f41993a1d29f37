"""`tokenmill train`: a model on a compiled blend."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.console import show, warn
from tokenmill.train.blend import read_blend
from tokenmill.train.checkpoint import Step
from tokenmill.train.models import MODELS, model_named
from tokenmill.train.request import Optimiser, TrainingRequest
from tokenmill.train.trainer import Trained, train

LAUNCHERS = ("torch",)
EVERY_STEP_UNTIL = 100  # steps in all; longer runs tell of every tenth


def command(
    blend: Annotated[Path, typer.Option(help="The --out of `tokenmill blend`.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Checkpoints and metrics; by default beside the blend, named for blend and model."),
    ] = None,
    model: Annotated[str, typer.Option(help=f"One of: {', '.join(MODELS)}.")] = "tiny",
    launcher: Annotated[str, typer.Option(help="What runs the steps.")] = "torch",
    steps: Annotated[int | None, typer.Option(help="Stop behind this step; by default at the end.")] = None,
    batch: Annotated[int, typer.Option(help="Sequences a step.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the weights.")] = 0,
    checkpoint_every: Annotated[int, typer.Option(help="Steps between checkpoints; the last has one.")] = 500,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run, and do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Train a model on a blend; the same command goes on where an earlier one stopped."""
    if launcher not in LAUNCHERS:
        raise RecipeError(f"--launcher {launcher}: not in this version; available: {', '.join(LAUNCHERS)}")
    if checkpoint_every < 1:
        raise RecipeError(f"--checkpoint-every {checkpoint_every}: want at least 1 step")
    data = read_blend(blend)
    out = out or blend.resolve().parent / f"{blend.resolve().name}-{model}"
    shape = model_named(model, data.vocabulary_size)
    request = TrainingRequest(blend=data, model=shape, optimiser=Optimiser(global_batch=batch, seed=seed))
    last = request.steps(steps)
    facts: dict[str, Any] = {
        "model": shape.name,
        "parameters": shape.parameters,
        "mtp_parameters": shape.mtp_parameters,
        "active_parameters": shape.active_parameters,
        "active_parameters_without_input_embedding": shape.active_parameters_without_input_embedding,
        "steps": last,
        "tokens": last * request.tokens_per_step,
    }
    plan = (
        f"{shape.name} ({shape.pattern}): {shape.parameters:,} parameters, {shape.active_parameters:,} active; "
        f"{last:,} steps of {batch} x {data.sequence_length:,} tokens from {data.name}"
    )
    if dry_run:
        words = ["tokenmill", "train", "--model", model, "--blend", blend, "--out", out, "--launcher", "torch"]
        words += ["--steps", last, "--batch", batch, "--seed", seed, "--checkpoint-every", checkpoint_every]
        line = [str(word) for word in words]
        show(facts | {"command": line}, as_json, f"{plan}\n{' '.join(line)}")
        return
    warn(plan)
    telling = _Telling(last, request.tokens_per_step)
    trained = train(request, out, steps=last, checkpoint_every=checkpoint_every, report=telling.step)
    found = {
        "out": str(out),
        "steps": trained.last.step,
        "tokens": trained.last.tokens,
        "loss": trained.last.loss,
        "holdout_loss": trained.holdout_loss,
        "holdout_samples": trained.holdout_samples,
        "resumed_from": trained.resumed_from,
        "checkpoint": str(trained.checkpoint),
    }
    show(facts | found, as_json, _summary(trained))


class _Telling:
    """A line on standard error per step, or per tenth step of a long run, with the speed since the line before."""

    def __init__(self, steps: int, tokens_per_step: int) -> None:
        self._steps, self._tokens_per_step = steps, tokens_per_step
        self._told, self._told_at = None, time.monotonic()  # type: int | None, float

    def step(self, step: Step) -> None:
        if self._steps > EVERY_STEP_UNTIL and step.step % 10 and step.step != self._steps:
            return
        now = time.monotonic()
        line = f"step {step.step}/{self._steps}  tokens {step.tokens:,}  loss {step.loss:.4f}"
        line += f"  lr {step.learning_rate:.2e}"
        if self._told is not None:  # the first step also opens files and compiles
            speed = (step.step - self._told) * self._tokens_per_step / (now - self._told_at)
            line += f"  {speed:,.0f} tokens/s"
        self._told, self._told_at = step.step, now
        warn(line)


def _summary(trained: Trained) -> str:
    last = trained.last
    resumed = f", {trained.resumed_from:,} of them before" if trained.resumed_from else ""
    lines = [f"trained {last.step:,} steps{resumed}: {last.tokens:,} tokens, loss {last.loss:.4f}"]
    if trained.holdout_loss is not None:
        lines.append(f"hold-out: loss {trained.holdout_loss:.4f} on {trained.holdout_samples} samples")
    lines.append(f"checkpoint {trained.checkpoint}")
    return "\n".join(lines)
