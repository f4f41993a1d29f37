"""Submissions are found again by job file, folder or name, whether or not a scheduler still knows them."""

import json
from pathlib import Path
from typing import Any

import pytest
from submitted_jobs import write_job

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.jobs.cli import main
from tokenmill.jobs.job_file import load_job
from tokenmill.jobs.prepared import Part
from tokenmill.jobs.submission import Submission, find_submission, new_folder, next_folder


def submitted(job: Path, parts: tuple[Part, ...] = ()) -> Submission:
    """On record as if it had been."""
    asked = load_job(job)
    found = Submission(
        name="x",
        target="slurm",
        job=asked.name,
        job_file=str(job),
        folder=new_folder(Path(asked.state), asked.name),
        out=asked.out_at(),
        recipe="small@1",
        submitted="2026-11-24T03:00:00+00:00",
        stations=({"number": 0, "name": "segment 0", "elements": 2}, {"number": 1, "name": "finish", "elements": 0}),
        parts=parts,
    )
    found.save()
    return found


def told(capsys: Any, *arguments: str | Path) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0, capsys.readouterr()
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_each_submission_has_a_folder_of_its_own(tmp_path):
    assert next_folder(tmp_path / "state", "web").name == "web-1"
    assert not (tmp_path / "state").exists()
    assert [new_folder(tmp_path / "state", "web").name for _ in range(3)] == ["web-1", "web-2", "web-3"]
    assert new_folder(tmp_path / "state", "web-x").name == "web-x-1"
    assert [new_folder(tmp_path / "state", "web").name for _ in range(8)][-1] == "web-11"


def test_it_is_found_by_job_file_folder_or_name(tmp_path, monkeypatch):
    job = write_job(tmp_path, state=".web")
    with pytest.raises(RecipeError, match="nothing of this job has been submitted yet"):
        find_submission(str(job))
    first, last = submitted(job), submitted(job)
    monkeypatch.chdir(tmp_path)
    assert find_submission("job.yaml").folder == last.folder, "the last one"
    assert find_submission(".web").folder == last.folder
    assert find_submission(str(first.folder)).folder == first.folder
    assert find_submission("web-1").folder == first.folder
    for wanted, complaint in [("web-3", "no job file, and no submission"), ("in", "no submission is kept here")]:
        with pytest.raises(RecipeError, match=complaint):
            find_submission(wanted)


def test_what_is_on_record_comes_back_as_it_was(tmp_path):
    parts = (Part(name="segment 0", id="17", station=0, until=0), Part(name="driver", id="process:3"))
    found = submitted(write_job(tmp_path), parts)
    assert Submission.load(found.folder) == found
    text = (found.folder / "submission.json").read_text()
    (found.folder / "submission.json").write_text(text.replace('"17"', '"18"'))
    with pytest.raises(DataError, match="not as it was written"):
        Submission.load(found.folder)


def test_receipts_tell_where_the_scheduler_does_not(tmp_path, capsys, monkeypatch):
    job = write_job(tmp_path)
    submitted(job, (Part(name="segment 0", id="17", station=0, until=0),))
    monkeypatch.setenv("PATH", str(tmp_path))  # no squeue there
    found = told(capsys, "status", job)
    assert (found["state"], found["identity"]) == ("unknown", None)
    assert found["scheduler"].startswith("squeue: ")
    run = ["run", f"{tmp_path}/small.py:SMALL", "--source", str(tmp_path / "in"), "--workers", "1"]
    identity = told(capsys, *run, "--out", tmp_path / "out")["identity"]
    found = told(capsys, "status", job)
    assert (found["state"], found["identity"]) == ("done", identity)
    assert [station["state"] for station in found["stations"]] == ["done", "done"]
    assert told(capsys, "submit", job, "--to", "slurm")["submission"] is None, "there is nothing to submit"


def test_what_slurm_has_forgotten_has_failed_where_its_log_does_not_end_well(tmp_path, capsys, monkeypatch):
    """Programs in the place of Slurm's, which answer as those do five minutes after a job's end, without accounts."""
    job = write_job(tmp_path)
    found = submitted(job, (Part(name="segment 0", id="17", station=0, until=0),))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error: Invalid job id specified' >&2\nexit 1\n")
    (programs / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    logs = found.folder / "logs"
    logs.mkdir()
    said = {
        "0": '{"done": 2}\n',
        "1": '{"done": 1, "terminated": true}\n{"done": 1}\n',
        "2": '{"error": "DataError", "done": 1}\n',
        "3": "killed before it could say anything\n",
        "4": '{"done": 1, "terminated": true}\n',
    }
    for element, text in said.items():
        (logs / f"000.{element}.log").write_text(text)
    assert len(told(capsys, "logs", job)["logs"]) == 5
    assert [log["element"] for log in told(capsys, "logs", job, "--failed")["logs"]] == ["2", "3", "4"]


def test_a_station_is_named_by_its_number_or_its_name(tmp_path, capsys):
    job = write_job(tmp_path)
    submitted(job)
    assert told(capsys, "logs", job, "--station", "finish")["logs"] == []
    assert told(capsys, "logs", job, "--station", "1")["logs"] == []
    assert main(["logs", str(job), "--station", "segmnt 0"]) == 2
    assert "has no such station (did you mean segment 0?)" in capsys.readouterr().err
