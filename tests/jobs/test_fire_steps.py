"""A firing takes what no earlier one took, runs exactly that, and moves `current` only to what was verified."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from scheduled_job import Job, KilledError, struck, told

from tokenmill.core.errors import DataError, EngineError, RecipeError
from tokenmill.jobs.firing import Firing, held
from tokenmill.jobs.places import out_at
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.verify import verify

PART = "which may hold part of the old and of the new; the next firing takes them whole: "


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_each_firing_takes_what_came_since(job):
    job.put("a.jsonl", "one", "two")
    assert told(job.fire("2026-11-01 03:01")) == [("11-01", "done")]
    job.put("b.jsonl", "three")
    assert told(job.fire("2026-11-02 03:01")) == [("11-02", "done")]
    assert (job.kept("2026-11-01"), job.kept("2026-11-02")) == (["one", "two"], ["three"])
    assert job.current == "web-2026-11-02"
    made = Manifest.load(job.folder / "runs" / "current")
    assert made.identity == [f.identity for f in job.book][1]
    assert [(s["name"], s["licence"], s["date"]) for s in made.sources] == [("crawl", "CC0", "2026-11-01")]


def test_nothing_new_is_recorded_and_makes_no_run(job):
    assert told(job.fire("2026-11-01 03:01")) == [("11-01", "empty")]
    job.put("a.jsonl", "one")
    job.fire("2026-11-02 03:01")
    assert told(job.fire("2026-11-03 03:01")) == [("11-03", "empty")]
    assert told(job.fire("2026-11-03 04:00")) == []
    assert [p.name for p in (job.folder / "runs").iterdir() if not p.is_symlink()] == ["web-2026-11-02"]
    assert job.current == "web-2026-11-02"


def test_a_pattern_that_fits_nothing_yet_is_empty_and_a_folder_that_is_not_there_is_a_mistake(tmp_path):
    job = Job(tmp_path)
    source = job.job.sources[0]
    job.job = job.job.model_copy(update={"sources": (source.model_copy(update={"path": f"{tmp_path}/in/*.jsonl"}),)})
    assert told(job.fire("2026-11-01 03:01")) == [("11-01", "empty")]
    job.job = job.job.model_copy(update={"sources": (source.model_copy(update={"path": f"{tmp_path}/inn"}),)})
    with pytest.raises(RecipeError, match="inn: no such file or folder"):
        job.fire("2026-11-02 03:01")


def test_a_changed_file_is_new_and_said_so(job, capsys):
    job.put("a.jsonl", "one", changed="2026-10-31 12:00")
    job.put("b.jsonl", "two")
    job.fire("2026-11-01 03:01")
    job.put("a.jsonl", "won", changed="2026-11-01 12:00")  # as long as before
    (firing,) = job.fire("2026-11-02 03:01")
    assert (firing.files, firing.changed) == (1, ("crawl/a.jsonl",))
    assert "web: 1 files were changed since they were taken, and are new: crawl/a.jsonl" in capsys.readouterr().err
    assert job.kept("2026-11-02") == ["won"]
    job.put("a.jsonl", "one", changed="2026-10-31 12:00")  # put back: this version was taken long ago
    assert told(job.fire("2026-11-03 03:01")) == [("11-03", "empty")]


def test_missed_firings_are_made_up_in_order_each_with_what_it_would_have_found(job):
    job.put("a.jsonl", "one", changed="2026-11-01 02:00")
    job.put("b.jsonl", "two", changed="2026-11-02 02:00")
    job.put("c.jsonl", "three", changed="2026-11-03 02:00")
    job.put("late.jsonl", "four", changed="2026-11-03 09:00")  # behind the last of them
    fired = job.fire("2026-11-03 10:00")
    assert told(fired) == [("11-01", "done"), ("11-02", "done"), ("11-03", "done")]
    assert [job.kept(f"2026-11-0{day}") for day in (1, 2, 3)] == [["one"], ["two"], ["four", "three"]]
    assert job.current == "web-2026-11-03"


def test_a_late_file_is_taken_by_the_next_firing(job):
    job.put("a.jsonl", "one", changed="2026-10-31 12:00")
    job.fire("2026-11-01 03:01")
    job.put("late.jsonl", "of October", changed="2026-10-30 12:00")
    job.fire("2026-11-02 03:01")
    assert job.kept("2026-11-02") == ["of October"]


@pytest.mark.parametrize(
    ("catch_up", "now", "fired"),
    [
        pytest.param("latest", "2026-11-03 10:00", [("11-03", "done")], id="the latest alone"),
        pytest.param("none", "2026-11-03 10:00", [("11-03", "done")], id="late"),
        pytest.param("none", "2026-11-03 23:00", [], id="missed"),
    ],
)
def test_what_was_missed_may_be_left_out_and_its_inputs_never(tmp_path, catch_up, now, fired):
    job = Job(tmp_path, catch_up=catch_up)
    job.put("a.jsonl", "one", changed="2026-11-01 02:00")
    assert told(job.fire(now)) == fired
    assert told(job.fire("2026-11-04 03:01")) == [("11-04", "empty" if fired else "done")]


def test_at_names_one_firing_which_is_done_once(job):
    job.put("a.jsonl", "one")
    assert told(job.fire("2026-11-05 10:00", at="2026-11-02 03:00")) == [("11-02", "done")]
    assert told(job.fire("2026-11-05 10:00", at="2026-11-02 03:00")) == []
    job.put("b.jsonl", "two")
    assert told(job.fire("2026-11-05 10:00", at="2026-11-01 03:00")) == [("11-01", "done")]
    assert job.current == "web-2026-11-02"  # an older firing that is made up for does not move it back


def test_a_time_that_was_mistyped_does_not_stop_the_schedule(job):
    job.put("a.jsonl", "one")
    assert told(job.fire("2026-11-01 03:01", at="2062-11-01 03:00")) == [("11-01", "done")]
    job.put("b.jsonl", "two")
    assert told(job.fire("2026-11-01 03:01")) == [("11-01", "done")]
    assert job.kept("2026-11-01") == ["two"]


@pytest.mark.parametrize("where", ["before_run", "after_run"])
def test_a_second_try_runs_the_very_same_request_whatever_has_come_meanwhile(tmp_path, where):
    (tmp_path / "calm").mkdir()
    (tmp_path / "struck").mkdir()
    calm, struck = Job(tmp_path / "calm"), Job(tmp_path / "struck")
    calm.put("a.jsonl", "one")
    struck.put("a.jsonl", "one")
    (wanted,) = calm.fire("2026-11-01 03:01")

    def crash(firing: Firing) -> None:
        raise KilledError

    setattr(struck, where, crash)
    with pytest.raises(KilledError):
        struck.fire("2026-11-01 03:01")
    assert struck.current is None
    assert [f.status for f in struck.book] == ["unfinished"]
    struck.put("b.jsonl", "came meanwhile")
    setattr(struck, where, lambda firing: None)
    first, _ = struck.fire("2026-11-02 03:01")
    assert (first.identity, first.files) == (wanted.identity, 1)
    assert struck.kept("2026-11-02") == ["came meanwhile"]
    assert struck.current == "web-2026-11-02"


def test_a_failure_leaves_current_where_it_was_and_is_finished_first(job):
    job.put("a.jsonl", "one")
    job.fire("2026-11-01 03:01")

    def fail(firing: Firing) -> None:
        raise EngineError("the disk is full")

    job.before_run = fail
    job.put("b.jsonl", "two")
    with pytest.raises(EngineError, match="the disk is full"):
        job.fire("2026-11-02 03:01")
    with pytest.raises(EngineError, match="the disk is full"):
        job.fire("2026-11-03 03:01", at="2026-11-03 03:00")
    assert (job.current, [f.status for f in job.book]) == ("web-2026-11-01", ["done", "unfinished"])
    job.before_run = lambda firing: None
    job.put("c.jsonl", "three")
    assert told(job.fire("2026-11-03 03:01")) == [("11-02", "done"), ("11-03", "done")]
    assert (job.kept("2026-11-02"), job.kept("2026-11-03")) == (["two"], ["three"])


def test_current_is_not_moved_to_a_run_that_does_not_verify(job):
    job.put("a.jsonl", "one")
    job.fire("2026-11-01 03:01")

    def damage(firing: Firing) -> None:
        file = next((Path(firing.out) / "documents").iterdir())
        file.write_bytes(file.read_bytes()[:-1] + b"x")

    job.after_run = damage
    job.put("b.jsonl", "two")
    with pytest.raises(DataError, match=r"1 problems, so `current` stays where it is: documents/crawl-00000\.parquet"):
        job.fire("2026-11-02 03:01")
    assert job.current == "web-2026-11-01"
    with pytest.raises(
        RecipeError, match="is finished; without --anew it is verified and kept; if it is damaged, remove"
    ):
        job.fire("2026-11-02 03:01", anew=True)


def test_an_input_that_changed_under_an_unfinished_firing_stops_it_until_it_is_given_up(job):
    job.put("a.jsonl", "one")
    job.put("b.jsonl", "two")

    def crash(firing: Firing) -> None:
        raise KilledError

    job.before_run = crash
    with pytest.raises(KilledError):
        job.fire("2026-11-01 03:01")
    job.before_run = lambda firing: None
    (job.folder / "in" / "a.jsonl").unlink()
    with pytest.raises(DataError, match=r"a\.jsonl: is gone since the firing that was not finished took it; .* --anew"):
        job.fire("2026-11-01 03:02")
    job.put("a.jsonl", "another one")
    with pytest.raises(DataError, match=r"a\.jsonl: has changed since"):
        job.fire("2026-11-01 03:02")
    assert told(job.fire("2026-11-01 03:02", anew=True)) == [("11-01", "done")]
    assert job.kept("2026-11-01") == ["another one", "two"]


def test_an_input_may_go_once_its_run_is_finished(job):
    path = job.put("a.jsonl", "one")
    struck(job, "after_run", "2026-11-01 03:01")
    path.unlink()
    (firing,) = job.fire("2026-11-01 03:02")
    assert firing.identity == Manifest.load(Path(firing.out)).identity
    assert (job.kept("2026-11-01"), job.current) == (["one"], "web-2026-11-01")


def test_two_jobs_with_one_state_each_fire(tmp_path):
    first, second = Job(tmp_path), Job(tmp_path)
    first.put("a.jsonl", "one")
    second.job = second.job.model_copy(update={"name": "code", "out": f"{tmp_path}/code/{{date}}"})
    assert told(first.fire("2026-11-01 03:01")) == [("11-01", "done")]
    assert told(second.fire("2026-11-01 03:01")) == [("11-01", "done")]
    assert [[f.out for f in job.book] for job in (first, second)] == [
        [f"{tmp_path}/runs/web-2026-11-01"],
        [f"{tmp_path}/code/2026-11-01"],
    ]
    state = out_at(first.job.state)
    with held(state, "web", {}), held(state, "code", {}), pytest.raises(BlockingIOError), held(state, "web", {}):
        pass


def test_a_second_source_beside_an_unnamed_one_takes_nothing_again(job):
    """Names of sources change with it (`source` becomes `source-1`); what was taken is known by its place."""
    job.put("a.jsonl", "one")
    unnamed = job.job.sources[0].model_copy(update={"name": None})
    job.job = job.job.model_copy(update={"sources": (unnamed,)})
    job.fire("2026-11-01 03:01")
    (job.folder / "more").mkdir()
    (job.folder / "more" / "b.jsonl").write_text('{"text": "two"}')
    added = unnamed.model_copy(update={"path": f"{job.folder}/more"})
    job.job = job.job.model_copy(update={"sources": (unnamed, added)})
    (firing,) = job.fire("2026-11-02 03:01")
    assert [(t.source.name, [f.name for f in t.source.files]) for t in firing.sources] == [("source-2", ["b.jsonl"])]


def test_a_file_that_changes_while_its_run_is_made_is_told_and_taken_whole_by_the_next_firing(job, capsys):
    job.put("a.jsonl", "one", changed="2026-10-31 12:00")
    job.after_run = lambda firing: job.put("a.jsonl", "one", "two")
    assert told(job.fire("2026-11-01 03:01")) == [("11-01", "done")]
    assert (
        f"web: 1 files have changed while their run was made, {PART}{job.folder}/in/a.jsonl" in capsys.readouterr().err
    )
    job.after_run = lambda firing: None
    (firing,) = job.fire("2026-11-02 03:01")
    assert firing.changed == ("crawl/a.jsonl",)
    assert job.kept("2026-11-02") == ["one", "two"]


def test_hidden_files_alone_are_nothing_so_far_and_an_unfinished_run_is_a_mistake(job):
    (job.folder / "in" / "_SUCCESS").touch()
    assert told(job.fire("2026-11-01 03:01")) == [("11-01", "empty")]
    (job.folder / "in" / "_work").mkdir()
    (job.folder / "in" / "_work" / "request.json").write_text("{}")
    with pytest.raises(RecipeError, match="an unfinished run; run its command again first"):
        job.fire("2026-11-02 03:01")
    (job.folder / "in" / "_work" / "request.json").unlink()
    (job.folder / "in" / "_work").rmdir()
    (job.folder / "in" / "notes.xyz").write_bytes(b"\x00\x01")
    with pytest.raises(RecipeError, match="1 files of no known format"):
        job.fire("2026-11-02 03:01")


def test_the_chained_index_leaves_the_survivors_of_one_run_over_all(tmp_path):
    job = Job(tmp_path, chain_index=True)
    days = [["one", "two", "two"], ["two", "three"], [], ["one", "three", "four", "four"]]
    for day, texts in enumerate(days, start=1):
        if texts:
            job.put(f"day-{day}.jsonl", *texts)
        job.fire(f"2026-11-0{day} 03:01")
    runs = [f"2026-11-0{day}" for day, texts in enumerate(days, start=1) if texts]
    assert [job.kept(day) for day in runs] == [["one", "two"], ["three"], ["four"]]
    parents = [Manifest.load(tmp_path / "runs" / f"web-{day}").parents for day in runs]
    identities = [f.identity for f in job.book if f.identity]
    assert parents == [(), tuple(identities[:1]), tuple(identities[:2])]
    (tmp_path / "once").mkdir()
    once = Job(tmp_path / "once")
    for day, texts in enumerate(days, start=1):
        if texts:
            once.put(f"day-{day}.jsonl", *texts)
    once.fire("2026-11-01 03:01")
    assert once.kept("2026-11-01") == sorted(text for day in runs for text in job.kept(day))


def test_a_run_of_the_chain_that_is_gone_or_another_one_stops_it(tmp_path):
    job = Job(tmp_path, chain_index=True)
    job.put("a.jsonl", "one")
    job.fire("2026-11-01 03:01")
    first = tmp_path / "runs" / "web-2026-11-01"
    first.rename(tmp_path / "aside")
    job.put("b.jsonl", "two")
    with pytest.raises(
        DataError, match="web-2026-11-01: is gone, and later firings are deduplicated against its index"
    ):
        job.fire("2026-11-02 03:01")
    (tmp_path / "aside").rename(first)
    assert told(job.fire("2026-11-02 03:01")) == [("11-02", "done")]


def test_a_source_that_is_a_run_is_read_through_its_pointer_once(tmp_path):
    """A second job behind the first: each new run of that is new, whatever its files are called."""
    upstream = Job(tmp_path)
    upstream.put("a.jsonl", "one")
    upstream.fire("2026-11-01 03:01")
    (tmp_path / "down").mkdir()
    down = Job(tmp_path / "down")
    source = down.job.sources[0].model_copy(update={"path": str(tmp_path / "runs" / "current")})
    down.job = down.job.model_copy(update={"sources": (source,)})
    down.fire("2026-11-01 06:00")
    upstream.put("b.jsonl", "two")
    upstream.fire("2026-11-02 03:01")
    (firing,) = down.fire("2026-11-02 06:00")
    assert firing.changed == ()
    assert down.kept("2026-11-02") == ["two"]
    assert Manifest.load(Path(firing.out)).parents == (upstream.book.runs[-1].identity,)
    assert told(down.fire("2026-11-03 06:00")) == [("11-03", "empty")]
    assert all("web-2026-11" in file.uri for taken in firing.sources for file in taken.source.files)


def test_two_firings_never_share_a_directory(tmp_path):
    job = Job(tmp_path, cron="0 */12 * * *")
    job.put("a.jsonl", "one")
    job.fire("2026-11-01 00:01")
    job.put("b.jsonl", "two")
    with pytest.raises(RecipeError, match=r"would both write to .*web-2026-11-01; put {time} into `out`"):
        job.fire("2026-11-01 12:01")


def test_names_are_of_the_firing_in_its_own_time_zone_and_never_of_the_clock(tmp_path):
    job = Job(tmp_path, timezone="Asia/Tokyo", cron="30 2 * * *")
    job.job = job.job.model_copy(update={"out": f"{tmp_path}/{{name}}-{{date}}-{{time}}"})
    job.put("a.jsonl", "one")
    (firing,) = job.fire("2026-11-09 10:00", at="2026-11-01 17:30")
    assert firing.out == f"{tmp_path}/web-2026-11-02-0230"


def test_a_record_that_was_tampered_with_is_noticed(job):
    job.put("a.jsonl", "one")
    job.fire("2026-11-01 03:01")
    record = next((Path(job.job.state) / "firings" / "web").glob("*.json"))
    record.write_text(record.read_text().replace("a.jsonl", "b.jsonl"))
    with pytest.raises(DataError, match="not as it was written"):
        job.fire("2026-11-02 03:01")


def test_a_record_comes_back_as_it_was_written(job):
    job.put("a.jsonl", "one")
    (firing,) = job.fire("2026-11-01 03:01")
    assert next(iter(job.book)) == firing
    assert Firing.of_json(json.loads(json.dumps(firing.as_json()))) == firing
    assert replace(firing, ended=None).status == "unfinished"
    assert verify(Path(firing.out)).identity == firing.identity
    assert firing.ended is not None and firing.ended - firing.due == timedelta(minutes=1)
