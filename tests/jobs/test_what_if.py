"""what-if answers from measures alone what a new run would say, and says what it cannot know."""

import json
from pathlib import Path

import pytest
from takedown_runs import RECIPES
from toys import Count, Length, SameFirstWord, Silence, lines_source, run_here

from tokenmill.core.errors import RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.engines.plan import make_plan
from tokenmill.jobs.cli import main
from tokenmill.jobs.overrides import with_overrides
from tokenmill.jobs.what_if import Answer, ask
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.remote_stream import open_uri

TEXT = "one\none two\none two three\nanother one\nlast but not least\n!broken\n"
FILTERS = Recipe("toy", (Count(), Length(words_at_least=2)))
DEDUP = Recipe("toy", (Count(), Length(words_at_least=2), SameFirstWord()))


def run(recipe: Recipe, folder: Path, out: Path) -> Manifest:
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text(TEXT)
    return run_here(make_plan(recipe, [lines_source(folder)], open_uri), out, workers=1, progress=Silence())


def answer(recipe: Recipe, tmp_path: Path, *settings: str) -> Answer:
    manifest = run(recipe, tmp_path / "in", tmp_path / "out")
    return ask(LocalStore(tmp_path / "out"), manifest, with_overrides(recipe, list(settings)))


@pytest.mark.parametrize("words", [0, 1, 2, 3, 4, 9])
def test_without_barriers_the_answer_is_that_of_a_new_run(tmp_path, words):
    told = answer(FILTERS, tmp_path, f"length.words_at_least={words}")
    again = run(with_overrides(FILTERS, [f"length.words_at_least={words}"]), tmp_path / "in", tmp_path / "again")
    dropped = again.totals["dropped"].get("length.words_at_least", 0)
    admitted = 1 if words <= 1 else 0  # `one` was dropped, so nothing behind the filter ever saw it
    assert told.dropped_then["length.words_at_least"] == dropped
    assert told.kept_then + admitted == again.totals["kept"]


def test_a_document_that_would_reach_a_barrier_anew_is_unknown_from_there(tmp_path):
    told = answer(DEDUP, tmp_path, "length.words_at_least=1")
    assert told.unknown == {"same_first_word": 1}


def test_duplicates_of_a_document_that_would_go_are_unknown(tmp_path):
    """`one two three` is kept for `one two`; were four words wanted, its duplicate would go before it anyway."""
    assert answer(DEDUP, tmp_path, "length.words_at_least=4").unknown.total() == 0


def test_the_same_bounds_change_nothing(tmp_path):
    told = answer(DEDUP, tmp_path)
    assert (told.kept_now, told.kept_then, told.unknown.total()) == (3, 3, 0)
    assert told.dropped_now == told.dropped_then


def test_only_filters_can_be_asked_about(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    run_args = ["--source", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(["run", "extract", *run_args]) == 0
    assert main(["what-if", str(tmp_path / "out"), "--set", "extract_html.main_content=false"]) == 2
    assert "extract_html is no filter" in capsys.readouterr().err


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="no such directory"):
        from tokenmill.jobs.what_if import command

        command(directory=str(tmp_path / "none"), set_=["a.b=1"])


PASSAGE = " ".join(f"p{i}" for i in range(60))
CUTS = """
from tokenmill.core.recipe import Recipe
from tokenmill.dedup.substring import SubstringDedup
from tokenmill.filters.gopher_quality import GopherQuality
from tokenmill.filters.measure_text import MeasureText
from tokenmill.ingest.extract_html import ExtractHtml

CUTS = Recipe(
    "cuts",
    (ExtractHtml(), MeasureText(), GopherQuality(mean_word_length_at_least=0, stop_words_at_least=0), SubstringDedup()),
)
"""


def test_a_document_that_was_cut_for_one_that_would_go_is_unknown(tmp_path, capsys):
    """The longer page keeps the passage; were it to go by its length, the other would keep its own."""
    texts = [
        PASSAGE + " " + " ".join(f"a{i}" for i in range(100)),
        PASSAGE + " " + " ".join(f"b{i}" for i in range(60)),
    ]
    (tmp_path / "w.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    (tmp_path / "cutting_pages.py").write_text(CUTS)
    mine = f"{tmp_path}/cutting_pages.py:CUTS"
    command = ["run", mine, "--source", f"{tmp_path}/w.jsonl", "--out", f"{tmp_path}/out", "--workers", "1"]
    assert main(command) == 0
    capsys.readouterr()
    ask_ = ["what-if", f"{tmp_path}/out", "--recipe", mine, "--json", "--set", "gopher_quality.words_at_most=150"]
    assert main(ask_) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kept_now"], told["kept_then"]) == (2, 0)
    assert told["dropped_then"] == {"gopher_quality.words_at_most": 1}
    assert told["unknown"] == {"documents that substring_dedup cut for one that would go": 1}


BEHIND = (
    RECIPES
    + """
@dataclass(frozen=True, slots=True, kw_only=True)
class Early(Short):
    name: ClassVar[str] = "early"
    at_most: float = 1000

NEAR = Recipe("near", (ExtractHtml(), Count(), Early(), FuzzyDedup(), Short()))
CUTTING = Recipe("cutting", (ExtractHtml(), Count(), Early(), SubstringDedup(length=20), Short()))
"""
)


@pytest.mark.parametrize(
    ("recipe", "texts", "setting", "kept", "unknown"),
    [
        pytest.param(
            "NEAR", (155, 149), "early.at_most=150", 0, 1, id="a keeper that left later and would leave before"
        ),
        pytest.param(
            "NEAR", (155, 149), "short.at_most=100", 0, 0, id="one that stays in the way, and leaves later still"
        ),
        pytest.param("NEAR", (155, 149), "early.at_most=140", 0, 0, id="both would leave before"),
        pytest.param("CUTTING", (200, 100), "early.at_most=150", 0, 1, id="the same for what was cut"),
        pytest.param("CUTTING", (200, 100), "early.at_most=50", 0, 0, id="a document that would not come to be cut"),
        pytest.param("CUTTING", (140, 100), "short.at_most=120", 1, 0, id="a keeper that would leave behind the cut"),
    ],
)
def test_what_hangs_on_a_keeper_is_unknown_where_that_would_go_before_it(
    tmp_path, capsys, recipe, texts, setting, kept, unknown
):
    """Two texts of so many words: near each other, or with 40 words in common; the longer one is the keeper."""
    same = texts[1] if recipe == "NEAR" else 40
    lines = [" ".join([*(f"w{i}" for i in range(same)), *(f"{n}x{i}" for i in range(n - same))]) for n in texts]
    (tmp_path / "w.jsonl").write_text("\n".join(json.dumps({"text": line}) for line in lines))
    (tmp_path / "keepers_that_go.py").write_text(BEHIND)
    mine = f"{tmp_path}/keepers_that_go.py:{recipe}"
    command = ["run", mine, "--source", f"{tmp_path}/w.jsonl", "--workers", "1", "--json"]
    assert main([*command, "--out", f"{tmp_path}/out"]) == 0
    capsys.readouterr()
    assert main(["what-if", f"{tmp_path}/out", "--recipe", mine, "--json", "--set", setting]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kept_then"], sum(told["unknown"].values())) == (kept, unknown)
    assert main([*command, "--out", f"{tmp_path}/then", "--set", setting]) == 0
    then = json.loads(capsys.readouterr().out)["totals"]
    assert told["kept_then"] <= then["kept"] <= told["kept_then"] + unknown
    if not unknown:
        assert {k: n for k, n in told["dropped_then"].items() if n} == then["dropped"]
