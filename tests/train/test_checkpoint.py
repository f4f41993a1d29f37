"""A training's directory holds one request, only complete checkpoints, and each step once."""

from pathlib import Path

import pytest

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.train.checkpoint import Step, TrainingDirectory

REQUEST = {"blend": "c0ffee", "optimiser": {"seed": 0, "betas": [0.9, 0.95]}}


def step(number: int) -> Step:
    return Step(step=number, tokens=number * 100, loss=1 / number, learning_rate=0.1)


def write(directory: TrainingDirectory, number: int, content: bytes = b"weights") -> Path:
    folder = directory.begin(number)
    (folder / "model.safetensors").write_bytes(content)
    return directory.commit(folder, step(number), samples=number * 8)


def test_one_directory_is_one_request(tmp_path: Path) -> None:
    directory = TrainingDirectory(tmp_path / "out")
    directory.claim(REQUEST)
    directory.claim(REQUEST)
    with pytest.raises(RecipeError, match=r"another request \(optimiser: seed 0, now 1\)"):
        directory.claim({**REQUEST, "optimiser": {"seed": 1, "betas": [0.9, 0.95]}})
    with pytest.raises(RecipeError, match="blend 'c0ffee', now 'decaf'"):
        directory.claim({**REQUEST, "blend": "decaf"})


def test_a_directory_with_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    for path in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(RecipeError, match="holds no training"):
            TrainingDirectory(path).claim(REQUEST)
    (tmp_path / "empty").mkdir()
    TrainingDirectory(tmp_path / "empty").claim(REQUEST)


def test_the_newest_is_the_one_with_the_most_steps(tmp_path: Path) -> None:
    directory = TrainingDirectory(tmp_path)
    assert directory.newest() is None
    written = [write(directory, number) for number in (999_999, 1_000_000, 2)]
    assert written[2].name == "step-000002"
    assert directory.newest() == written[1]
    assert directory.last_step(written[1]) == step(1_000_000)


def test_what_a_crash_left_is_no_checkpoint(tmp_path: Path) -> None:
    directory = TrainingDirectory(tmp_path)
    whole = write(directory, 5)
    torn = directory.begin(10)
    (torn / "model.safetensors").write_bytes(b"wei")
    assert directory.newest() == whole
    assert not torn.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_refused_by_file(tmp_path: Path, name: str) -> None:
    directory = TrainingDirectory(tmp_path)
    path = write(directory, 5) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=name):
        directory.last_step(path.parent)
    path.unlink()
    with pytest.raises(DataError, match=name):
        directory.last_step(path.parent)


def test_metrics_hold_each_step_once_after_going_back(tmp_path: Path) -> None:
    directory = TrainingDirectory(tmp_path)
    directory.forget_steps_beyond(0)
    for number in (1, 2, 3, 4):
        directory.add_step(step(number))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "tok')  # the process died here
    directory.forget_steps_beyond(2)
    directory.add_step(step(3))
    assert directory.steps() == [step(1), step(2), step(3)]
    assert (tmp_path / "metrics.jsonl").read_text().startswith('{"step": 1, "tokens": 100, "loss": 1.0, "lr": 0.1}\n')


def test_metrics_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("[1]\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl"):
        TrainingDirectory(tmp_path).steps()
