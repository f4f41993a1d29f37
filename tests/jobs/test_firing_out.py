"""Where a firing's run goes must be free or the firing's own: nothing of others is taken for it, or removed."""

from pathlib import Path

import pytest
from scheduled_job import Job, struck, told

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.jobs.firing_out import request_of
from tokenmill.manifests.checked_json import save


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def other_run(folder: Path, name: str, text: str) -> Path:
    """A finished run of another request."""
    (folder / "other").mkdir()
    other = Job(folder / "other")
    other.put(name, text)
    other.fire("2026-11-01 03:01")
    return folder / "other" / "runs" / "web-2026-11-01"


@pytest.mark.parametrize(("name", "text"), [("b.jsonl", "one"), ("a.jsonl", "won")], ids=["other", "as long as it was"])
def test_a_finished_run_of_something_else_is_never_taken_for_the_firings(job, name, text):
    """Its inputs are gone and a run lies there: only its request, and what it read, say whose it is."""
    path = job.put("a.jsonl", "one")
    struck(job, "before_run", "2026-11-01 03:01")
    (job.folder / "runs").mkdir()
    other_run(job.folder, name, text).rename(job.folder / "runs" / "web-2026-11-01")
    path.unlink()
    with pytest.raises(DataError, match=r"a\.jsonl: is gone since the firing that was not finished took it"):
        job.fire("2026-11-01 03:02")
    assert job.current is None
    assert [f.status for f in job.book] == ["unfinished"]


@pytest.mark.parametrize("held", ["a folder of notes", "another finished run", "another run, unfinished", "a file"])
def test_a_place_that_is_taken_is_refused_before_anything_is_and_stays_as_it_is(job, held):
    job.put("a.jsonl", "one")
    out = job.folder / "runs" / "web-2026-11-01"
    if held == "another finished run":
        out.parent.mkdir(exist_ok=True)
        other_run(job.folder, "b.jsonl", "two").rename(out)
    elif held == "a file":
        out.parent.mkdir()
        out.write_text("mine")
    else:
        name = "_work/request.json" if "unfinished" in held else "notes.txt"
        (out / name).parent.mkdir(parents=True)
        save(out / name, {"recipe": "extract@1", "sources": [], "parents": []})
    before = {p: p.read_bytes() for p in [out, *out.rglob("*")] if p.is_file()}
    for anew in (False, True):
        with pytest.raises(RecipeError, match=r"web-2026-11-01: (not empty|holds|is a file)"):
            job.fire("2026-11-01 03:01", anew=anew)
    assert list(job.book) == []
    assert {p: p.read_bytes() for p in [out, *out.rglob("*")] if p.is_file()} == before
    out.rename(job.folder / "aside")
    assert told(job.fire("2026-11-01 03:01")) == [("11-01", "done")]


def test_giving_a_firing_up_removes_its_own_unfinished_run_and_nothing_else(job):
    job.put("a.jsonl", "one")
    struck(job, "before_run", "2026-11-01 03:01")
    out = job.folder / "runs" / "web-2026-11-01"
    out.mkdir(parents=True)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(RecipeError, match=r"not empty \(notes\.txt\), and no run of ours; nothing was taken"):
        job.fire("2026-11-01 03:02", anew=True)
    assert (out / "notes.txt").read_text() == "mine"
    (out / "notes.txt").unlink()
    job.put("a.jsonl", "another one")
    struck(job, "before_run", "2026-11-01 03:02")
    (firing,) = job.book
    save(out / "_work" / "request.json", request_of(job.job, firing))
    (out / "documents").mkdir()
    (out / "documents" / "crawl-00000.parquet").write_text("half of it")
    job.put("b.jsonl", "two")
    assert told(job.fire("2026-11-01 03:03", anew=True)) == [("11-01", "done")]
    assert job.kept("2026-11-01") == ["another one", "two"]
