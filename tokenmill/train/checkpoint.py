"""A training run on disk: what was asked for, what each step gave, and where it can go on.

    OUT/training.json                     the request; written first, and the only one that OUT ever holds
        metrics.jsonl                     one line a step: step, tokens, loss, lr; nothing of the clock
        checkpoints/step-000030/          config.json and model.safetensors (as transformers reads them), optimizer.pt,
                                          state.json: step, position in the data, and the other files' hashes
        cache/                            megatron-core's indices; can be deleted

A checkpoint is written under a temporary name, `state.json` last, and renamed: one that has its name is complete.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.manifests.checked_json import load, save, write_whole

STATE = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: `tokens` consumed at its end, its own included; `loss` in nats a token, before its update."""

    step: int
    tokens: int
    loss: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class TrainingDirectory:
    """OUT. Every method may be called again after a crash anywhere."""

    path: Path

    def claim(self, request: dict[str, Any]) -> None:
        """Make OUT this request's. Raises RecipeError if it holds another's, or anything else."""
        ours = self.path / "training.json"
        if ours.exists():
            held = load(ours)
            if differing := _differing(held, request):
                raise RecipeError(
                    f"--out {self.path}: holds the training of another request ({differing}); give another --out"
                )
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RecipeError(f"--out {self.path}: exists and holds no training; give a new or an empty directory")
        save(ours, request)

    def newest(self) -> Path | None:
        """The complete checkpoint with the most steps; None before the first. Clears what a crash left."""
        folder = self.path / "checkpoints"
        if not folder.is_dir():
            return None
        for leftover in folder.glob(".step-*"):
            shutil.rmtree(leftover)
        return max(folder.glob("step-[0-9]*"), key=lambda path: int(path.name.removeprefix("step-")), default=None)

    def begin(self, step: int) -> Path:
        """An empty folder in which to put the files of the checkpoint behind `step`, for `commit`."""
        folder = self.path / "checkpoints" / f".step-{step:06d}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def commit(self, folder: Path, last: Step, samples: int) -> Path:
        """Add what was done, the samples of the blend it took, and all files' hashes; then give the folder its name."""
        files = sorted(folder.iterdir())
        for path in files:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        state = {**_body(last), "samples": samples, "files": {path.name: _digest(path) for path in files}}
        save(folder / STATE, state)
        final = folder.with_name(folder.name.removeprefix("."))
        os.replace(folder, final)
        return final

    def last_step(self, checkpoint: Path) -> Step:
        """The step behind which it was written. Raises DataError, naming the file, if any byte differs from then."""
        state = load(checkpoint / STATE)
        for name, digest in state["files"].items():
            path = checkpoint / name
            if not path.is_file() or _digest(path) != digest:
                raise DataError(f"{path}: not as it was written; delete {checkpoint} to go on from the one before")
        return _step(state)

    def forget_steps_beyond(self, last: int) -> None:
        """Cut metrics.jsonl behind step `last`: those after it will be done again."""
        if self._metrics.exists():
            kept = [step for step in self.steps() if step.step <= last]
            write_whole(self._metrics, "".join(map(_line, kept)).encode())

    def add_step(self, step: Step) -> None:
        with self._metrics.open("a", encoding="utf-8") as file:
            file.write(_line(step))

    def steps(self) -> list[Step]:
        """Every whole line of metrics.jsonl, in order."""
        if not self._metrics.exists():
            return []
        text = self._metrics.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1].splitlines()
        try:
            return [_step(json.loads(line)) for line in whole]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self._metrics}: a line is no step ({error}); delete this file") from error

    @property
    def _metrics(self) -> Path:
        return self.path / "metrics.jsonl"


def _body(step: Step) -> dict[str, int | float]:
    return {"step": step.step, "tokens": step.tokens, "loss": step.loss, "lr": step.learning_rate}


def _line(step: Step) -> str:
    return json.dumps(_body(step), allow_nan=False) + "\n"


def _step(body: dict[str, Any]) -> Step:
    return Step(step=body["step"], tokens=body["tokens"], loss=body["loss"], learning_rate=body["lr"])


def _digest(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(4 << 20):
            digest.update(block)
    return digest.hexdigest()


def _differing(held: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The first keys whose values differ, with both; empty where there is none."""
    told = []
    for key in sorted({*held, *wanted}):
        before, now = held.get(key), wanted.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            told += [f"{key}: {inner}"] if (inner := _differing(before, now)) else []
        elif before != now:
            told.append(f"{key} {before!r}, now {now!r}")
    return "; ".join(told[:3])
