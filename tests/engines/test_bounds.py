"""A verdict that takes more than its recipe allows stops the run, names the source and shows what it would take."""

import dataclasses
import json
from pathlib import Path

import pytest
from toys import Count, SameFirstWord, Silence, lines_source, run_here

from tokenmill.core.barrier import Bounds
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.dedup.semantic import SemanticDedup
from tokenmill.engines.plan import make_plan
from tokenmill.jobs.cli import main
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.remote_stream import open_uri

TWO_VERDICTS = """
from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.ingest.extract_html import ExtractHtml

TWO = Recipe("two", (ExtractHtml(), ExactDedup(), FuzzyDedup()))
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bounded(SameFirstWord):
    lost_share_at_most: float | None = None
    cluster_at_most: int | None = None

    @property
    def bounds(self) -> Bounds:
        return Bounds(lost_share_at_most=self.lost_share_at_most, cluster_at_most=self.cluster_at_most)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`mostly`: 990 of 1,000 documents begin with the same word. `hardly`: none of them do."""
    for name, lines in {
        "mostly": [f"menu {n}" if n % 100 else f"page{n} {n}" for n in range(1000)],
        "hardly": [f"other{n} {n}" for n in range(1000)],
        "small": [f"menu {n}" for n in range(50)],
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "lines.txt").write_text("\n".join(lines))
    return tmp_path


def run(folder: Path, *names: str, workers: int = 1, **bounds: float) -> Manifest:
    sources = [lines_source(folder / name, name) for name in names]
    plan = make_plan(Recipe("bounded", (Count(), Bounded(**bounds))), sources, open_uri)
    out = folder / f"out-{'-'.join(names)}-{'-'.join(map(str, bounds.values()))}"
    return run_here(plan, out, workers=workers, progress=Silence())


def test_a_source_that_would_lose_too_much_stops_the_run_with_the_evidence(folder):
    with pytest.raises(DataError) as told:
        run(folder, "hardly", "mostly", lost_share_at_most=0.9)
    message = str(told.value)
    assert "source mostly would lose 989 of 1,000 documents (98.9%), the bound is 90.0%; 989 times to one" in message
    assert "It would keep " in message and "of mostly-00000: 'menu " in message
    assert message.count("; and take ") == 3
    assert "--set same_first_word.lost_share_at_most=SHARE (or none)" in message
    assert not (folder / "out-hardly-mostly-0.9" / "manifest.json").exists()


def test_a_bound_is_closed_and_concerns_each_source_alone(folder):
    manifest = run(folder, "hardly", "mostly", lost_share_at_most=0.989)
    assert manifest.totals["duplicates"] == {"same_first_word": 989}
    assert manifest.facts["same_first_word, bounds"] == {"largest_cluster": 989, "removed": 989}


def test_a_cluster_that_is_too_large_stops_the_run(folder):
    with pytest.raises(DataError, match=r"one document would stand for 989 others, the bound is 988"):
        run(folder, "mostly", cluster_at_most=988)
    run(folder, "mostly", cluster_at_most=989)


def test_a_handful_of_copies_proves_nothing(folder):
    assert run(folder, "small", lost_share_at_most=0.1).totals["kept"] == 1


def test_text_that_is_mostly_cut_out_of_a_source_stops_the_run_too(tmp_path):
    """1,500 pages of one long line that all share, and a short one of their own: 59 of 68 bytes go, once not."""
    shared = "This long line stands on each and every page of this site.."
    lines = [f"{shared}\nown {n:04}" for n in range(1500)]
    (tmp_path / "pages.jsonl").write_text("\n".join(json.dumps({"text": line}) for line in lines))
    command = ["run", "line_dedup", "--source", f"pages={tmp_path}/pages.jsonl", "--workers", "1", "--json"]
    assert main([*command, "--out", f"{tmp_path}/stops", "--set", "line_dedup.lost_share_at_most=.8"]) == 3
    assert main([*command, "--out", f"{tmp_path}/goes", "--set", "line_dedup.lost_share_at_most=.9"]) == 0
    facts = Manifest.load(tmp_path / "goes").facts["line_dedup, bounds"]
    assert facts == {"spans": 1499, "bytes": 1499 * 59}


@pytest.mark.parametrize("bounds", [{"lost_share_at_most": 7.0}, {"lost_share_at_most": -0.1}, {"cluster_at_most": -5}])
@pytest.mark.parametrize("kind", [ExactDedup, FuzzyDedup, SemanticDedup])
def test_bounds_out_of_range_are_refused(kind, bounds):
    ((field, value),) = bounds.items()
    with pytest.raises(RecipeError, match=f"{kind.name}: {field}={value}, want"):
        kind(**bounds)


def test_a_later_verdict_is_measured_by_what_earlier_ones_left(tmp_path):
    """1,000 exact copies leave first; of the 1,010 pages left, 1,000 near ones go to one of them: 99%, not half."""
    page = " ".join(f"w{i}" for i in range(300))
    texts = [page] * 1001 + [page + f" x{i}" for i in range(1000)] + [page.replace("w", f"v{i}") for i in range(9)]
    (tmp_path / "pages.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    (tmp_path / "two_verdicts.py").write_text(TWO_VERDICTS)
    command = ["run", f"{tmp_path}/two_verdicts.py:TWO", "--source", f"{tmp_path}/pages.jsonl", "--workers", "1"]
    assert main([*command, "--out", f"{tmp_path}/out", "--set", "fuzzy_dedup.lost_share_at_most=.98"]) == 3
    assert main([*command, "--out", f"{tmp_path}/out", "--set", "fuzzy_dedup.lost_share_at_most=none"]) == 2
    assert main([*command, "--out", f"{tmp_path}/out2", "--set", "fuzzy_dedup.lost_share_at_most=none"]) == 0


def test_text_that_copies_had_does_not_count_for_what_is_cut(tmp_path):
    """110 pages of one shared line and hardly anything else, then 200 copies of another page, which leave first."""
    shared = " ".join(f"w{i}" for i in range(60))
    texts = [f"{shared} {n}" for n in range(110)] + [" ".join(f"c{i}" for i in range(60))] * 201
    (tmp_path / "pages.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    (tmp_path / "copies_and_cuts.py").write_text(
        "from tokenmill.core.recipe import Recipe\nfrom tokenmill.dedup.exact import ExactDedup\n"
        "from tokenmill.dedup.substring import SubstringDedup\nfrom tokenmill.ingest.extract_html import ExtractHtml\n"
        "TWO = Recipe('copies_and_cuts', (ExtractHtml(), ExactDedup(), SubstringDedup(lost_share_at_most=.5)))\n"
    )
    command = ["run", f"{tmp_path}/copies_and_cuts.py:TWO", "--source", f"{tmp_path}/pages.jsonl", "--workers", "1"]
    assert main([*command, "--out", f"{tmp_path}/out"]) == 3
