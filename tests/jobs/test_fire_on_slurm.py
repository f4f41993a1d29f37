"""A firing that hands its run to a real Slurm: waits for it, is killed meanwhile, and finds it again."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from slurm_cluster import SlurmCluster, slurm_cluster
from submitted_jobs import tokenmill

from tokenmill.manifests.verify import verify

pytestmark = pytest.mark.slow

DONE_S = 150
TESTS = Path(__file__).resolve().parents[1]
RECIPES = """
from paced import Paced
from toys import Loses
from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup

PACED = Recipe("paced", (Paced(pace={pace!r}), ExactDedup()))
BROKEN = Recipe("broken", (Loses(), ExactDedup()))
"""


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def cluster(environment: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    with slurm_cluster(nodes=2, cpus=4) as cluster:
        for name in ("SLURM_CONF", "PATH"):
            environment.setenv(name, cluster.environment[name])
        environment.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)  # of processes that fire, for the toys
        yield cluster


class Job:
    """A daily job whose firings submit arrays of two elements."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder, self.path, self.pace = folder, folder / "job.yaml", folder / "pace"
        (folder / "in").mkdir()
        (folder / "mine.py").write_text(RECIPES.format(pace=str(self.pace)))
        schedule = {"cron": "0 3 * * *", "start": "2026-11-01", "current": "runs/current", "chain_index": True}
        content = {
            "name": "web",
            "recipe": "mine.py:PACED",
            "sources": [{"name": "crawl", "path": "in", "licence": "CC0"}],
            "out": "runs/web-{date}",
            "resources": {"tasks": 2, "memory": "300MB"},
            "schedule": schedule | {"submit_to": "slurm"},
        }
        self.path.write_text(yaml.safe_dump(content | changes))
        once = content | {
            "schedule": {**schedule, "current": "here/current"},
            "out": "here/web-{date}",
            "state": ".here",
        }
        (folder / "here.yaml").write_text(yaml.safe_dump({k: v for k, v in once.items() if k != "resources"}))

    def put(self, files: int, day: str) -> None:
        """Each file has a text of its own, and one that all of them have."""
        for n in range(files):
            lines = [json.dumps({"id": f"{day}-{n}-{i}", "text": t}) for i, t in enumerate((f"{day} {n}", "of all"))]
            (self.folder / "in" / f"{day}-{n}.jsonl").write_text("\n".join(lines))

    def fire(self, day: int, *more: str, code: int = 0) -> dict[str, Any]:
        return tokenmill("fire", self.path, "--at", f"2026-11-{day:02}T03:00Z", *more, code=code)

    def here(self, day: int) -> str:
        """What the same firings of this machine alone have made."""
        (firing,) = tokenmill("fire", self.folder / "here.yaml", "--at", f"2026-11-{day:02}T03:00Z")["firings"]
        return str(firing["identity"])

    def started(self, day: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tokenmill.jobs", "fire", str(self.path), "--at", f"2026-11-{day:02}T03:00Z"]
        with (self.folder / "fire.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def run(self, number: int) -> dict[str, Any]:
        return tokenmill("status", self.folder / ".web" / "runs" / f"web-{number}")

    def until(self, what: str, reached: Callable[[], bool]) -> None:
        ends = time.monotonic() + DONE_S
        while not reached():
            said = (self.folder / "fire.log").read_text() if (self.folder / "fire.log").exists() else ""
            assert time.monotonic() < ends, f"{what}: not within {DONE_S} s; {said}"
            time.sleep(0.3)

    def receipts(self, number: int) -> int:
        if not (self.folder / ".web" / "runs" / f"web-{number}" / "submission.json").exists():
            return 0
        return int(self.run(number)["receipts"].get("segment-0", 0))


@pytest.fixture
def job(cluster: SlurmCluster, tmp_path: Path) -> Job:
    return Job(tmp_path, metrics={"prometheus": "web.prom", "openlineage": "web.jsonl"})


def test_firings_submit_arrays_and_each_is_what_one_process_makes(job):
    job.put(4, "a")
    (first,) = job.fire(1)["firings"]
    assert first["identity"] == job.here(1)
    job.put(3, "b")
    (second,) = job.fire(2)["firings"]
    assert second["identity"] == job.here(2), "against the first"
    assert verify(Path(second["out"])).ok
    assert (job.folder / "runs" / "current").resolve() == Path(second["out"])
    run = job.run(2)
    assert (run["state"], run["identity"], run["out"]) == ("done", second["identity"], second["out"])
    assert run["parts"][0]["counts"] == {"done": 2}, "two elements"
    numbers = (job.folder / "web.prom").read_text()
    assert 'tokenmill_run_state{name="web",state="done"} 1' in numbers
    assert 'tokenmill_tasks{name="web",phase="segment 0",state="done"} 3' in numbers
    events = [json.loads(line) for line in (job.folder / "web.jsonl").read_text().splitlines()]
    ends = [event["eventType"] for event in events if event["eventType"] != "RUNNING"]
    assert ends == ["START", "COMPLETE", "START", "COMPLETE"]
    assert len({event["run"]["runId"] for event in events}) == 2


def test_who_waits_is_killed_and_the_next_firing_finds_the_run_at_work(job, capfd):
    job.put(6, "a")
    job.pace.write_text("1")
    waits = job.started(1)
    job.until("receipts", lambda: job.receipts(1) >= 2)
    assert tokenmill("fire", job.path, "--at", "2026-11-01T03:00Z", "--anew", code=4)["message"].startswith(
        "web: is being"
    )
    waits.kill()
    waits.wait()
    assert "web-1 is still at work on " in tokenmill("fire", job.path, "--anew", code=4)["message"]
    job.pace.unlink()
    (firing,) = job.fire(1)["firings"]
    assert firing["identity"] == job.here(1)
    assert "web-1 is still at work" in capfd.readouterr().err
    assert not (job.folder / ".web" / "runs" / "web-2").exists(), "nothing was submitted twice"


def test_a_run_that_was_cancelled_is_submitted_again_by_the_next_firing(job):
    job.put(6, "a")
    job.pace.write_text("1")
    waits = job.started(1)
    job.until("receipts", lambda: job.receipts(1) >= 2)
    waits.terminate()
    assert waits.wait(60) == 143
    tokenmill("cancel", job.folder / ".web" / "runs" / "web-1")
    job.until("an end", lambda: job.run(1)["state"] == "cancelled")
    job.pace.unlink()
    (firing,) = job.fire(1)["firings"]
    assert firing["identity"] == job.here(1)
    assert job.run(2)["identity"] == firing["identity"]


def test_a_run_that_fails_ends_the_firing_and_says_where_to_look(job, monkeypatch):
    monkeypatch.setattr("tokenmill.jobs.follow.GRACE_S", 1.0)
    job.path.write_text(job.path.read_text().replace("mine.py:PACED", "mine.py:BROKEN"))
    job.put(4, "a")
    said = job.fire(1, code=4)["message"]
    assert "web-1: ended before its run was finished" in said and "tokenmill logs " in said
    assert not (job.folder / "runs" / "current").exists()


def test_it_fires_from_inside_a_job_of_slurm_as_scrontab_does(job, cluster):
    job.put(4, "a")
    fires = f"{sys.executable} -m tokenmill.jobs fire {job.path} --at 2026-11-01T03:00Z"
    command = ["sbatch", "--parsable", "--mem=200", f"--output={job.folder}/fire.log", f"--wrap={fires}"]
    own = cluster.tell(command, PYTHONPATH=os.environ["PYTHONPATH"]).strip()
    job.until("the end", lambda: cluster.queue()[own] not in ("PENDING", "RUNNING", "COMPLETING"))
    assert cluster.queue()[own] == "COMPLETED", (job.folder / "fire.log").read_text()
    assert job.run(1)["identity"] == job.here(1)


def test_a_run_without_schedule_tells_too(job):
    job.put(4, "a")
    content = yaml.safe_load(job.path.read_text())
    del content["schedule"]
    job.path.write_text(yaml.safe_dump(content | {"out": "once"}))
    job.pace.write_text("1")
    told = tokenmill("submit", job.path, "--to", "slurm")
    tokenmill("submit", job.path, "--to", "slurm", code=4)  # which tells nobody that the run has failed
    assert 'tokenmill_run_state{name="web",state="running"} 1' in (job.folder / "web.prom").read_text()
    job.pace.unlink()
    job.until("an end", lambda: tokenmill("status", job.path)["state"] == "done")
    numbers = (job.folder / "web.prom").read_text()
    assert 'tokenmill_run_state{name="web",state="done"} 1' in numbers
    assert 'tokenmill_documents_total{name="web",fate="kept"} 5' in numbers
    assert 'tokenmill_tasks{name="web",phase="segment 0",state="done"} 4' in numbers
    assert "tokenmill_phase_seconds" not in numbers and "_read_total" not in numbers
    events = [json.loads(line) for line in (job.folder / "web.jsonl").read_text().splitlines()]
    assert [event["eventType"] for event in events] == ["START", *["RUNNING"] * (len(events) - 2), "COMPLETE"]
    assert len({event["run"]["runId"] for event in events}) == 1
    assert told["submission"] == "web-1" and os.path.exists(told["folder"])
