"""Lines for cron and scrontab: what they run, that they leave the rest of a crontab alone, and cron's own command."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from submitted_jobs import refusal, rendered, write_job

from tokenmill.jobs.cli import main
from tokenmill.jobs.job_file import load_job
from tokenmill.jobs.submit_cron import CRONTAB, fire_script

SCHEDULE = 'schedule: {cron: "0 3 * * *", start: 2026-11-01}\n'


def scheduled(folder: Path, more: str = "", **changes: str) -> Path:
    return write_job(folder, SCHEDULE + more, **{"out": '"out-{date}"'} | changes)


def entry(lines: str) -> str:
    """The one line that is no comment."""
    (found,) = [line for line in lines.splitlines() if line and not line.startswith("#")]
    return found


def test_cron_runs_a_script_that_fires_the_job_file(tmp_path, capsys):
    job = scheduled(tmp_path)
    told = rendered(job, "crontab", capsys)
    folder = tmp_path / "state" / "web-schedule-crontab"
    assert told["folder"] == str(folder)
    assert entry(told["files"]["crontab"]) == f"0 3 * * * /bin/bash {folder}/fire.sh >> {folder}/fire.log 2>&1"
    last = told["files"]["fire.sh"].strip().splitlines()[-1]
    assert shlex.split(last) == ["exec", sys.executable, "-m", "tokenmill.jobs", "fire", str(job)]


def test_a_percent_sign_which_is_a_newline_to_cron_is_escaped(tmp_path):
    job = load_job(scheduled(tmp_path))
    lines = CRONTAB.lines(job, tmp_path / "job.yaml", tmp_path / "100% sure")
    assert entry(lines).count(r"\%") == entry(lines).count("%") == 2
    command = entry(lines).split(" ", 5)[5].replace(r"\%", "%")
    assert shlex.split(command)[1] == str(tmp_path / "100% sure" / "fire.sh")


def test_slurm_gets_the_resources_of_the_job(tmp_path, capsys):
    more = "resources: {cpus: 4, memory: 16GB, time: 90min, gpus: 1, partition: cpu, account: me}\n"
    lines = rendered(scheduled(tmp_path, more), "slurm", capsys)["files"]["scrontab"]
    folder = tmp_path / "state" / "web-schedule-slurm"
    assert {line for line in lines.splitlines() if line.startswith("#SCRON")} == {
        "#SCRON --job-name=web",
        "#SCRON --cpus-per-task=4",
        "#SCRON --mem=15259M",  # 16e9 bytes, rounded up
        "#SCRON --time=90",
        "#SCRON --gpus=1",
        "#SCRON --partition=cpu",
        "#SCRON --account=me",
        f"#SCRON --output={folder}/fire.log",
        "#SCRON --open-mode=append",
    }
    assert entry(lines) == f"0 3 * * * /bin/bash {folder}/fire.sh"


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """With `fire` in the place of the last line: it shows the variable SHOWN."""
    lines = script.strip().splitlines()
    assert lines[-1].startswith("exec ")
    shown = "\n".join([*lines[:-1], 'printf %s "$SHOWN"'])
    return subprocess.run(["bash", "-c", shown], capture_output=True, text=True, env=environment, check=False)


def test_variables_arrive_as_they_were_written(tmp_path):
    nasty = '\'; exit 1 # $(x) "%" \\'
    job = load_job(scheduled(tmp_path))
    job = job.model_copy(update={"environment": job.environment.model_copy(update={"variables": {"SHOWN": nasty}})})
    assert run(fire_script(job, tmp_path / "job.yaml")).stdout == nasty


def test_a_secret_is_a_name_and_one_that_is_missing_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("S3_KEY", "very-secret")
    told = rendered(scheduled(tmp_path, "environment: {secrets: [S3_KEY]}\n"), "crontab", capsys)
    assert "very-secret" not in str(told)
    result = run(told["files"]["fire.sh"])
    assert (result.returncode, result.stderr) == (2, "S3_KEY is not set; set it by a line of setup\n")
    assert run(told["files"]["fire.sh"], S3_KEY="x", SHOWN="y").stdout == "y"


@pytest.mark.parametrize("to", ["crontab", "slurm"])
def test_a_time_zone_which_cron_does_not_know_is_refused(tmp_path, capsys, to):
    job = scheduled(tmp_path)
    job.write_text(job.read_text().replace("start: 2026-11-01", "start: 2026-11-01, timezone: Europe/Paris"))
    assert "timezone: Europe/Paris" in refusal(job, to, capsys)


def test_a_folder_that_no_scron_line_can_hold_is_refused(tmp_path, capsys):
    (tmp_path / "two words").mkdir()
    assert "two words" in refusal(scheduled(tmp_path / "two words"), "slurm", capsys)


@pytest.mark.parametrize("to", ["crontab", "slurm"])
def test_without_the_command_the_lines_stay_and_it_is_said(tmp_path, capsys, monkeypatch, to):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert main(["submit", str(scheduled(tmp_path)), "--to", to]) == 4
    assert "by hand" in capsys.readouterr().err
    assert (tmp_path / "state" / f"web-schedule-{to}" / "fire.sh").exists()


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the place of the user's own table, behind a program that does what both commands do with one."""
    held = tmp_path / "table"
    for name in ("crontab", "scrontab"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            f'#!/bin/sh\nif [ "$1" != -l ]; then cat "$1" > {held}; exit; fi\n'
            f'if [ -e {held} ]; then cat {held}; else echo "no crontab for me" >&2; exit 1; fi\n'
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return held


@pytest.mark.parametrize("to", ["crontab", "slurm"])
def test_the_rest_of_a_table_stays_as_it_is(tmp_path, capsys, table, to):
    others = "MAILTO=me\n0 1 * * * backup\n"
    table.write_text(others)
    job = scheduled(tmp_path)
    assert main(["submit", str(job), "--to", to]) == 0, capsys.readouterr()
    first = table.read_text()
    assert first.startswith(others) and "fire.sh" in first
    table.write_text(first + "0 2 * * * another\n")
    job.write_text(job.read_text().replace("0 3 * * *", "0 5 * * *"))
    assert main(["submit", str(job), "--to", to]) == 0
    assert (table.read_text().count("fire.sh"), "0 5 * * *" in table.read_text()) == (1, True)
    assert main(["cancel", str(job)]) == 0
    assert table.read_text() == others + "0 2 * * * another\n"


def test_a_schedule_is_taken_back_though_its_job_file_is_gone_and_status_says_so(tmp_path, capsys, table):
    job = scheduled(tmp_path)
    assert main(["submit", str(job), "--to", "crontab"]) == 0, capsys.readouterr()
    (record,) = (tmp_path / "state").glob("**/submission.json")
    (record.parent / "fire.log").write_text("one\ntwo\n")
    capsys.readouterr()
    assert main(["logs", str(job), "--lines", "1"]) == 0
    assert capsys.readouterr().out == "==> schedule (unknown)\ntwo\n"
    job.unlink()
    assert main(["cancel", str(record.parent)]) == 0
    assert "fire.sh" not in table.read_text()
    capsys.readouterr()
    assert main(["status", str(record.parent)]) == 0
    assert capsys.readouterr().out.startswith("web: no longer scheduled on crontab\n")


def test_a_user_without_a_table_gets_one(tmp_path, capsys, table):
    assert main(["submit", str(scheduled(tmp_path)), "--to", "crontab"]) == 0, capsys.readouterr()
    assert entry(table.read_text()).startswith("0 3 * * * ")


@pytest.mark.skipif(shutil.which("crontab") is None or os.geteuid() != 0, reason="needs cron, and a user to be had")
def test_cron_s_own_command_takes_the_lines(tmp_path, capsys):
    """By a user of this machine that has no crontab, as only root can."""
    job = load_job(scheduled(tmp_path))
    lines = CRONTAB.lines(job, tmp_path / "job.yaml", tmp_path)
    mine: Any = subprocess.run(["crontab", "-u", "nobody", "-l"], capture_output=True, text=True, check=False)
    if mine.returncode == 0:
        pytest.skip("nobody has a crontab")
    try:
        subprocess.run(["crontab", "-u", "nobody", "-"], input=lines, text=True, check=True, capture_output=True)
        listed = subprocess.run(["crontab", "-u", "nobody", "-l"], capture_output=True, text=True, check=True).stdout
        assert listed.endswith(lines)
    finally:
        subprocess.run(["crontab", "-u", "nobody", "-r"], check=False, capture_output=True)
