"""A run on Spark is the run that this machine would have made: same identity, same receipts, same words on errors."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from repeated_pages import write_repeated_pages
from spark_session import spark  # noqa: F401
from toys import Count, Fragile, Length, SameFirstWord, SameLastWord, Silence, Slow, lines_source, run_here

from tokenmill.core.errors import DataError, EngineError
from tokenmill.core.recipe import Recipe
from tokenmill.engines import driver, reduce
from tokenmill.engines.plan import make_plan
from tokenmill.engines.run import run
from tokenmill.jobs.cli import main
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.verify import verify

MINE = """
from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.dedup.lines import LineDedup
from tokenmill.dedup.ngram_bloom import NgramBloom
from tokenmill.dedup.ngram_filter import NgramFilter
from tokenmill.dedup.substring import SubstringDedup
from tokenmill.ingest.extract_html import ExtractHtml
from words_of_mine import NotAbout

ALL = Recipe("all", (
    ExtractHtml(), NotAbout(), ExactDedup(), FuzzyDedup(), SubstringDedup(length=20), LineDedup(),
    NgramFilter(one_in=1), NgramBloom(),
))
FUZZY = Recipe("fuzzy", (ExtractHtml(), FuzzyDedup()))
"""

BESIDE_IT = """
from dataclasses import dataclass
from typing import ClassVar
import pyarrow as pa
import pyarrow.compute as pc
from tokenmill.core.stage import Filter

@dataclass(frozen=True, slots=True, kw_only=True)
class NotAbout(Filter):
    name: ClassVar[str] = "not_about"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("text", pa.large_string())])
    word: str = "w39"
    def keep(self, batch):
        return pc.invert(pc.match_substring(batch["text"], self.word + " "))
"""


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    write_repeated_pages(tmp_path / "in")
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "words_of_mine.py").write_text(BESIDE_IT)
    return tmp_path


def command(pages: Path, recipe: str, out: str, *options: str) -> int:
    return main(
        ["run", f"{pages}/mine.py:{recipe}", "--source", f"pages={pages}/in", "--out", f"{pages}/{out}", *options]
    )


@pytest.mark.slow
def test_every_verdict_and_the_users_own_file(spark, pages, monkeypatch):  # noqa: F811
    """Rounds of several partitions, links, spans, a bloom filter's large values; steps that executors cannot import."""
    monkeypatch.setattr(reduce, "PARTITION_BYTES", 60_000)
    assert command(pages, "ALL", "local", "--workers", "2") == 0
    assert command(pages, "ALL", "spark", "--engine", "spark") == 0
    local, there = Manifest.load(LocalStore(pages / "local")), Manifest.load(LocalStore(pages / "spark"))
    assert there.identity == local.identity
    assert there.facts == local.facts
    assert verify(pages / "spark").problems == []
    assert json.loads((pages / "spark/provenance.json").read_text())["peak_bytes_per_worker"] > 50 << 20


@pytest.mark.slow
def test_components_by_stars_where_they_are_too_many_for_one_task(spark, pages, monkeypatch):  # noqa: F811
    monkeypatch.setattr(reduce, "PARTITION_BYTES", 8000)
    monkeypatch.setattr(driver, "LINKS_IN_MEMORY", 20)
    assert command(pages, "FUZZY", "local", "--workers", "1") == 0
    monkeypatch.setattr("tokenmill.engines.spark.LINKS_IN_MEMORY", 5)
    assert command(pages, "FUZZY", "spark", "--engine", "spark") == 0
    local, there = Manifest.load(LocalStore(pages / "local")), Manifest.load(LocalStore(pages / "spark"))
    assert there.identity == local.identity
    assert there.facts == local.facts
    phases = json.loads((pages / "spark/provenance.json").read_text())["phases_s"]
    assert "fuzzy_dedup.bands, components" in phases
    assert not any("star" in phase for phase in phases), "Spark joins by itself"


class StopsBefore(Silence):
    """Interrupts a run when it comes to a phase."""

    def __init__(self, name: str) -> None:
        self.stop = name
        self.already: dict[str, int] = {}

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None:
        self.already[name] = already
        if name == self.stop:
            raise KeyboardInterrupt


STEPS = (Count(), Fragile(fuse="none"), Length(), SameFirstWord(), SameLastWord())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for n, lines in enumerate(
        (["apple pie", "apple tart pie", "pear tart"], ["saw", "apple jam with pie"], ["nail box"])
    ):
        (tmp_path / "in" / f"{n}.txt").write_text("\n".join(lines))
    return tmp_path


def on_spark(steps: Sequence[Any], folder: Path, out: Path, progress: Silence | None = None) -> Manifest:
    from tokenmill.engines.spark import SparkEngine

    plan = make_plan(Recipe("toy", tuple(steps)), [lines_source(folder / "in")], open_uri)
    return run(plan, LocalStore(out), SparkEngine(), progress=progress or Silence())


def here(steps: Sequence[Any], folder: Path, out: Path, progress: Silence | None = None) -> Manifest:
    plan = make_plan(Recipe("toy", tuple(steps)), [lines_source(folder / "in")], open_uri)
    return run_here(plan, out, workers=1, progress=progress or Silence())


@pytest.mark.slow
def test_a_run_begun_on_one_is_finished_on_the_other(spark, folder, tmp_path):  # noqa: F811
    calm = here(STEPS, folder, tmp_path / "calm")
    for first, second, out in ((here, on_spark, "to-spark"), (on_spark, here, "from-spark")):
        with pytest.raises(KeyboardInterrupt):
            first(STEPS, folder, tmp_path / out, StopsBefore("same_last_word"))
        then = StopsBefore("")
        assert second(STEPS, folder, tmp_path / out, then).identity == calm.identity
        assert then.already["segment 0"] == 3 and then.already["same_first_word"] == 1, "nothing is done twice"


def test_the_users_session_is_used_as_it_is_and_left_running(spark, folder, tmp_path):  # noqa: F811
    before = {name: spark.conf.get(name) for name in ("spark.sql.adaptive.enabled", "spark.sql.shuffle.partitions")}
    on_spark(STEPS, folder, tmp_path / "out")
    assert {name: spark.conf.get(name) for name in before} == before
    assert spark.range(3).count() == 3


class TakesAway(Silence):
    """Moves a file when a phase begins that needs it."""

    def __init__(self, phase: str, file: Path) -> None:
        self.at = phase
        self.file = file

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None:
        if name == self.at:
            shutil.move(self.file, f"{self.file}.away")


def test_bad_data_is_named_once_and_the_other_shards_are_finished(spark, folder, tmp_path):  # noqa: F811
    said = []
    for run_it, out in ((here, "here"), (on_spark, "out")):
        with pytest.raises(DataError, match=r"^lines-00001 .*in/1\.txt\), segment 0: .*is gone") as met:
            run_it(STEPS, folder, tmp_path / out, TakesAway("segment 0", tmp_path / "in/1.txt"))
        said.append(str(met.value))
        shutil.move(tmp_path / "in/1.txt.away", tmp_path / "in/1.txt")
    assert said[0] == said[1]
    done = {path.name for path in (tmp_path / "out/_work/receipts/segment-0").iterdir()}
    assert done == {"lines-00000.json", "lines-00002.json"}


def test_a_worker_that_dies_is_another_s_start(spark, folder, tmp_path):  # noqa: F811
    (folder / "in" / "1.txt").write_text("kill the worker")
    fuse = tmp_path / "fuse"
    fuse.touch()
    manifest = on_spark((Fragile(fuse=str(fuse)),), folder, tmp_path / "out")
    assert not fuse.exists()
    assert manifest.totals["documents_in"] == 5


@pytest.mark.slow
def test_a_document_that_kills_every_worker_is_named(spark, folder, tmp_path):  # noqa: F811
    (folder / "in" / "1.txt").write_text("kill the worker")
    with pytest.raises(
        EngineError, match=r"lines-00001 .*1\.txt.*segment 0: .*Python worker exited.*run the same command"
    ):
        on_spark((Fragile(),), folder, tmp_path / "out")


class Impatient(Silence):
    """Presses Ctrl-C while a segment's tasks run."""

    def news(self, counts: dict[str, int]) -> None:
        raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupt_ends_spark_s_jobs_and_the_run_goes_on_later(spark, folder, tmp_path):  # noqa: F811
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        on_spark((Slow(seconds_per_batch=60),), folder, tmp_path / "out", Impatient())
    assert time.monotonic() - began < 50
    assert list(spark.sparkContext.statusTracker().getActiveJobsIds()) == []
    shutil.rmtree(tmp_path / "out")
    assert on_spark(STEPS, folder, tmp_path / "out").totals["documents_in"] == 6


def test_what_the_emitters_meet_is_told_and_mended_by_the_same_command(spark, folder, tmp_path):  # noqa: F811
    with pytest.raises(KeyboardInterrupt):
        on_spark(STEPS, folder, tmp_path / "out", StopsBefore("same_first_word"))

    emitted = tmp_path / "out/_work/emitted/same_first_word.meet/lines-00001.arrow"
    with pytest.raises(EngineError, match=r"same_first_word.meet, keys 00000-of-00001.*from lines-00001.*is gone"):
        on_spark(STEPS, folder, tmp_path / "out", TakesAway("same_first_word", emitted))
    there = on_spark(STEPS, folder, tmp_path / "out")  # the shard is read once more
    assert there.identity == here(STEPS, folder, tmp_path / "here").identity
