"""A run on datatrove's executors is the run that this machine would have made, and a dead worker does not hang it."""

import json
from pathlib import Path

import pytest
from toys import Count, Fragile, Length, SameFirstWord, SameLastWord, Silence, lines_source, run_here

pytest.importorskip("datatrove", reason="needs the extra datatrove: pip install 'tokenmill[datatrove]'")

from tokenmill.core.errors import DataError, EngineError
from tokenmill.core.recipe import Recipe
from tokenmill.engines.datatrove import DatatroveEngine
from tokenmill.engines.plan import make_plan
from tokenmill.engines.run import run
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.verify import verify

DEDUP = Recipe("toy", (Count(), Length(), SameFirstWord(), SameLastWord()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    (place / "fruit.txt").write_text("apple pie recipe\napple\npear tart\n!broken\nquince jelly recipe\n")
    (place / "tools.txt").write_text("saw\npear tart with cream\nhammer and nails\napple pie recipe\n")
    return place


def on_datatrove(recipe: Recipe, folder: Path, out: Path, workers: int = 2) -> Manifest:
    plan = make_plan(recipe, [lines_source(folder)], open_uri)
    return run(plan, LocalStore(out), DatatroveEngine(workers=workers), progress=Silence())


@pytest.mark.slow
def test_a_killed_worker_is_tried_again(folder, tmp_path):
    (folder / "tools.txt").write_text("kill me once\nand then go on\n")
    fuse = tmp_path / "fuse"
    fuse.touch()
    assert on_datatrove(Recipe("toy", (Fragile(fuse=str(fuse)), Count())), folder, tmp_path / "out").totals["kept"] == 6
    assert not fuse.exists()


@pytest.mark.slow
def test_a_shard_that_always_kills_is_named_and_the_others_are_done(folder, tmp_path):
    (folder / "a_bad.txt").write_text("kill me\n")
    with pytest.raises(EngineError, match=r"^lines-00000 .*a_bad\.txt.*: the worker died, 3 times; give it more"):
        on_datatrove(Recipe("toy", (Fragile(), Count())), folder, tmp_path / "out", workers=1)
    names = sorted(p.name for p in (tmp_path / "out/_work/receipts/segment-0").iterdir())
    assert names == ["lines-00001.json", "lines-00002.json"]


@pytest.mark.slow
def test_an_error_costs_no_other_shard_and_no_mark_of_datatroves_hides_what_is_missing(folder, tmp_path):
    (folder / "zz.txt").write_text("apple of all")
    plan = make_plan(DEDUP, [lines_source(folder)], open_uri)
    (folder / "zz.txt").rename(tmp_path / "zz.txt")
    engine = DatatroveEngine(workers=2)
    with pytest.raises(DataError, match=r"lines-00002 .*zz\.txt.* is gone; restore it"):
        run(plan, LocalStore(tmp_path / "out"), engine, progress=Silence())
    (tmp_path / "zz.txt").rename(folder / "zz.txt")
    there = run(plan, LocalStore(tmp_path / "out"), engine, progress=Silence())
    here = run_here(plan, tmp_path / "here")
    assert there.identity == here.identity
    assert there.facts == here.facts
    assert verify(tmp_path / "out").problems == []
    assert json.loads((tmp_path / "out/provenance.json").read_text())["engine"] == "datatrove"
    assert not (tmp_path / "out/_work").exists()
