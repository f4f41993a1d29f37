"""A new snapshot is deduplicated against the index of earlier ones, and that comes to what one run would have given."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.cli import main
from tokenmill.jobs.indexes import find_index
from tokenmill.jobs.recipes import find_recipe
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.verify import verify

RECIPES = """
from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.dedup.substring import SubstringDedup
from tokenmill.ingest.extract_html import ExtractHtml

BOTH = Recipe("both", (ExtractHtml(), ExactDedup(), FuzzyDedup()))
CUT = Recipe("cut", (ExtractHtml(), ExactDedup(), FuzzyDedup(), SubstringDedup(length=50)))
"""


def pages(rng: random.Random, earlier: list[str], n: int) -> list[str]:
    """New pages, and of the earlier ones copies, near copies, and some that are near the threshold."""
    made = []
    for _ in range(n):
        kind = rng.choice(["new", "copy", "near", "edge"]) if earlier or made else "new"
        if kind == "new":
            made.append(" ".join(f"w{rng.randrange(50_000)}" for _ in range(rng.randrange(60, 200))))
        else:
            words = rng.choice(earlier + made).split()
            for _ in range({"copy": 0, "near": 1, "edge": len(words) // 35}[kind]):
                words[rng.randrange(len(words))] = f"x{rng.randrange(50_000)}"
            made.append(" ".join(words))
    return made


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three snapshots as JSON lines, and a recipe of both barriers."""
    folder = tmp_path_factory.mktemp("snapshots")
    rng = random.Random(7)
    texts: list[str] = []
    for number in range(3):
        some = pages(rng, texts, 150)
        lines = [json.dumps({"id": f"{number}-{i}", "text": text}) for i, text in enumerate(some)]
        (folder / f"s{number}.jsonl").write_text("\n".join(lines))
        texts += some
    (folder / "mine.py").write_text(RECIPES)
    return folder


def run(folder: Path, out: str, *arguments: str) -> Manifest:
    assert main(["run", f"{folder}/mine.py:BOTH", "--out", str(folder / out), "--workers", "1", *arguments]) == 0
    assert verify(folder / out).problems == []
    return Manifest.load(folder / out)


def source(folder: Path, number: int) -> list[str]:
    return ["--source", f"s{number}={folder}/s{number}.jsonl"]


def fates(folder: Path, *runs: str) -> dict[str, dict[str, Any]]:
    """Ledger rows by id, which no two records share here."""
    rows = [
        r for out in runs for p in sorted((folder / out / "ledger").iterdir()) for r in pq.read_table(p).to_pylist()
    ]
    assert len({r["id"] for r in rows}) == len(rows)
    return {r["id"]: r for r in rows}


def final(books: dict[str, dict[str, Any]], id_: str) -> tuple[str, float]:
    """The document that is kept in the end for this one, and the similarity to it.

    An exact copy may leave for a twin that leaves in turn for a near-duplicate. At once the twin may be of an earlier
    snapshot; one by one it cannot, because an index holds what was kept: but the end is the same.
    """
    similarity = 1.0
    while books[id_]["fate"] == "duplicate":
        similarity = min(similarity, books[id_]["similarity"])
        id_ = books[id_]["keeper"]
    return id_, similarity


def test_three_snapshots_one_by_one_equal_all_at_once(snapshots):
    run(snapshots, "whole", *source(snapshots, 0), *source(snapshots, 1), *source(snapshots, 2))
    run(snapshots, "first", *source(snapshots, 0), "--index")
    run(snapshots, "second", *source(snapshots, 1), "--index", "--against", f"{snapshots}/first")
    shutil.rmtree(snapshots / "first" / "documents")  # the index is enough
    both = ["--against", f"{snapshots}/first", "--against", f"{snapshots}/second"]
    third = run(snapshots, "third", *source(snapshots, 2), *both)
    whole, apart = fates(snapshots, "whole"), fates(snapshots, "first", "second", "third")
    assert whole.keys() == apart.keys()
    kinds = set()
    for id_, row in whole.items():
        mine = apart[id_]
        assert mine["fate"] == row["fate"]
        assert final(apart, id_) == final(whole, id_)
        if row["fate"] == "duplicate" and mine["keeper"] == row["keeper"]:
            assert [mine[c] for c in ("stage", "similarity", "band")] == [
                row[c] for c in ("stage", "similarity", "band")
            ]
            far = mine["keeper_shard"].partition("/")[0] in {identity[:12] for identity in third.parents}
            kinds.add((row["stage"], far, row["similarity"] < 0.9))
    assert kinds >= {("exact_dedup", True, False), ("fuzzy_dedup", True, False), ("fuzzy_dedup", True, True)}
    assert third.parents == tuple(Manifest.load(snapshots / name).identity for name in ("first", "second"))


def test_an_index_of_other_signatures_is_refused(snapshots):
    run(snapshots, "indexed", *source(snapshots, 0), "--index")
    command = ["run", "fuzzy_dedup", *source(snapshots, 1), "--out", f"{snapshots}/no", "--against"]
    assert main([*command, f"{snapshots}/indexed", "--set", "fuzzy_dedup.seed=2"]) == 2
    assert main([*command, f"{snapshots}/indexed", "--set", "fuzzy_dedup.threshold=.8"]) == 0


def test_a_run_without_an_index_is_refused(snapshots):
    run(snapshots, "plain", *source(snapshots, 0))
    with pytest.raises(RecipeError, match="has no index; make it again with --index"):
        find_index(find_recipe("fuzzy_dedup"), [str(snapshots / "plain")])
    with pytest.raises(RecipeError, match="none of its steps can use an index"):
        find_index(find_recipe("extract"), [str(snapshots / "plain")])


def test_an_index_knows_documents_as_they_were_compared_not_as_they_were_cut(tmp_path):
    """Of the second page its passage is cut; a near copy of the whole page is still its duplicate."""
    rng = random.Random(1)
    passage, first, second = (" ".join(f"w{rng.randrange(10**6)}" for _ in range(n)) for n in (120, 150, 149))
    copy = f"{passage} {second}".split()
    copy[250:264] = [f"x{n}" for n in range(14)]
    for name, texts in {"s1": [f"{passage} {first}", f"{passage} {second}"], "s2": [" ".join(copy)]}.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"id": t[-9:], "text": t}) for t in texts))
    (tmp_path / "cutting.py").write_text(RECIPES)
    command = ["run", f"{tmp_path}/cutting.py:CUT", "--workers", "1"]
    assert main([*command, "--source", f"s1={tmp_path}/s1.jsonl", "--out", f"{tmp_path}/a", "--index"]) == 0
    assert any(p.stat().st_size for p in (tmp_path / "a" / "spans").iterdir())
    again = [*command, "--source", f"s2={tmp_path}/s2.jsonl", "--out", f"{tmp_path}/b", "--against", f"{tmp_path}/a"]
    assert main(again) == 0
    (row,) = fates(tmp_path, "b").values()
    assert (row["fate"], row["stage"]) == ("duplicate", "fuzzy_dedup")
    assert 0.75 < row["similarity"] < 0.95


def test_an_index_whose_files_are_gone_or_changed_is_refused(snapshots, capsys):
    run(snapshots, "damaged", *source(snapshots, 0), "--index")
    file = next((snapshots / "damaged" / "index" / "fuzzy_dedup").iterdir())
    command = ["run", "fuzzy_dedup", *source(snapshots, 1), "--out", f"{snapshots}/no2", "--against"]
    file.write_bytes(file.read_bytes()[:-1])
    assert main([*command, f"{snapshots}/damaged"]) == 3
    assert "bytes, the manifest says" in capsys.readouterr().err
    file.unlink()
    assert main([*command, f"{snapshots}/damaged"]) == 3
    assert "missing; make that run again with --index" in capsys.readouterr().err


def test_keys_of_other_parameters_are_another_index(tmp_path):
    for name, url in {"u1": "https://e.org/a?sid=1", "u2": "https://e.org/a?sid=2"}.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": name, "url": url}))
    setting = ["--set", "url_dedup.ignored_parameters=sid"]
    command = ["run", "url_dedup", "--workers", "1", "--source"]
    assert main([*command, f"{tmp_path}/u1.jsonl", "--out", f"{tmp_path}/plain", "--index"]) == 0
    against = [*command, f"{tmp_path}/u2.jsonl", "--out", f"{tmp_path}/new", *setting, "--against"]
    assert main([*against, f"{tmp_path}/plain"]) == 2
    assert main([*command, f"{tmp_path}/u1.jsonl", "--out", f"{tmp_path}/same", "--index", *setting]) == 0
    assert main([*against, f"{tmp_path}/same"]) == 0
    assert [row["fate"] for row in fates(tmp_path, "new").values()] == ["duplicate"]


def test_an_index_of_nothing_is_refused(snapshots, capsys):
    command = ["run", "line_dedup", *source(snapshots, 0), "--out", f"{snapshots}/lines", "--index"]
    assert main(command) == 2
    assert "line_dedup has no step that leaves an index" in capsys.readouterr().err
