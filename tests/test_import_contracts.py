"""Where code may go, and what it may know: DESIGN in one picture, held by import-linter and by this file."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tokenmill"
FILES = sorted(PACKAGE.rglob("*.py"))
ALL = [*FILES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py"))]
NAMELESS = {"util", "utils", "helper", "helpers", "common", "misc", "tools", "stuff", "base"}
STEP_FOLDERS = {"ingest", "filters", "dedup", "synth", "tokenize"}
STEP_KINDS = {"Stage", "Measure", "Filter", "Verdict", "Summary", "Regroup", "Format"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_folder_has_its_layer() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [c for c in settings["contracts"] if c["type"] == "layers"]
    assert layers["exhaustive"] is True
    named = {folder.strip() for layer in layers["layers"] for folder in layer.split("|")}
    assert named == {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}


def test_imports_keep_to_the_layers() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_only_jobs_and_nothing_else_lies_beside_the_folders() -> None:
    assert {p.name for p in PACKAGE.iterdir() if p.is_file()} == {"__init__.py", "py.typed"}


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"], ids=relative)
def test_package_files_are_empty(path: Path) -> None:
    assert path.read_bytes() == b""


def test_tests_are_no_package() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@pytest.mark.parametrize("path", ALL, ids=relative)
def test_files_are_short_and_named_for_what_they_hold(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= 400, f"{relative(path)} has {lines} lines; look for the second idea in it"
    assert not NAMELESS & {path.stem, *(p.name for p in path.relative_to(ROOT).parents)}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_files_open_with_what_and_why(path: Path) -> None:
    if path.name != "__init__.py":
        assert ast.get_docstring(ast.parse(path.read_text())), f"{relative(path)} does not say what it is"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_steps_live_in_the_folders_of_steps(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] in STEP_FOLDERS | {"core"}:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            kinds = STEP_KINDS & {base.id for base in node.bases if isinstance(base, ast.Name)}
            assert not kinds, f"{relative(path)}: {node.name} is a step; put it into one of {sorted(STEP_FOLDERS)}"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_nothing_is_decided_by_an_assertion_about_the_world(path: Path) -> None:
    """`assert` vanishes under -O: it may say what cannot happen, never check a file, an argument or a length."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assert):
            assert not any(
                isinstance(n, ast.Attribute) and n.attr in {"exists", "is_file", "is_dir"} for n in ast.walk(node.test)
            )
