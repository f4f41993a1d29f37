"""A takedown that cannot be right is refused, before anything is written, with what to do instead."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from takedown_runs import Folder, near, text
from token_runs import documents, token_run

from tokenmill.core.errors import RecipeError
from tokenmill.engines.takedown import check
from tokenmill.jobs.cli import main
from tokenmill.manifests.manifest import Manifest, Shard


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize(
    ("recipe", "more", "reason"),
    [
        ("WEB", [], "has no index; make it again with --index"),
        ("EDITED", ["--index"], "mark stands between exact_dedup and fuzzy_dedup"),
    ],
)
def test_what_cannot_be_decided_anew_is_refused_before_anything_is_written(folder, capsys, recipe, more, reason):
    rng = random.Random(8)
    one, two = text(rng, 80), text(rng, 80)
    folder.source("a", [("1", one), ("2", two)])
    folder.source("b", [("1", one), ("2", near(two, rng, 40))])
    folder.run("whole", recipe, None, *more)
    assert folder.command("whole", "a", "without", recipe) == 2
    assert reason in capsys.readouterr().err
    assert not (folder.path / "without").exists()


def test_requests_that_are_wrong(folder, capsys):
    page = text(random.Random(9), 80)
    for name in ("aa", "bb", "cc"):
        folder.source(name, [(None, page)])
    folder.run("whole", "WEB", None, "--index")
    folder.run("single", "WEB", ["aa"])
    whole, single, out = (f"{folder.path}/{name}" for name in ("whole", "single", "wrong"))

    def said(*arguments: str) -> str:
        capsys.readouterr()
        assert main(["takedown", *arguments]) == 2
        return capsys.readouterr().err

    assert "has no source bbb; did you mean bb?" in said(whole, "--source", "bbb", "--out", out)
    assert "it has aa, bb, cc" in said(whole, "--source", "xyz", "--out", out)
    assert "lies within" in said(whole, "--source", "aa", "--out", f"{whole}/new")
    assert "no recipe is called web; did you mean web_en?" in said(whole, "--source", "aa", "--out", out)
    other = ["--recipe", f"{folder.path}/source_recipes.py:APART"]
    assert "made by web@" in said(whole, "--source", "aa", "--out", out, *other)
    assert "no other source than aa" in said(single, "--source", "aa", "--out", out)
    assert "no such directory" in said(f"{folder.path}/nowhere", "--source", "aa", "--out", out)
    assert not Path(out).exists()


def test_a_run_that_ends_in_tokens_says_what_to_do(tmp_path, capsys):
    token_run(tmp_path / "tokens", {"train-00000": documents(1, 3, 4)})
    manifest = Manifest.load(tmp_path / "tokens")
    replace(manifest, sources=({"name": "web"}, {"name": "code"})).save(tmp_path / "tokens")
    assert main(["takedown", f"{tmp_path}/tokens", "--source", "web", "--out", f"{tmp_path}/out"]) == 2
    assert "take the source down from the run of documents, then tokenize again" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["documents/group-00000.parquet", "assets/percentiles.parquet"])
def test_what_was_made_of_all_documents_cannot_lose_some(path):
    paths = ["ledger/a-00000.parquet", "ledger/b-00000.parquet", path]
    files = tuple(Shard(path=p, kind=p.partition("/")[0], rows=0, bytes=0, sha256="", rows_hash="") for p in paths)
    manifest = Manifest(name="x", recipe="x@0", parents=(), shards=files, totals={}, assets={})
    with pytest.raises(RecipeError, match="made something of all its documents together"):
        check(manifest, "a")


def test_what_a_takedown_has_put_together_cannot_tell_documents_of_one_id_apart(folder, capsys):
    """dropped/ of the first takedown is not in order of rows: a second one must not guess which text is whose."""
    rng = random.Random(11)
    one, two = text(rng, 80), text(rng, 90)
    folder.source("a", [("1", one)])
    folder.source("c", [("1", one), ("9", text(rng, 75))])
    folder.source("d", [("1", two)])
    folder.source("b", [("same", one), ("same", two)])
    folder.run("whole", "WEB", None, "--index")
    folder.take_down("whole", "a", "once", "WEB")
    assert folder.command("once", "c", "twice") == 3
    assert "different documents have one id" in capsys.readouterr().err


def test_runs_that_it_was_not_deduplicated_against_are_refused(folder, capsys):
    rng = random.Random(12)
    page = text(rng, 80)
    for name in ("a", "b"):
        folder.source(name, [("1", page), ("2", text(rng, 80))])
    folder.source("z", [("1", near(page, rng, 40))])
    folder.run("stranger", "WEB", ["z"], "--index")
    folder.run("whole", "WEB", ["a", "b"], "--index")
    assert folder.command("whole", "a", "without", "WEB", "--against", f"{folder.path}/stranger") == 2
    assert "was not deduplicated against these runs" in capsys.readouterr().err
