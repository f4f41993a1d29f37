"""The same survivors, for the same reasons, however the input is cut into files, ordered, and spread over workers."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tokenmill.jobs.cli import main
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.verify import verify

RECIPES = """
from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.dedup.lines import LineDedup
from tokenmill.dedup.substring import SubstringDedup
from tokenmill.ingest.extract_html import ExtractHtml

ALL = Recipe("all", (ExtractHtml(), ExactDedup(), FuzzyDedup(), SubstringDedup(length=20), LineDedup()))
"""


def documents() -> list[dict[str, str]]:
    """Copies, near copies, shared passages of 30 words, repeated lines."""
    rng = random.Random(3)
    texts: list[str] = []
    passages = [" ".join(f"p{n}w{rng.randrange(99)}" for _ in range(30)) for n in range(10)]
    for n in range(400):
        lines = [" ".join(f"w{rng.randrange(40_000)}" for _ in range(rng.randrange(8, 20))) for _ in range(8)]
        kind = n % 8
        if kind == 1 and texts:
            lines = rng.choice(texts).split("\n")
        elif kind == 2 and texts:
            lines = rng.choice(texts).split("\n")
            lines[rng.randrange(len(lines))] += " one more word"
        elif kind == 3:
            lines[3] += " " + rng.choice(passages)
        elif kind == 4:
            lines.insert(4, "This line stands on many of the pages of this site.")
        texts.append("\n".join(lines))
    return [{"id": f"d{n}", "text": text} for n, text in enumerate(texts)]


def outcome(out: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """(what became of each id and why, the kept texts)."""
    columns = ("fate", "stage", "rule", "keeper", "similarity", "band", "chars_out")
    rows = [r for p in sorted((out / "ledger").iterdir()) for r in pq.read_table(p).to_pylist()]
    kept = [r for p in sorted((out / "documents").iterdir()) for r in pq.read_table(p).to_pylist()]
    return {r["id"]: tuple(r[c] for c in columns) for r in rows}, {r["id"]: r["text"] for r in kept}


def run(folder: Path, name: str, files: list[list[dict[str, str]]], workers: int) -> tuple[Manifest, Any]:
    place = folder / name
    place.mkdir()
    for number, some in enumerate(files):
        (place / f"{number}.jsonl").write_text("\n".join(map(json.dumps, some)))
    (folder / "mine.py").write_text(RECIPES)
    out = folder / f"{name}-out"
    command = ["run", f"{folder}/mine.py:ALL", "--source", f"pages={place}", "--out", str(out)]
    assert main([*command, "--workers", str(workers)]) == 0
    assert verify(out).problems == []
    return Manifest.load(out), outcome(out)


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(tmp_path_factory.mktemp("one"), "one", [documents()], 1)


def test_every_kind_of_removal_is_there(one_file):
    books, texts = one_file[1]
    assert {stage for _, stage, *_ in books.values()} >= {"exact_dedup", "fuzzy_dedup", None}
    whole = {document["text"] for document in documents()}
    assert sum(text not in whole for text in texts.values()) > 50, "passages and lines are cut out of kept documents"


@pytest.mark.parametrize(("files", "workers"), [(1, 2), (7, 1), (7, 2)])
def test_other_files_in_another_order_on_other_workers(one_file, tmp_path, files, workers):
    some = documents()
    random.Random(files).shuffle(some)
    parts = [some[n::files] for n in range(files)]
    _, (books, texts) = run(tmp_path, "other", parts, workers)
    assert books == one_file[1][0]
    assert texts == one_file[1][1]


def test_the_number_of_workers_changes_no_byte(one_file, tmp_path):
    manifest, _ = run(tmp_path, "again", [documents()], 2)
    assert manifest.identity == one_file[0].identity
