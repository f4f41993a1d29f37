"""`tokenmill train` from the outside: one JSON object, clear refusals, and the losses on standard error."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from train.hand_made_blend import counting_blend
from typer.testing import CliRunner

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.train import command

app = typer.Typer()
app.command()(command)


def invoke(*arguments: object) -> Any:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_dry_run_tells_the_counts_and_the_command_and_touches_nothing(tmp_path: Path) -> None:
    blend, out = counting_blend(tmp_path), tmp_path / "out"
    told = json.loads(invoke("--blend", blend, "--out", out, "--batch", 4, "--dry-run", "--json").stdout)
    assert told["parameters"] - told["active_parameters"] == 3 * 6 * 2 * 128 * 88  # 6 of 8 experts in 3 layers rest
    assert told["active_parameters"] - told["active_parameters_without_input_embedding"] == 32 * 128
    assert (told["mtp_parameters"], told["steps"], told["tokens"]) == (0, 12, 12 * 4 * 16)
    assert not out.exists()
    again = json.loads(invoke(*told["command"][2:], "--dry-run", "--json").stdout)
    assert told["command"][:2] == ["tokenmill", "train"] and again == told


def test_a_dry_run_for_people_is_a_line_and_the_command(tmp_path: Path) -> None:
    first, second = invoke(
        "--blend", counting_blend(tmp_path), "--out", tmp_path / "out", "--dry-run"
    ).stdout.splitlines()
    assert first.startswith("tiny (MEM*EME): ") and "6 steps of 8 x 16 tokens from by hand" in first
    assert second.startswith("tokenmill train --model tiny --blend ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "nano"], "available: tiny"),
        (["--launcher", "megatron"], "--launcher megatron: not in this version; available: torch"),
        (["--checkpoint-every", "0"], "--checkpoint-every 0"),
        (["--batch", "49"], "less than one global batch"),
        (["--steps", "7"], r"1\.\.6 steps"),
        (["--batch", "0"], "--batch 0"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    blend = counting_blend(tmp_path)
    with pytest.raises(RecipeError, match=complaint):
        invoke("--blend", blend, "--out", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_trains_and_prints_one_object_with_progress_apart(tmp_path: Path) -> None:
    for module in ("torch", "transformers", "megatron.core"):
        pytest.importorskip(module)
    out = tmp_path / "out"
    done = invoke("--blend", counting_blend(tmp_path), "--out", out, "--steps", 2, "--json")
    told = json.loads(done.stdout)
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert (told["steps"], told["tokens"], told["resumed_from"]) == (2, 256, 0)
    assert told["loss"] == metrics[-1]["loss"] and told["holdout_loss"] > 0
    assert (Path(told["checkpoint"]) / "state.json").is_file()
    assert "step 1/2  tokens 128  loss " in done.stderr and "tokens/s" in done.stderr
    more = invoke("--blend", tmp_path / "blend", "--out", out, "--steps", 3)
    assert more.stdout.startswith("trained 3 steps, 2 of them before: 384 tokens, loss ")
    assert "hold-out: loss " in more.stdout and "step-000003" in more.stdout
