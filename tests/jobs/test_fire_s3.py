"""A job whose state, runs and pointer lie in an object store fires as one on a file system does."""

import json
from pathlib import Path

import pytest
from s3_server import s3
from scheduled_job import Job

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.firing import held
from tokenmill.jobs.places import out_at, run_at
from tokenmill.manifests.current_pointer import followed, point
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.verify import verify


def test_firings_in_an_object_store(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    with s3() as (_, bucket):
        place = f"s3://{bucket}/web"
        there, here = Job(tmp_path / "there", place, chain_index=True), Job(tmp_path / "here", chain_index=True)
        for job in (there, here):
            job.put("a.jsonl", "one", "two")
            job.fire("2026-11-01 03:01")
            job.put("b.jsonl", "two", "three")
            job.fire("2026-11-02 03:01")
            job.fire("2026-11-03 03:01")
        assert [f.identity for f in there.book] == [f.identity for f in here.book]
        assert [f.status for f in there.book] == ["done", "done", "empty"]
        current = f"{place}/runs/current"
        assert followed(current) == f"{place}/runs/web-2026-11-02"
        pointer = json.loads(out_at(f"{place}/runs").read("current"))
        assert pointer == {"tokenmill_run": "web-2026-11-02", "identity": there.book.runs[-1].identity}
        assert Manifest.load(run_at(current)).identity == pointer["identity"]
        assert verify(run_at(current)).problems == []
        with (
            held(out_at(f"{place}/state"), "web", {}),
            pytest.raises(BlockingIOError),
            held(out_at(f"{place}/state"), "web", {}),
        ):
            pass


def test_what_is_no_pointer_is_not_replaced_there(tmp_path):
    with s3() as (_, bucket):
        out_at(f"s3://{bucket}").write("current", b"somebody's")
        with pytest.raises(RecipeError, match="is there already and points to no run"):
            point(f"s3://{bucket}/current", f"s3://{bucket}/runs/a", "")
        assert followed(f"s3://{bucket}/current") == f"s3://{bucket}/current"
        assert followed(f"s3://{bucket}/in/*.jsonl") == f"s3://{bucket}/in/*.jsonl"
        assert Path(followed(str(tmp_path))) == tmp_path


def test_a_pattern_that_nothing_fits_there_yet_is_empty_and_a_prefix_may_be_mistyped(tmp_path):
    with s3() as (_, bucket):
        job = Job(tmp_path)
        source = job.job.sources[0]

        def fire_over(place: str, day: int) -> list[str]:
            path = source.model_copy(update={"path": f"s3://{bucket}/{place}"})
            job.job = job.job.model_copy(update={"sources": (path,)})
            return [firing.status for firing in job.fire(f"2026-11-0{day} 03:01")]

        assert fire_over("in/*.jsonl", 1) == ["empty"]
        with pytest.raises(RecipeError, match="in: no object here, and none below"):
            fire_over("in", 2)
        store = out_at(f"s3://{bucket}/in")
        store.write("_SUCCESS", b"")
        assert fire_over("in", 2) == ["empty"]
        store.write("a.jsonl", b'{"text": "one"}')
        assert fire_over("in", 3) == ["done"]
