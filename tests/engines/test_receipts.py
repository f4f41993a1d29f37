"""A receipt counts for its own inputs alone, whatever was begun, stopped and begun again in between."""

import os
from pathlib import Path

import pytest
from toys import Count, SameFirstWord, Silence, lines_source, run_here

from tokenmill.core.recipe import Recipe
from tokenmill.engines import directory, receipts
from tokenmill.engines.context import Context
from tokenmill.engines.driver import Driver
from tokenmill.engines.local import LocalEngine
from tokenmill.engines.plan import make_plan
from tokenmill.engines.share import close, missing_tasks, prepare, run_missing, run_share
from tokenmill.engines.stations import stations
from tokenmill.manifests import attempt
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.store import WORK
from tokenmill.manifests.verify import verify

RECIPE = Recipe("toy", (Count(), SameFirstWord()))
OLD, NEW = "apple one\npear two\napple three", "quince one\npear four\nplum five"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    for name in "abc":
        (place / f"{name}.txt").write_text(f"{name} is first\n{OLD}")
    return place


def context_of(folder: Path, out: Path) -> Context:
    return Context(plan=make_plan(RECIPE, [lines_source(folder)], open_uri), out=LocalStore(out))


def go_to(folder: Path, out: Path, until: int) -> None:
    context = context_of(folder, out)
    with LocalEngine(workers=1).workers_of(context) as workers:
        Driver(context, workers, Silence()).run(until=until)


def change(path: Path, text: str, modified_ns: int | None = None) -> None:
    path.write_text(text)
    if modified_ns is not None:
        os.utime(path, ns=(modified_ns, modified_ns))


@pytest.mark.parametrize("from_", [1, 1000], ids=["collected", "one by one"])
def test_an_input_that_changed_and_was_restored(folder, tmp_path, monkeypatch, from_):
    monkeypatch.setattr(receipts, "COLLECTED_FROM", from_)
    want = run_here(context_of(folder, tmp_path).plan, tmp_path / "fresh").identity
    before = (folder / "a.txt").stat().st_mtime_ns, (folder / "a.txt").read_text()
    go_to(folder, tmp_path / "out", 2)
    assert (tmp_path / "out" / WORK / "collected").exists() == (from_ == 1)
    change(folder / "a.txt", NEW)
    go_to(folder, tmp_path / "out", 1)
    change(folder / "a.txt", before[1], before[0])
    manifest = run_here(context_of(folder, tmp_path).plan, tmp_path / "out")
    assert manifest.identity == want
    assert verify(tmp_path / "out").ok


def test_an_attempt_that_dies_between_its_files_and_its_receipt(folder, tmp_path, monkeypatch):
    """It had begun to replace the files of another input, whose receipt must not vouch for them any more."""
    want = run_here(context_of(folder, tmp_path).plan, tmp_path / "fresh").identity
    before = (folder / "a.txt").stat().st_mtime_ns, (folder / "a.txt").read_text()
    go_to(folder, tmp_path / "out", 1)
    change(folder / "a.txt", NEW)
    context = context_of(folder, tmp_path / "out")
    task = next(iter(_first_phase(context)))
    with monkeypatch.context() as patch:
        patch.setattr(attempt.checked_json, "save_in", _dies)
        with pytest.raises(KeyboardInterrupt):
            task.run(context, lambda news: None)
    change(folder / "a.txt", before[1], before[0])
    assert run_here(context_of(folder, tmp_path).plan, tmp_path / "out").identity == want


def _dies(*_: object) -> None:
    raise KeyboardInterrupt


def _first_phase(context: Context):
    with LocalEngine(workers=1).workers_of(context) as workers:
        return next(Driver(context, workers, Silence())._phases(stations(context)[0])).tasks


def test_an_element_that_does_a_task_again_withdraws_what_was_collected(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(receipts, "COLLECTED_FROM", 1)
    context = context_of(folder, tmp_path / "out")
    prepare(context, Silence(), anew=True)
    run_share(context, 0, 0, 1, workers=1, progress=Silence())
    close(context, 0, workers=1, progress=Silence())
    assert (tmp_path / "out" / WORK / "collected" / "segment 0.json").exists()
    run_missing(context, 0, _first_phase(context)[:1], workers=1, progress=Silence())
    assert not (tmp_path / "out" / WORK / "collected" / "segment 0.json").exists()


def test_an_element_that_comes_back_leaves_the_scratch_of_the_others(folder, tmp_path):
    context = context_of(folder, tmp_path / "out")
    prepare(context, Silence(), anew=True)
    scratch = context.out.scratch()
    prepare(context, Silence(), anew=False)
    assert scratch.is_dir()
    close(context, 0, workers=1, progress=Silence())
    assert scratch.is_dir()
    assert not missing_tasks(context, 0)


def test_who_comes_late_finds_a_finished_run(folder, tmp_path):
    context = context_of(folder, tmp_path / "out")
    prepare(context, Silence(), anew=True)
    for number in range(len(stations(context))):
        close(context, number, workers=1, progress=Silence())
    assert run_share(context, 0, 0, 1, workers=1, progress=Silence()) == 0
    assert close(context, 0, workers=1, progress=Silence()) == Manifest.load(tmp_path / "out")
    assert not (tmp_path / "out" / WORK).exists()


def test_who_gets_the_lock_after_the_run_was_finished_is_told_and_claims_nothing(folder, tmp_path):
    context = context_of(folder, tmp_path / "out")
    run_here(context.plan, tmp_path / "out")
    with directory.claimed(context.out, context.plan.request()) as already:
        assert already
    assert not context.out.exists(directory.REQUEST)
    with directory.claimed(LocalStore(tmp_path / "free"), context.plan.request()) as already:
        assert not already
