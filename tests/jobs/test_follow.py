"""A submitted run that is looked at from outside: what is told of it, and when it counts as over."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from submitted_jobs import write_job

from tokenmill.core.errors import EngineError
from tokenmill.engines import share
from tokenmill.engines.context import Context
from tokenmill.engines.stations import stations
from tokenmill.jobs import follow as module
from tokenmill.jobs.follow import follow
from tokenmill.jobs.job_file import load_job
from tokenmill.jobs.places import out_at
from tokenmill.jobs.plan_file import write_plan
from tokenmill.jobs.prepared import Part
from tokenmill.jobs.progress import ConsoleProgress
from tokenmill.jobs.submission import Submission
from tokenmill.jobs.submit import plan_of
from tokenmill.manifests.manifest import Manifest


class Told:
    """(name, tasks, how many of them are done) of each phase."""

    def __init__(self) -> None:
        self.phases: list[list[object]] = []

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None:
        self.phases.append([name, tasks, already])

    def news(self, counts: dict[str, int]) -> None: ...

    def task_done(self) -> None:
        self.phases[-1][2] += 1  # type: ignore[operator]


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Submission, Context]:
    """A run whose place is claimed, and a submission of it, of which no scheduler knows anything."""
    job = load_job(write_job(tmp_path))
    plan = plan_of(job)
    context = Context(plan=plan, out=out_at(job.out), device="cpu")
    share.prepare(context, ConsoleProgress(quiet=True), anew=True)
    folder = tmp_path / "web-1"
    folder.mkdir()
    write_plan(folder, plan, job.out, "cpu")
    submission = Submission(
        name="web-1", target="slurm", job="web", job_file="job.yaml", folder=folder, out=job.out, recipe="small@1",
        submitted="2026-11-24T00:00:00+00:00",
    )  # fmt: skip
    return submission, context


def test_every_phase_that_is_seen_is_told_with_all_its_tasks(begun, monkeypatch):
    submission, context = begun
    monkeypatch.setattr(module, "LOOKS_S", (0.02, 0.02))
    command = [sys.executable, "-m", "tokenmill.jobs", "work", str(submission.folder)]
    told = Told()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as element:
        manifest = follow(submission, context, told)
    assert element.returncode == 0
    assert manifest == Manifest.load(context.out)
    names = [station.name for station in stations(context)]
    assert [name for name, *_ in told.phases] == [n for n in names if n in {name for name, *_ in told.phases}]
    assert told.phases[0] == ["segment 0", 4, 4]
    assert all(tasks == done for _, tasks, done in told.phases)


def test_a_run_that_nobody_is_at_any_more_is_an_error_after_a_while(begun, monkeypatch):
    submission, context = begun
    monkeypatch.setattr(module, "GRACE_S", 0.0)
    with pytest.raises(EngineError, match=r"web-1: ended before its run was finished; .*tokenmill logs \S+/web-1 "):
        follow(submission, context, Told())


def test_a_scheduler_that_is_away_is_asked_again_and_not_for_ever(begun, monkeypatch, tmp_path, capsys):
    submission, context = begun
    waiting = replace(submission, parts=(Part(name="segment 0", id="1"),))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "LOOKS_S", (0.05, 0.05))
    monkeypatch.setattr(module, "SCHEDULER_EVERY_S", 0.1)
    monkeypatch.setattr(module, "PATIENCE_S", 0.5)
    with pytest.raises(EngineError, match="squeue"):
        follow(waiting, context, Told())
    assert capsys.readouterr().err.count("asked again") > 1
