"""`tokenmill fire` as cron calls it: one at a time, killed at any moment, and what it tells the fleet."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tokenmill.jobs.cli import main
from tokenmill.jobs.firing import FiringBook, held
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.verify import verify

ROOT = Path(__file__).resolve().parents[2]
SLOW = """
import time
from dataclasses import dataclass
from typing import ClassVar
from tokenmill.core.recipe import Recipe
from tokenmill.core.stage import Stage
from tokenmill.dedup.exact import ExactDedup

@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Stage):
    name: ClassVar[str] = "wait"
    revision: ClassVar[int] = 1
    def apply(self, batch):
        time.sleep(0.2)
        return batch

SLOW = Recipe("slow", (Wait(), ExactDedup()))
"""
DAILY = {"cron": "0 3 * * *", "start": "2026-11-01", "chain_index": True, "current": "runs/current"}


def write_job(folder: Path, **changes: Any) -> Path:
    (folder / "in").mkdir(parents=True, exist_ok=True)
    content = {
        "name": "web",
        "recipe": "exact_dedup",
        "sources": [{"name": "crawl", "path": "in"}],
        "out": "runs/web-{date}",
        "engine": {"name": "local", "workers": 1},
        "schedule": DAILY,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in {**content, **changes}.items() if v is not None}))
    return path


def put(folder: Path, name: str, *texts: str) -> None:
    lines = [json.dumps({"id": f"{name}-{n}", "text": text}) for n, text in enumerate(texts)]
    (folder / "in" / name).write_text("\n".join(lines))


def fire(job: Path, at: str, *more: str) -> int:
    return main(["fire", str(job), "--at", at, *more])


def test_a_firing_tells_what_it_did_as_json_to_prometheus_and_as_lineage(tmp_path, capsys):
    job = write_job(tmp_path, metrics={"prometheus": "web.prom", "openlineage": "web.jsonl"})
    put(tmp_path, "a.jsonl", "one", "two", "two")
    assert fire(job, "2026-11-01T03:00Z", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["job"], told["current"]) == ("web", f"{tmp_path}/runs/current")
    (firing,) = told["firings"]
    assert (firing["due"], firing["status"], firing["files"]) == ("2026-11-01T03:00:00+00:00", "done", 1)
    assert verify(Path(firing["out"])).identity == firing["identity"]
    assert (tmp_path / "runs" / "current").resolve() == Path(firing["out"])
    numbers = (tmp_path / "web.prom").read_text()
    assert 'tokenmill_documents_total{name="web",fate="duplicate"} 1' in numbers
    assert 'tokenmill_firing_last_due_timestamp_seconds{name="web"} 1793502000.000' in numbers
    events = [json.loads(line) for line in (tmp_path / "web.jsonl").read_text().splitlines()]
    assert [e["eventType"] for e in events] == ["START", "COMPLETE"]
    assert {e["run"]["facets"]["nominalTime"]["nominalStartTime"] for e in events} == {"2026-11-01T03:00:00+00:00"}
    assert fire(job, "2026-11-02T03:00Z") == 0
    assert capsys.readouterr().out == "web 2026-11-02T03:00:00+00:00: nothing new\n"
    assert (
        'tokenmill_firing_last_due_timestamp_seconds{name="web"} 1793588400.000' in (tmp_path / "web.prom").read_text()
    )
    assert len((tmp_path / "web.jsonl").read_text().splitlines()) == 2
    assert fire(job, "2026-11-02T03:00Z") == 0
    assert capsys.readouterr().out == "web: no firing is due\n"


@pytest.mark.parametrize(
    ("changes", "at", "complaint"),
    [
        pytest.param({"schedule": None, "out": "runs/web"}, "2026-11-01", "has no `schedule`", id="no schedule"),
        pytest.param({}, "soon", "--at soon: is no time; want for example 2026-11-01T03:00Z", id="no time"),
        pytest.param({"recipe": "extract"}, "2026-11-01", "chain_index: extract has no step that", id="no index"),
        pytest.param({"recipe": "exact_dedupe"}, "2026-11-01", "did you mean exact_dedup?", id="no recipe"),
        pytest.param({"out": "in/web-{date}"}, "2026-11-01", "lies within --source", id="out among the inputs"),
        pytest.param({"schedule": DAILY | {"cron": "99 99 * * *"}}, "2026-11-01", "bad minute", id="no such minute"),
        pytest.param(
            {"schedule": DAILY | {"cron": "0 3,15 * * *"}},
            "2026-11-01",
            "fires at 03:00 and at 15:00 of one day, and both would write there; put {time} into it too",
            id="two firings of one directory",
        ),
        pytest.param(
            {"sources": [{"path": "https://me:hunter2@host/a.jsonl"}]},
            "2026-11-01",
            "sources.0.path: https://host/a.jsonl: its URL holds a password or a signature",
            id="a password",
        ),
    ],
)
def test_a_wrong_request_is_refused_and_nothing_ran(tmp_path, capsys, changes, at, complaint):
    job = write_job(tmp_path, **changes)
    put(tmp_path, "a.jsonl", "one")
    assert fire(job, at) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert "hunter2" not in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("metrics", "complaint"),
    [
        pytest.param({"prometheus": "no/web.prom"}, "web.prom: its folder is not there", id="a file"),
        pytest.param({"prometheus": ":70000"}, "70000: cannot listen there", id="an address"),
        pytest.param({"openlineage": "no/events.jsonl"}, "events.jsonl: its folder is not there", id="events"),
    ],
)
def test_a_firing_that_can_tell_nobody_is_done_all_the_same(tmp_path, capsys, metrics, complaint):
    job = write_job(tmp_path, metrics=metrics)
    put(tmp_path, "a.jsonl", "one")
    assert fire(job, "2026-11-01T03:00Z") == 0
    assert f"{complaint}" in capsys.readouterr().err
    assert (tmp_path / "runs" / "current").exists()
    assert not (tmp_path / "no").exists()


def test_sigterm_ends_a_firing_in_order_and_it_is_told_as_given_up(tmp_path):
    job = write_job(tmp_path, recipe="slow.py:SLOW", metrics={"prometheus": "web.prom", "openlineage": "web.jsonl"})
    (tmp_path / "slow.py").write_text(SLOW.replace("0.2", "3.0"))
    put(tmp_path, "a.jsonl", "one")
    process = start(job, "2026-11-01T03:00Z")
    until = time.monotonic() + 60
    while not (tmp_path / "web.jsonl").exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    process.terminate()
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 143, complaint
    assert "web: stopped by SIGTERM; the same command goes on" in complaint
    events = [json.loads(line)["eventType"] for line in (tmp_path / "web.jsonl").read_text().splitlines()]
    assert events == ["START", "ABORT"]
    assert 'tokenmill_run_state{name="web",state="failed"} 1' in (tmp_path / "web.prom").read_text()
    assert len(done(start(job, "2026-11-01T03:00Z"))) == 1


def test_what_is_no_pointer_is_not_replaced_by_one(tmp_path, capsys):
    job = write_job(tmp_path)
    put(tmp_path, "a.jsonl", "one")
    (tmp_path / "runs" / "current").mkdir(parents=True)
    assert fire(job, "2026-11-01T03:00Z") == 2
    assert "is there already and points to no run; remove it, or choose another `current`" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["current"]


def test_one_firing_at_a_time_and_another_says_who_holds_it_or_waits(tmp_path, capsys):
    job = write_job(tmp_path)
    state = LocalStore(tmp_path / ".web")
    with held(state, "web", {"host": "node7", "process": 4711, "since": "2026-11-01T03:00:00+00:00"}):
        assert fire(job, "2026-11-01T03:00Z") == 4
        assert "web: is being fired by process 4711 on node7, since 2026-11-01T03:00:00" in capsys.readouterr().err
    holding = held(state, "web", {})
    holding.__enter__()
    threading.Timer(1.0, lambda: holding.__exit__(None, None, None)).start()
    assert fire(job, "2026-11-01T03:00Z", "--wait", "30") == 0
    assert "nothing new" in capsys.readouterr().out


def test_the_lock_of_a_process_that_died_is_taken_over(tmp_path):
    job = write_job(tmp_path)
    script = (
        "import time\nfrom pathlib import Path\nfrom tokenmill.jobs.firing import held\n"
        "from tokenmill.manifests.local_store import LocalStore\n"
        f"with held(LocalStore(Path({str(tmp_path / '.web')!r})), 'web', {{}}):\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert fire(job, "2026-11-01T03:00Z") == 4
    holder.kill()
    holder.communicate()
    assert fire(job, "2026-11-01T03:00Z") == 0


def start(job: Path, at: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tokenmill.jobs", "fire", str(job), "--at", at, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def done(process: subprocess.Popen[str]) -> list[str]:
    told, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    return [firing["identity"] for firing in json.loads(told)["firings"]]


@pytest.mark.slow
def test_killed_at_any_moment_the_same_command_ends_with_the_same_runs_and_nothing_twice(tmp_path):
    identities = {}
    for name in ("calm", "struck"):
        folder = tmp_path / name
        job = write_job(folder, recipe="slow.py:SLOW")
        (folder / "slow.py").write_text(SLOW)
        for day in range(4):
            put(folder, f"day-{day}.jsonl", *(f"text {day * n}" for n in range(30)))
        if name == "struck":
            rng = random.Random(3)
            strikes = 0
            while strikes < 6:
                process = start(job, "2026-11-01T03:00Z")
                time.sleep(rng.uniform(0.3, 4.0))
                if process.poll() is not None:
                    process.communicate()
                    break  # done before we struck
                if rng.random() < 0.5:
                    os.kill(process.pid, signal.SIGKILL)
                else:
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                strikes += 1
                if len(list(FiringBook(LocalStore(folder / ".web"), "web"))):
                    put(folder, "meanwhile.jsonl", *(f"text {n}" for n in range(100)))
            assert strikes
        first = done(start(job, "2026-11-01T03:00Z"))
        put(folder, "meanwhile.jsonl", *(f"text {n}" for n in range(100)))
        second = done(start(job, "2026-11-02T03:00Z"))
        book = list(FiringBook(LocalStore(folder / ".web"), "web"))
        identities[name] = [firing.identity for firing in book]
        assert [*first, *second][-1:] == identities[name][-1:]
        texts = [
            text
            for firing in book
            for file in sorted((Path(firing.out) / "documents").iterdir())
            for text in pq.read_table(file)["text"].to_pylist()
        ]
        assert len(texts) == len({*texts}) == 100  # 0..99 hold every product of a day and a number
        assert all(verify(Path(firing.out)).problems == [] for firing in book)
        assert (folder / "runs" / "current").resolve() == folder / "runs" / "web-2026-11-02"
    assert identities["struck"] == identities["calm"]
