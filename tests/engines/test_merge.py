"""Many shards' rows merged before they are read are the same rows, on engines with a shuffle of their own too."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from stage_examples import EOD, tiny_tokenizer
from toys import Silence, run_here

from tokenmill.core.asset import Asset
from tokenmill.core.recipe import Recipe
from tokenmill.engines import directory
from tokenmill.engines.context import Context
from tokenmill.engines.driver import Driver
from tokenmill.engines.local import LocalEngine
from tokenmill.engines.merge import MergeTask, merge_tasks
from tokenmill.engines.plan import Plan, make_plan
from tokenmill.engines.run import finish
from tokenmill.engines.workers import Engine
from tokenmill.jobs.recipes import find_recipe
from tokenmill.jobs.sources import find_sources
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.store import WORK
from tokenmill.manifests.verify import verify
from tokenmill.pipelines.tokens import tokenize_recipe

WORDS = [f"word{i}" for i in range(2000)]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine files of pages, each of which resembles the next, and some lines that all have."""
    folder = tmp_path_factory.mktemp("pages")
    for file in range(9):
        with (folder / f"{file}.jsonl").open("w") as lines:
            for i in range(file, 180, 9):
                text = " ".join(WORDS[10 * i : 10 * i + 150])
                lines.write(json.dumps({"text": f"the same line on every page of all\n{text}"}) + "\n")
    return folder


def plan_of(recipe: Recipe, pages: Path) -> Plan:
    return make_plan(recipe, find_sources([str(pages)]).sources, open_uri)


def merged(plan: Plan, out: Path, engine: Engine) -> tuple[Manifest, set[str]]:
    """The manifest, and the phases, of a run that merges the rows of three shards or more."""
    context = Context(plan=plan, out=LocalStore(out), merged_from=3)
    with directory.claimed(context.out, plan.request()):
        with engine.workers_of(context) as workers:
            driver = Driver(context, workers, Silence())
            driver.run()
        finish(context, driver, {"engine": engine.name}, datetime.now(UTC), time.monotonic())
    context.out.delete_all(WORK)
    assert verify(out).ok
    return Manifest.load(out), driver.seconds.keys()


def engine_named(name: str) -> Engine:
    if name == "local":
        return LocalEngine(workers=2)
    if name == "dask":
        pytest.importorskip("distributed")
        from tokenmill.engines.dask import DaskEngine

        return DaskEngine(workers=2)
    pytest.importorskip("pyspark")
    from tokenmill.engines.spark import SparkEngine

    return SparkEngine(master="local[2]")


@pytest.mark.parametrize(
    ("engine", "recipe"),
    [
        ("local", "fuzzy_dedup"),
        ("local", "line_dedup"),
        ("local", "tokens"),
        pytest.param("dask", "fuzzy_dedup", marks=pytest.mark.slow),
        pytest.param("dask", "tokens", marks=pytest.mark.slow),
        pytest.param("spark", "fuzzy_dedup", marks=pytest.mark.slow),
        pytest.param("spark", "tokens", marks=pytest.mark.slow),
    ],
)
def test_merged_rows_are_the_same_rows(engine, recipe, pages, tmp_path):
    tokens = recipe == "tokens"
    chosen = tokenize_recipe(Asset.of(tiny_tokenizer().uri), eod=EOD) if tokens else find_recipe(recipe)
    plain = run_here(plan_of(chosen, pages), tmp_path / "plain", workers=2)
    assert plain.totals["kept"] > 0
    assert not any(
        "merged" in phase for phase in json.loads((tmp_path / "plain/provenance.json").read_text())["phases_s"]
    )
    manifest, phases = merged(plan_of(chosen, pages), tmp_path / "merged", engine_named(engine))
    assert manifest.identity == plain.identity
    shuffles = engine != "local" and not tokens  # and gathers the rows itself
    assert any(phase.endswith(", merged") for phase in phases) is not shuffles


def test_files_are_merged_by_their_number_and_their_bytes():
    first = MergeTask(segment=0, barrier=0, round=0, group=0, first=0, stop=0, bytes=0, inputs="")
    tasks = merge_tasks(first, [1] * 1000)
    assert [(t.group, t.first, t.stop, t.bytes) for t in tasks] == [(0, 0, 512, 512), (1, 512, 1000, 488)]
    large = merge_tasks(first, [3 << 30, 1 << 30, 1, 5 << 30, 7])
    assert [(t.first, t.stop) for t in large] == [(0, 2), (2, 3), (3, 4), (4, 5)]
    assert merge_tasks(first, []) == []
