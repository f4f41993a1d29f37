"""What is wrong with a schedule is said when it is handed over, and jobs that share a state keep apart."""

import json
import os
from pathlib import Path

import pytest
from submitted_jobs import manifests, refusal, rendered, write_job

from tokenmill.jobs.cli import main

DAILY = '{cron: "0 3 * * *", start: 2026-11-01}'


def scheduled(folder: Path, schedule: str = DAILY, **changes: str) -> Path:
    folder.mkdir(exist_ok=True)
    return write_job(folder, f"schedule: {schedule}\n", **{"out": '"out-{date}"'} | changes)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the place of the user's own table, behind a program that does what crontab does with one."""
    held, program = tmp_path / "table", tmp_path / "bin" / "crontab"
    program.parent.mkdir()
    held.touch()
    program.write_text(f'#!/bin/sh\nif [ "$1" = -l ]; then cat {held}; else cat "$1" > {held}; fi\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return held


@pytest.mark.parametrize(
    ("schedule", "complaint"),
    [
        pytest.param('{cron: "99 99 * * *", start: 2026-11-01}', "schedule.cron: ", id="no such minute"),
        pytest.param('{cron: "0 3 * * *", start: 2026-11-01, timezone: Europe/Olso}', "Europe/Oslo", id="no such zone"),
        pytest.param('{cron: "0 3,15 * * *", start: 2026-11-01}', "put {time} into it too", id="one directory for two"),
    ],
)
@pytest.mark.parametrize("to", ["crontab", "slurm", "kubernetes"])
def test_a_schedule_that_cannot_be_is_refused(tmp_path, capsys, schedule, complaint, to):
    assert main(["submit", str(scheduled(tmp_path, schedule)), "--to", to, "--dry-run"]) == 2
    assert complaint in capsys.readouterr().err


def test_a_password_in_a_url_is_refused_and_not_told(tmp_path, capsys):
    job = scheduled(tmp_path, sources='[{path: "ftp://me:hunter2@host/in"}]')
    assert main(["submit", str(job), "--to", "crontab", "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "ftp://host/in: its URL holds a password" in said
    assert "hunter2" not in said


def test_jobs_that_share_a_state_have_a_script_each(tmp_path, table, capsys):
    state = str(tmp_path / "state")
    jobs = [scheduled(tmp_path / name, name=name, state=state) for name in ("web", "code")]
    folders = []
    for job in jobs:
        assert main(["submit", str(job), "--to", "crontab", "--json"]) == 0
        folders.append(Path(json.loads(capsys.readouterr().out)["folder"]))
    assert [folder.name for folder in folders] == ["web-schedule-crontab", "code-schedule-crontab"]
    for job, folder in zip(jobs, folders, strict=True):
        assert str(job) in (folder / "fire.sh").read_text()
        assert f"/bin/bash {folder}/fire.sh" in table.read_text()


def test_another_job_file_of_the_same_name_does_not_take_its_place_until_that_is_taken_back(tmp_path, table, capsys):
    state = str(tmp_path / "state")
    first, second = (scheduled(tmp_path / name, state=state) for name in ("one", "two"))
    assert main(["submit", str(first), "--to", "crontab"]) == 0
    assert main(["submit", str(first), "--to", "crontab"]) == 0  # renewed
    assert main(["submit", str(second), "--to", "crontab"]) == 2
    assert "job.yaml is another job of this name" in capsys.readouterr().err
    assert str(first) in (tmp_path / "state" / "web-schedule-crontab" / "fire.sh").read_text()
    assert main(["cancel", str(first)]) == 0
    assert main(["submit", str(second), "--to", "crontab"]) == 0


ON_SLURM = '{cron: "0 3 * * *", start: 2026-11-01, submit_to: slurm}'


def test_who_hands_the_run_on_asks_for_little_itself(tmp_path, capsys):
    asked = (
        "resources: {tasks: 9, cpus: 8, gpus: 1, memory: 4GB, time: 1h, partition: p, steps: {exact_dedup: {cpus: 2}}}"
    )
    job = scheduled(tmp_path, ON_SLURM)
    job.write_text(job.read_text() + asked)
    lines = rendered(job, "slurm", capsys)["files"]["scrontab"].splitlines()
    assert [line for line in lines if line.startswith("#SCRON") and "output" not in line] == [
        "#SCRON --job-name=web",
        "#SCRON --cpus-per-task=1",
        "#SCRON --mem=3815M",
        "#SCRON --partition=p",
        "#SCRON --open-mode=append",
    ]
    assert "fire" in rendered(job, "crontab", capsys)["files"]["fire.sh"]  # which would refuse `tasks` otherwise
    assert capsys.readouterr().err == "", "nothing is told of keys that the run heeds"


@pytest.mark.parametrize(
    ("to", "schedule", "more", "complaint"),
    [
        ("crontab", ON_SLURM, "engine: {name: spark}", "engine.name: spark is not what --to slurm starts"),
        ("crontab", ON_SLURM, "resources: {image: i}", "resources.image: counts for nothing on slurm"),
        ("crontab", ON_SLURM.replace("slurm", "kubernetes"), "", "resources.image: a pod needs one"),
        ("slurm", ON_SLURM.replace("slurm", "airflow"), "", "schedule.submit_to: "),
        ("spark", ON_SLURM, "engine: {name: spark, master: operator}", "driver makes the run of each firing itself"),
    ],
)
def test_a_run_that_cannot_be_handed_on_is_refused_when_it_is_scheduled(
    tmp_path, capsys, to, schedule, more, complaint
):
    job = scheduled(tmp_path, schedule)
    job.write_text(f"{job.read_text()}{more}\n")
    assert complaint in refusal(job, to, capsys)


def test_a_pod_that_hands_runs_on_needs_an_account(tmp_path, capsys):
    resources = f"resources: {{image: i, volumes: [{{claim: c, path: '{tmp_path}'}}], gpus: 1"
    job = scheduled(tmp_path, ON_SLURM.replace("slurm", "kubernetes"))
    text = job.read_text()
    job.write_text(f"{text}{resources}}}\n")
    assert "resources.service_account: a pod that fires asks Kubernetes" in refusal(job, "kubernetes", capsys)
    job.write_text(f"{text}{resources}, service_account: fires}}\n")
    (cron_job,) = manifests(rendered(job, "kubernetes", capsys))
    pod = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "fires" and "automountServiceAccountToken" not in pod
    assert pod["containers"][0]["resources"] == {"requests": {"cpu": "1"}}


def test_secrets_need_not_be_here_when_it_is_scheduled(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("HUSH", raising=False)
    job = scheduled(tmp_path, ON_SLURM)
    job.write_text(job.read_text() + "environment: {setup: ['export HUSH=$(cat /dev/null)'], secrets: [HUSH]}\n")
    assert "HUSH is not set" in rendered(job, "crontab", capsys)["files"]["fire.sh"]


def test_a_state_at_a_url_cannot_hold_what_firings_submit(tmp_path, capsys):
    job = scheduled(tmp_path, ON_SLURM, state="s3://bucket/state")
    assert main(["fire", str(job), "--at", "2026-11-01T03:00Z"]) == 2
    assert "state: s3://bucket/state; a submission's scripts" in capsys.readouterr().err
