"""A small real job for the tests of targets, what a target makes of it, and the identity that its run must have."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import yaml

from tokenmill.jobs.cli import main

RECIPE = """
from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup
from tokenmill.filters.gopher_quality import GopherQuality
from tokenmill.filters.measure_text import MeasureText

SMALL = Recipe("small", (ExactDedup(), MeasureText(), GopherQuality()))
"""


def tokenmill(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """What a command tells with --json."""
    told = io.StringIO()
    with redirect_stdout(told):
        assert main([*map(str, arguments), "--json"]) == code
    found: dict[str, Any] = json.loads(told.getvalue())
    return found


def write_job(folder: Path, more: str = "", *, files: int = 4, **changes: str) -> Path:
    """job.yaml over `files` files of text with copies among them; `more` YAML below it, other lines for some keys."""
    place = folder / "in"
    place.mkdir(exist_ok=True)
    for number in range(files):
        texts = [f"the {word} and a copy of it that {n % 3} of them have" for n, word in enumerate("abcdef")]
        texts.append(f"file {number} alone has this")
        (place / f"{number}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (folder / "small.py").write_text(RECIPE)
    lines = {"name": "web", "recipe": "small.py:SMALL", "sources": "[{path: in}]", "out": "out", "state": "state"}
    job = folder / "job.yaml"
    job.write_text("".join(f"{key}: {value}\n" for key, value in (lines | changes).items()) + more)
    return job


def rendered(job: Path, to: str, capsys: Any) -> dict[str, Any]:
    """What `submit --dry-run --json` tells: folder, files, commands."""
    capsys.readouterr()
    assert main(["submit", str(job), "--to", to, "--dry-run", "--json"]) == 0, capsys.readouterr()
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def manifests(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The Kubernetes objects among the files."""
    return [yaml.safe_load(text) for name, text in told["files"].items() if name.endswith(".yaml")]


def refusal(job: Path, to: str, capsys: Any) -> str:
    """What is said to a job that no target could run: exit code 2, and nothing is written."""
    before = sorted(job.parent.rglob("*"))
    capsys.readouterr()
    assert main(["submit", str(job), "--to", to]) == 2
    assert sorted(job.parent.rglob("*")) == before
    return capsys.readouterr().err


def local_identity(job: Path) -> str:
    """Of the same run by `tokenmill run`, in a process of its own and another folder."""
    folder = job.parent
    command = [
        sys.executable,
        "-m",
        "tokenmill.jobs",
        "run",
        f"{folder}/small.py:SMALL",
        "--source",
        str(folder / "in"),
    ]
    command += ["--out", str(folder / "local"), "--workers", "1", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=True)
    return str(json.loads(result.stdout)["identity"])
