"""The local engine, on small real recipes: every document accounted for, the same bytes however it runs."""

import dataclasses
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from toys import (
    ByIdInGroupsOfAbout,
    Count,
    CountDocuments,
    Fragile,
    Length,
    Loses,
    PlainText,
    SameFirstWord,
    SameLastWord,
    Silence,
    lines_source,
    run_here,
)

from tokenmill.core.errors import DataError, EngineError, RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.engines.plan import make_plan
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.verify import verify

FRUIT = [
    "apple pie recipe",
    "apple",
    "pear tart",
    "# not a document",
    "apple pie",
    "!broken",
    "",
    "quince jelly recipe",
]
TOOLS = ["saw", "pear tart with cream", "hammer and nails", "apple pie recipe"]


class Heard(Silence):
    """Remembers how many tasks of each phase were done before."""

    def __init__(self) -> None:
        self.already: dict[str, int] = {}

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None:
        self.already[name] = already


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    (place / "fruit.txt").write_text("\n".join(FRUIT))
    (place / "tools.txt").write_text("\n".join(TOOLS))
    return place


def run(recipe: Recipe, folder: Path, out: Path, workers: int = 1, progress: Silence | None = None) -> Manifest:
    plan = make_plan(recipe, [lines_source(folder)], open_uri)
    return run_here(plan, out, workers=workers, progress=progress or Silence())


def ledger(out: Path) -> dict[tuple[str, int], dict[str, object]]:
    rows = [r for p in sorted((out / "ledger").iterdir()) for r in pq.read_table(p).to_pylist()]
    return {(r["shard"], r["row"]): r for r in rows}


DEDUP = Recipe("toy", (Count(), Length(), SameFirstWord(), SameLastWord()))


def test_every_document_has_exactly_one_fate(folder, tmp_path):
    manifest = run(DEDUP, folder, tmp_path / "out")
    fates = {(r["shard"][-1], r["row"]): (r["fate"], r["stage"], r["rule"]) for r in ledger(tmp_path / "out").values()}
    first, last = ("duplicate", "same_first_word", "same_first_word"), ("duplicate", "same_last_word", "same_last_word")
    short = ("dropped", "length", "words_at_least")
    kept = ("kept", None, None)
    assert fates == {
        ("0", 0): last,  # of `quince jelly recipe`, which is longer
        ("0", 1): short,
        ("0", 2): first,  # of `pear tart with cream`
        ("0", 3): first,  # of `apple pie recipe`
        ("0", 4): ("error", "read", "unreadable line"),
        ("0", 5): short,
        ("0", 6): kept,
        ("1", 0): short,
        ("1", 1): kept,
        ("1", 2): kept,
        ("1", 3): first,  # of its equal in fruit.txt, which has the smaller address
    }
    assert manifest.totals["records"] == {"comment": 1}
    assert manifest.totals["documents_in"] == 11
    assert verify(tmp_path / "out").problems == []


def test_a_dropped_document_shows_its_value_and_bound(folder, tmp_path):
    run(DEDUP, folder, tmp_path / "out")
    row = ledger(tmp_path / "out")[("lines-00000", 1)]
    assert (row["value"], row["bound"], row["chars_in"], row["chars_out"]) == (1, 2, 5, 0)


def test_an_earlier_verdict_takes_documents_out_of_a_later_one(folder, tmp_path):
    """`apple pie recipe` twice: the copy that the first barrier removed cannot be the second one's keeper."""
    run(DEDUP, folder, tmp_path / "out")
    rows = ledger(tmp_path / "out").values()
    removed = {(r["shard"], r["row"]) for r in rows if r["stage"] == "same_first_word"}
    keepers = {(r["keeper_shard"], r["keeper_row"]) for r in rows if r["stage"] == "same_last_word"}
    assert keepers and not keepers & removed


def test_dropped_documents_keep_their_text(folder, tmp_path):
    run(DEDUP, folder, tmp_path / "out")
    texts = Counter(t for p in (tmp_path / "out" / "dropped").iterdir() for t in pq.read_table(p)["text"].to_pylist())
    assert texts["saw"] == texts["pear tart"] == texts["apple"] == 1
    kept = [t for p in (tmp_path / "out" / "documents").iterdir() for t in pq.read_table(p)["text"].to_pylist()]
    assert sorted([*kept, *(t for t in texts.elements() if t is not None)]) == sorted(
        t for t in FRUIT + TOOLS if not t.startswith(("#", "!"))
    )


def test_a_recipe_may_forget_the_text_of_what_it_drops(folder, tmp_path):
    forgetful = dataclasses.replace(DEDUP, keeps_dropped=False)
    assert forgetful.version != DEDUP.version
    with_text, without = run(DEDUP, folder, tmp_path / "a"), run(forgetful, folder, tmp_path / "b")
    assert with_text.of_kind("dropped")
    assert not without.of_kind("dropped")
    assert without.totals == with_text.totals
    assert verify(tmp_path / "b").ok


@pytest.mark.parametrize(
    "recipe",
    [DEDUP, Recipe("shuffle", (Count(), CountDocuments(), ByIdInGroupsOfAbout()), PlainText())],
    ids=["dedup", "regroup"],
)
def test_workers_and_place_change_nothing(recipe, folder, tmp_path, monkeypatch):
    one = run(recipe, folder, tmp_path / "one", workers=1)
    monkeypatch.chdir(folder)
    two = run(recipe, Path("."), tmp_path / "deep" / "two", workers=2)
    assert one == two
    assert (tmp_path / "one" / "manifest.json").read_bytes() == (
        tmp_path / "deep" / "two" / "manifest.json"
    ).read_bytes()


def test_a_finished_run_is_left_alone(folder, tmp_path):
    first = run(DEDUP, folder, tmp_path / "out")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    assert run(DEDUP, folder, tmp_path / "out") == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")} == before


def test_a_finished_run_notices_that_its_input_has_changed(folder, tmp_path):
    run(DEDUP, folder, tmp_path / "out")
    (folder / "tools.txt").write_text("\n".join(["sow", *TOOLS[1:]]))
    with pytest.raises(RecipeError, match=r"tools\.txt has changed since this run was finished"):
        run(DEDUP, folder, tmp_path / "out")


def test_another_recipe_is_refused_in_the_same_directory(folder, tmp_path):
    run(DEDUP, folder, tmp_path / "out")
    other = Recipe("toy", (Count(), Length(words_at_least=1)))
    with pytest.raises(RecipeError, match="holds a finished run of recipe toy@"):
        run(other, folder, tmp_path / "out")


def test_a_directory_with_other_things_is_refused(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("do not lose me")
    with pytest.raises(RecipeError, match=r"not empty \(thesis\.tex\)"):
        run(DEDUP, folder, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_a_document_that_a_stage_cannot_take_is_an_error_and_costs_no_other(folder, tmp_path):
    (folder / "tools.txt").write_text("a hammer\na bomb here\na saw\n")
    manifest = run(Recipe("toy", (Fragile(), Count(), Length())), folder, tmp_path / "out")
    assert manifest.totals["errors"] == {"fragile: ZeroDivisionError: a bomb": 1, "read: unreadable line": 1}
    assert [ledger(tmp_path / "out")[("lines-00001", n)]["fate"] for n in range(3)] == ["kept", "error", "kept"]


def test_a_stage_that_loses_rows_stops_the_run(folder, tmp_path):
    with pytest.raises(DataError, match=r"lines-00000 .*loses: given 3 rows, returned 2"):
        run(Recipe("toy", (Loses(),)), folder, tmp_path / "out")


def test_a_killed_worker_is_tried_again(folder, tmp_path):
    (folder / "tools.txt").write_text("kill me once\nand then go on\n")
    fuse = tmp_path / "fuse"
    fuse.touch()
    recipe = Recipe("toy", (Fragile(fuse=str(fuse)), Count()))
    assert run(recipe, folder, tmp_path / "out").totals["kept"] == 8
    assert not fuse.exists()
    assert verify(tmp_path / "out").ok


def test_a_shard_that_always_kills_is_named_and_the_others_are_done(folder, tmp_path):
    (folder / "a_bad.txt").write_text("kill me\n")
    recipe = Recipe("toy", (Fragile(), Count()))
    with pytest.raises(EngineError, match=r"lines-00000 .*a_bad\.txt.* was killed by SIGSEGV, 3 times"):
        run(recipe, folder, tmp_path / "out", workers=2)
    (folder / "a_bad.txt").write_text("spare me")  # as long as it was, changed in time
    heard = Heard()
    manifest = run(recipe, folder, tmp_path / "out", workers=2, progress=heard)
    assert heard.already["segment 0"] >= 1  # what was committed is not done again
    assert manifest.totals["documents_in"] == 12


def test_regroup_moves_every_document_once_into_named_content(folder, tmp_path):
    recipe = Recipe("shuffle", (Count(), Length(), CountDocuments(), ByIdInGroupsOfAbout(size=3)), PlainText())
    manifest = run(recipe, folder, tmp_path / "out")
    lines = [line for p in (tmp_path / "out" / "plain").iterdir() for line in p.read_text().splitlines()]
    assert sorted(lines) == sorted(t for t in FRUIT + TOOLS if len(t.split()) > 1 and t[0] not in "#!")
    assert sum(s.rows for s in manifest.of_kind("plain")) == manifest.totals["kept"] == 7
    assert (tmp_path / "out" / "assets" / "count_documents.parquet").exists()
    assert verify(tmp_path / "out").ok


def test_nothing_of_the_work_is_left(folder, tmp_path):
    run(DEDUP, folder, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "manifest.json",
        "provenance.json",
        "documents",
        "dropped",
        "measures",
        "ledger",
    }
