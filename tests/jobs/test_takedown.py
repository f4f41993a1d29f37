"""A source is taken down: nothing of it is left, and what it alone had displaced is there again."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from takedown_runs import Folder, near, text

from tokenmill.jobs.cli import main
from tokenmill.manifests.manifest import Manifest


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def cells(directory: Path) -> Iterator[tuple[Path, Any]]:
    """Everything that a run's files hold, value by value."""
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        if path.suffix == ".parquet":
            for column in pq.read_table(path).columns:
                kind = column.type
                if pa.types.is_fixed_size_binary(kind):
                    yield from ((path, v.hex()) for v in column.to_pylist() if v is not None)
                else:
                    yield from ((path, v) for v in column.to_pylist())
        else:
            yield path, path.read_text()


ROOT = Path(__file__).resolve().parents[2]
SEED_PAGES = 40


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Three sources; `b` and `c` have exact and near copies of pages of `a`, of each other, and of nobody.

    No chains: a near copy differs from the page it was made of in two of at least 60 words, in places of its own for
    each copy, so that all copies of a page resemble each other.
    """
    folder = Folder(tmp_path_factory.mktemp("planted"))
    rng = random.Random(3)
    pages = [text(rng, rng.randrange(60, 170)) for _ in range(SEED_PAGES)]
    for source in ("a", "b", "c"):
        documents: list[tuple[str | None, str]] = []
        for page in pages:
            for copy in range(rng.choice([0, 1, 1, 2])):
                some = page if rng.random() < 0.5 else near(page, rng, rng.randrange(1, 55))
                documents.append((f"{source}{len(documents)}-{copy}", some))
        documents += [(f"{source}{len(documents)}-own-{i}", text(rng, 80)) for i in range(5)]
        rng.shuffle(documents)
        folder.source(source, documents)
    folder.run("whole", "WEB", None, "--index")
    return folder


def test_without_chains_it_is_what_a_fresh_run_keeps(planted):
    for gone in ("a", "b", "c"):
        made = planted.take_down("whole", gone, f"without-{gone}")
        fresh = planted.run(f"fresh-{gone}", "WEB", [n for n in "abc" if n != gone], "--index")
        assert planted.texts(f"without-{gone}", "documents") == planted.texts(f"fresh-{gone}", "documents")
        assert planted.texts(f"without-{gone}", "dropped") == planted.texts(f"fresh-{gone}", "dropped")
        fates, expected = planted.books(f"without-{gone}"), planted.books(f"fresh-{gone}")
        assert fates.keys() == expected.keys()
        for address, row in fates.items():
            assert [row[c] for c in ("id", "fate", "chars_in", "chars_out")] == [
                expected[address][c] for c in ("id", "fate", "chars_in", "chars_out")
            ]
        same = ("documents_in", "made", "kept", "dropped", "chars_in", "chars_out", "tokens", "errors")
        assert {k: made.totals[k] for k in same} == {k: fresh.totals[k] for k in same}
        for kind in ("index", "measures"):
            for path in sorted((planted.path / f"fresh-{gone}" / kind).rglob("*.parquet")):
                mine = pq.read_table(str(path).replace("fresh-", "without-"))
                columns = [c for c in mine.column_names if c != "prefer"]  # `a` went: priorities begin one later
                assert mine.select(columns).equals(pq.read_table(path).select(columns)), path
    told = Manifest.load(planted.path / "without-a").facts["takedown"]
    assert told["displaced"] > told["restored"] > 10
    assert set(told["displaced_by"]) == {"exact_dedup", "fuzzy_dedup"}


def test_no_trace_of_it_is_left(planted):
    planted.take_down("whole", "b", "without-b")
    books = planted.rows("whole", "ledger")
    theirs = {r["id"] for r in books if r["shard"].startswith("b-")}
    others = {r["id"] for r in books} - theirs
    texts = {t for kind in ("documents", "dropped") for t in planted.texts("whole", kind).values()}
    owned = {i: t for kind in ("documents", "dropped") for i, t in planted.texts("whole", kind).items()}
    only = {owned[i] for i in theirs} - {owned[i] for i in others}
    assert len(texts) > len(only) > 20
    for path, value in cells(planted.path / "without-b"):
        assert "b-00000" not in path.name
        if isinstance(value, str):
            assert value not in theirs and value not in only and not value.startswith("b-0"), path
            if path.suffix != ".parquet":
                assert not any(i in value for i in theirs) and "b-00000" not in value and "b.jsonl" not in value
    assert [s["name"] for s in Manifest.load(planted.path / "without-b").sources] == ["a", "c"]


def test_every_displaced_document_has_a_fate_of_its_own(planted):
    """Kept, dropped by the filter behind, or a duplicate: of one that was kept or of one that came back."""
    planted.take_down("whole", "a", "without-a")
    before, after = planted.books("whole"), planted.books("without-a")
    displaced = {a for a, r in before.items() if a in after and (r["keeper_shard"] or "").startswith("a-")}
    seen = set()
    for address, row in after.items():
        if address not in displaced:
            assert row == before[address]
            continue
        keeper = (row["keeper_shard"], row["keeper_row"])
        if row["fate"] == "duplicate":
            assert after[keeper]["id"] == row["keeper"]
            assert row["similarity"] >= 0.75
        seen.add((row["fate"], row["stage"], keeper in displaced))
    assert {("kept", None, False), ("dropped", "short", False)} <= seen
    assert {("duplicate", "exact_dedup", True), ("duplicate", "fuzzy_dedup", True)} <= seen


def test_the_bytes_do_not_depend_on_the_workers_and_the_second_call_finds_them(planted, capsys):
    one = planted.take_down("whole", "a", "without-a")
    many = planted.take_down("whole", "a", "many", "WEB", "--workers", "3")
    assert one.shards == many.shards
    assert one.identity == many.identity
    assert one.parents == (Manifest.load(planted.path / "whole").identity,)
    times = {p: p.stat().st_mtime_ns for p in (planted.path / "without-a").rglob("*")}
    capsys.readouterr()
    assert planted.command("whole", "a", "without-a", "WEB", "--json") == 0
    assert json.loads(capsys.readouterr().out)["identity"] == one.identity
    assert times == {p: p.stat().st_mtime_ns for p in (planted.path / "without-a").rglob("*")}
    assert planted.command("whole", "b", "without-a") == 2  # it holds another answer


def test_killed_at_any_moment_it_goes_on(planted):
    """Killed once each of these is there: what was displaced, what was decided of it, and the first shard."""
    out = planted.path / "killed"
    command = [sys.executable, "-m", "tokenmill.jobs", "takedown", f"{planted.path}/whole", "--source", "a", "--json"]
    command += ["--out", str(out), "--recipe", f"{planted.path}/source_recipes.py:WEB", "--workers", "1"]
    for moment in ("_work/displaced/b-00000.arrow", "_work/decided/manifest.json", "_work/receipts/composed"):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and not (out / moment).exists():
                time.sleep(0.005)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert not (out / "manifest.json").exists()
    made = planted.take_down("whole", "a", "killed")
    assert made.shards == planted.take_down("whole", "a", "without-a").shards


def test_it_is_a_run_like_any_other(planted, capsys):
    """It answers `why`, is read as a source, has an index that is deduplicated against, and loses a source again."""
    planted.take_down("whole", "a", "without-a")
    restored = {
        r["id"]
        for a, r in planted.books("without-a").items()
        if r["fate"] == "kept" != planted.books("whole")[a]["fate"]
    }
    for id_ in sorted(restored)[:3]:
        capsys.readouterr()
        assert main(["why", f"{planted.path}/without-a", id_, "--json"]) == 0
        (told,) = json.loads(capsys.readouterr().out)["documents"]
        assert told["fate"] == "kept"
        assert told["measures"]["words"] >= 70
        assert Path(told["read_from"]["uri"]).name in ("b.jsonl", "c.jsonl")
    command = ["run", f"{planted.path}/source_recipes.py:WEB", "--workers", "1"]
    assert main([*command, "--source", f"{planted.path}/without-a", "--out", f"{planted.path}/again"]) == 0
    assert planted.texts("again", "documents") == planted.texts("without-a", "documents")
    sources = [f"--source=x={planted.path}/b.jsonl", f"--source=y={planted.path}/c.jsonl"]
    assert main([*command, *sources, "--against", f"{planted.path}/without-a", "--out", f"{planted.path}/none"]) == 0
    assert planted.verified("none").totals["kept"] == 0  # each is there already
    assert main(["what-if", f"{planted.path}/without-a", "--set", "short.at_most=100", "--recipe", command[1]]) == 0
    second = planted.take_down("without-a", "c", "second")
    assert second.parents == (Manifest.load(planted.path / "without-a").identity,)
    planted.run("only-b", "WEB", ["b"], "--index")
    assert planted.texts("second", "documents") == planted.texts("only-b", "documents")
    assert planted.texts("second", "dropped") == planted.texts("only-b", "dropped")


def test_of_a_chain_what_was_kept_stays_kept(folder):
    """A > B > C in preference, each like the next (similarity 141/171 = .82), and C unlike A (126/186 = .68)."""
    rng = random.Random(1)
    a = text(rng, 160)
    b = near(a, rng, 10, 40, 70)
    c = near(b, rng, 100, 120, 140)
    for name, some in (("a", a), ("b", b), ("c", c)):
        folder.source(name, [(f"{name}-1", some), (f"{name}-2", text(rng, 80))])
    folder.run("chain", "CHAIN", None, "--index")
    fates = {r["shard"]: r for r in folder.rows("chain", "ledger") if r["row"] == 0}
    assert [fates[f"{n}-00000"]["fate"] for n in "abc"] == ["kept", "duplicate", "kept"]
    folder.take_down("chain", "a", "without", "CHAIN")
    fates = {r["shard"]: r for r in folder.rows("without", "ledger") if r["row"] == 0}
    assert fates["c-00000"]["fate"] == "kept"
    row = fates["b-00000"]
    assert (row["fate"], row["stage"]) == ("duplicate", "fuzzy_dedup")
    assert (row["keeper"], row["keeper_shard"], row["keeper_row"]) == (fates["c-00000"]["id"], "c-00000", 0)
    assert row["similarity"] == pytest.approx(141 / 171)
    folder.run("fresh", "CHAIN", ["b", "c"], "--index")
    fates = {r["shard"]: r["fate"] for r in folder.rows("fresh", "ledger") if r["row"] == 0}
    assert fates == {"b-00000": "kept", "c-00000": "duplicate"}


def test_barriers_with_filters_between_and_an_edit_behind(folder):
    """Exact and near copies of `a` meet again from the first barrier on; what comes back is edited too."""
    rng = random.Random(2)
    one, two, three = (text(rng, 100) for _ in range(3))
    folder.source("a", [("1", one), ("2", two), ("3", three)])
    folder.source("b", [("1", one), ("2", near(two, rng, 50)), ("3", text(rng, 20))])
    folder.source(
        "c", [("1", text(rng, 90)), ("2", one), ("3", near(one, rng, 9)), ("4", two), ("5", near(two, rng, 7))]
    )
    folder.run("whole", "APART", None, "--index")
    folder.take_down("whole", "a", "without", "APART")
    folder.run("fresh", "APART", ["b", "c"], "--index")
    assert folder.texts("without", "documents") == folder.texts("fresh", "documents")
    assert folder.texts("without", "dropped") == folder.texts("fresh", "dropped")
    texts = set(folder.texts("without", "documents").values())
    assert f"marked {one}" in texts
    books = {a: (r["fate"], r["stage"], r["keeper_shard"], r["keeper_row"]) for a, r in folder.books("without").items()}
    assert books == {
        ("b-00000", 0): ("kept", None, None, None),
        ("b-00000", 1): ("kept", None, None, None),
        ("b-00000", 2): ("dropped", "long", None, None),
        ("c-00000", 0): ("kept", None, None, None),
        ("c-00000", 1): ("duplicate", "exact_dedup", "b-00000", 0),
        ("c-00000", 2): ("duplicate", "fuzzy_dedup", "b-00000", 0),
        ("c-00000", 3): ("duplicate", "fuzzy_dedup", "b-00000", 1),
        ("c-00000", 4): ("duplicate", "fuzzy_dedup", "b-00000", 1),
    }


def test_documents_that_share_an_id_come_back_as_often_as_they_left(folder):
    """Without ids of their own equal texts of a source have one id; a recipe without exact duplicates keeps all."""
    rng = random.Random(4)
    page = text(rng, 80)
    folder.source("a", [(None, page)])
    folder.source("b", [(None, page), (None, text(rng, 90)), (None, page), (None, page)])
    folder.run("whole", "CHAIN", None, "--index")
    assert len({r["id"] for r in folder.rows("whole", "dropped")}) == 1
    folder.take_down("whole", "a", "without", "CHAIN")
    fates = [(r["row"], r["fate"]) for r in folder.rows("without", "ledger")]
    assert fates == [(0, "kept"), (1, "kept"), (2, "duplicate"), (3, "duplicate")]
    assert [r["text"] for r in folder.rows("without", "dropped")] == [page, page]
    assert folder.rows("without", "documents")[0]["text"] == page


def test_different_documents_of_one_id_are_told_apart_by_their_order(folder, capsys):
    """Records of a careless source: of those that left at one step the order is known, of others it is not."""
    rng = random.Random(10)
    one, two, three = (text(rng, 80) for _ in range(3))
    folder.source("a", [("1", one), ("2", two), ("3", three)])
    folder.source("b", [("same", two), ("same", one), ("other", text(rng, 90))])
    folder.source("c", [("same", near(three, rng, 40)), ("same", one)])
    folder.run("some", "WEB", ["a", "b"], "--index")
    folder.take_down("some", "a", "without", "WEB")
    assert [r["text"] for r in folder.rows("without", "documents")][:2] == [two, one]
    folder.run("more", "WEB", ["a", "c"], "--index")
    assert folder.command("more", "a", "neither") == 3
    assert "c-00000.after-fuzzy_dedup.parquet: different documents have one id" in capsys.readouterr().err


def test_spans_that_were_cut_for_its_sake_are_counted(folder, capsys):
    """A passage of `a` cut from `b` is gone. Of two that come back and share a passage, the second loses it."""
    rng = random.Random(5)
    passage, shared, page, other = text(rng, 40), text(rng, 40), text(rng, 60), text(rng, 60)
    first, second = f"{page} {shared}", f"{shared} {other}"
    folder.source("a", [("1", f"{text(rng, 50)} {passage}"), ("2", first), ("3", second)])
    folder.source("b", [("1", f"{passage} {text(rng, 50)}"), ("2", text(rng, 50)), ("3", first)])
    folder.source("c", [("1", text(rng, 50)), ("2", second)])
    folder.run("whole", "CUT", None, "--index")
    cut = [r for r in folder.rows("whole", "spans") if r["id"] == folder.books("whole")["b-00000", 0]["id"]]
    assert [r["keeper_shard"] for r in cut] == ["a-00000"]
    capsys.readouterr()
    made = folder.take_down("whole", "a", "without", "CUT")
    assert made.facts["takedown"]["spans_not_restored"] == 1
    assert "1 spans were cut from other documents because a had them too" in capsys.readouterr().out
    books = folder.books("without")
    blank, moved = folder.rows("without", "spans")
    assert blank == cut[0] | {"keeper": "", "keeper_shard": "", "keeper_row": -1}
    assert [moved[c] for c in ("id", "row", "keeper", "keeper_shard", "keeper_row")] == [
        books["c-00000", 1]["id"],
        1,
        books["b-00000", 2]["id"],
        "b-00000",
        2,
    ]
    kept = folder.texts("without", "documents")
    assert kept[books["b-00000", 2]["id"]] == first
    assert kept[books["c-00000", 1]["id"]].strip() == other


def test_where_nothing_was_displaced_the_rest_is_linked(folder):
    """No index is needed then, and no recipe: nothing runs."""
    rng = random.Random(6)
    for name in ("a", "b"):
        folder.source(name, [(None, text(rng, 80)) for _ in range(3)])
    whole = folder.run("whole")
    assert main(["takedown", f"{folder.path}/whole", "--source", "a", "--out", f"{folder.path}/rest"]) == 0
    rest = folder.verified("rest")
    assert rest.shards == tuple(s for s in whole.shards if "/a-00000" not in s.path)
    assert all((folder.path / "rest" / s.path).samefile(folder.path / "whole" / s.path) for s in rest.shards)
    shutil.rmtree(folder.path / "whole")
    folder.verified("rest")


def test_a_run_that_was_deduplicated_against_others_still_is(folder, capsys):
    """`b` has a copy of a page of `a` that resembles one of an earlier run: gone with `a`, it must not come back."""
    rng = random.Random(7)
    old = text(rng, 100)
    new = near(old, rng, 50)
    folder.source("x", [(None, old), (None, text(rng, 90))])
    folder.run("earlier", "WEB", ["x"], "--index")
    folder.source("a", [(None, new), (None, text(rng, 80))])
    folder.source("b", [(None, new), (None, text(rng, 80))])
    folder.run("later", "WEB", ["a", "b"], "--index", "--against", f"{folder.path}/earlier")
    assert folder.command("later", "a", "without") == 2
    assert "name their directories with --against" in capsys.readouterr().err
    made = folder.take_down("later", "a", "without", "WEB", "--against", f"{folder.path}/earlier")
    row = folder.books("without")["b-00000", 0]
    earlier = Manifest.load(folder.path / "earlier")
    assert (row["fate"], row["stage"]) == ("duplicate", "fuzzy_dedup")
    assert (row["keeper_shard"], row["keeper_row"]) == (f"{earlier.identity[:12]}/x-00000", 0)
    assert made.parents == (Manifest.load(folder.path / "later").identity, earlier.identity)
