"""What `submit --to slurm` would hand over: read as text, and run by a shell. No Slurm is needed for any of it."""

import json
import os
import re
import subprocess
from dataclasses import replace

import pytest
from submitted_jobs import refusal, rendered, write_job

from tokenmill.engines.context import Context
from tokenmill.jobs.cli import main
from tokenmill.jobs.job_file import load_job
from tokenmill.jobs.places import out_at
from tokenmill.jobs.prepare import prepare
from tokenmill.jobs.submit import plan_of
from tokenmill.jobs.submit_slurm import commands, render

SECRET = "the-value-of-the-secret"
# The first segment's array; what closes it and decides on exact_dedup; the other segment; its end and the manifest.
PARTS = ("000.share", "000.close", "002.share", "002.close")


def options(script: str) -> dict[str, str]:
    """The #SBATCH lines."""
    return dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", script, re.MULTILINE))


def test_an_array_for_each_station_and_behind_it_what_closes_it(tmp_path, capsys):
    told = rendered(write_job(tmp_path), "slurm", capsys)
    share, close, _, last = (told["files"][f"scripts/{name}.sh"] for name in PARTS)
    assert len(told["files"]) == len(PARTS)
    assert options(share)["array"] == "0-3"
    assert '--station 0 --rank "$SLURM_ARRAY_TASK_ID" --of 4 ' in share
    assert "array" not in options(close)
    assert "--station 1 --close " in close
    assert "--station 3 --close " in last
    assert {options(script)["signal"] for script in told["files"].values()} == {"B:TERM@120"}
    for script in told["files"].values():
        assert {"requeue", "export", "open-mode", "kill-on-invalid-dep"} <= options(script).keys()


def test_what_closes_begins_however_its_array_ends_and_the_rest_only_behind_what_has_closed(tmp_path, capsys):
    told = rendered(write_job(tmp_path), "slurm", capsys)
    scripts = [f"{tmp_path}/state/web-1/scripts/{name}.sh" for name in PARTS]
    assert told["commands"] == [
        ["sbatch", "--parsable", scripts[0]],
        ["sbatch", "--parsable", "--dependency=afterany:<1>", scripts[1]],
        ["sbatch", "--parsable", "--dependency=afterok:<2>", scripts[2]],
        ["sbatch", "--parsable", "--dependency=afterany:<3>,afterok:<2>", scripts[3]],
    ]


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    job = write_job(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    rendered(job, "slurm", capsys)
    assert sorted(tmp_path.rglob("*")) == before


def test_one_shard_needs_no_array(tmp_path, capsys):
    told = rendered(write_job(tmp_path, files=1), "slurm", capsys)
    (only,) = told["files"].values()
    assert "--station 3 --close " in only


@pytest.mark.parametrize(
    ("resources", "array"),
    [
        ("{}", "0-3"),
        ("{tasks: 2}", "0-1"),
        ("{tasks: 3, at_once: 2}", "0-2%2"),
        ("{cpus: 2}", "0-1"),  # two workers each
        ("{steps: {exact_dedup: {tasks: 2}}}", "0-1"),
    ],
)
def test_elements_take_the_tasks_among_them(tmp_path, capsys, resources, array):
    told = rendered(write_job(tmp_path, f"resources: {resources}\n"), "slurm", capsys)
    assert options(told["files"]["scripts/000.share.sh"])["array"] == array


def test_no_array_is_longer_than_slurm_allows(tmp_path):
    job = load_job(write_job(tmp_path))
    few = plan_of(job)
    many = replace(few, shards=tuple(replace(few.shards[0], index=n, name=f"s-{n}") for n in range(100_000)))
    context = Context(plan=many, out=out_at(job.out), device="cpu")
    prepared = prepare(job, many, context, tmp_path / "web-1", job.out)
    arrays = [options(s)["array"] for name, s in render(job, prepared).items() if "share" in name]
    assert arrays[0] == arrays[-1] == "0-999"
    assert all(int(array.removeprefix("0-")) < 1_000 for array in arrays)
    assert len(commands(job, prepared)) == 2 * len(arrays)


def test_resources_are_those_of_the_stations_steps(tmp_path, capsys):
    more = """
resources:
  cpus: 2
  memory: 2GB
  time: 1-02:30:01
  account: mine
  steps: {gopher_quality: {gpus: 1, partition: big, memory: 3GiB}, exact_dedup: {time: 2d}}
"""
    told = rendered(write_job(tmp_path, more), "slurm", capsys)
    first, last = (options(told["files"][f"scripts/00{n}.share.sh"]) for n in (0, 2))
    assert first["mem"] == "1908M"  # of 2^20 bytes, rounded up
    assert (first["time"], last["time"]) == ("48:00:00", "26:31:00")
    assert {"gres", "partition"} & first.keys() == set()
    assert (last["gres"], last["partition"], last["mem"]) == ("gpu:1", "big", "3072M")
    assert first["cpus-per-task"] == last["cpus-per-task"] == "2"
    assert first["account"] == last["account"] == "mine"
    # The manifest needs no GPU: what closes the last segment does not go on to it.
    assert [options(script).get("gres") for script in told["files"].values()] == [None, None, "gpu:1", "gpu:1", None]


def test_sigterm_comes_long_enough_before_a_short_limit(tmp_path, capsys):
    told = rendered(write_job(tmp_path, "resources: {time: 1min}\n"), "slurm", capsys)
    assert {options(script)["signal"] for script in told["files"].values()} == {"B:TERM@30"}


def test_everything_reaches_the_task_as_it_was_written(tmp_path, capsys):
    folder = tmp_path / "it's a $HOME #1 %j `x`"
    folder.mkdir()
    python = folder / "python"
    # In the interpreter's place: it prints what it was given.
    python.write_text(
        '#!/usr/bin/env python3\nimport json, os, sys\nprint(json.dumps([sys.argv[1:], os.environ["A"]]))\n'
    )
    python.chmod(0o755)
    more = """
environment:
  python: "PYTHON"
  setup: ["B=from-setup", "echo set up"]
  variables: {A: "it's \\"$B\\" `date` \\\\ and\\n a line"}
""".replace("PYTHON", str(python))
    told = rendered(write_job(folder, more), "slurm", capsys)
    for name, script in told["files"].items():
        environment = {"PATH": os.environ["PATH"], "SLURM_ARRAY_TASK_ID": "7"}
        result = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
        setup, said = result.stdout.splitlines()
        arguments, variable = json.loads(said)
        assert setup == "set up"
        assert variable == 'it\'s "$B" `date` \\ and\n a line'
        assert arguments[:3] == ["-m", "tokenmill.jobs.slurm_element", f"{folder}/state/web-1"]
        assert ("--rank" in arguments) == ("share" in name)
        if "share" in name:
            assert arguments[arguments.index("--rank") + 1] == "7"
            assert arguments[arguments.index("--name") + 1].endswith(".7")


def test_a_secret_is_passed_by_its_name_alone(tmp_path, capsys, monkeypatch):
    job = write_job(tmp_path, "environment: {secrets: [HUSH]}\n")
    monkeypatch.delenv("HUSH", raising=False)
    assert "HUSH is not set here, and jobs get it from here; export it first" in refusal(job, "slurm", capsys)
    monkeypatch.setenv("HUSH", SECRET)
    told = rendered(job, "slurm", capsys)
    assert SECRET not in json.dumps(told)
    assert {options(script)["export"] for script in told["files"].values()} == {"ALL"}


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (
            "engine: {name: spark}",
            "engine.name: spark is not what --to slurm starts; leave `engine` out, or use --to spark",
        ),
        (
            "environment: {archive: e.tar.gz}",
            "environment.archive: counts for nothing on slurm: nobody unpacks it there; give `python`",
        ),
        (
            "resources: {steps: {exact_dedp: {gpus: 1}}}",
            "steps.exact_dedp: small has no such step (did you mean exact_dedup?)",
        ),
        ("index: true\nrecipe: small.py:PLAIN", "index: plain has no step that leaves an index"),
        ("state: s3://bucket/state", "state: s3://bucket/state; a submission's scripts and plan need a folder"),
    ],
)
def test_what_slurm_cannot_do_is_refused(tmp_path, capsys, more, complaint):
    changed = dict(line.split(": ", 1) for line in more.splitlines() if line.split(":")[0] in ("recipe", "state"))
    kept = "".join(f"{line}\n" for line in more.splitlines() if line.split(":")[0] not in changed)
    job = write_job(tmp_path, kept, **changed)
    with (tmp_path / "small.py").open("a") as file:
        file.write('PLAIN = Recipe("plain", (MeasureText(),))\n')
    assert complaint in refusal(job, "slurm", capsys)


def test_without_a_slurm_nothing_is_left_behind(tmp_path, capsys, monkeypatch):
    job = write_job(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["submit", str(job), "--to", "slurm"]) == 2
    assert "no sbatch, squeue, scontrol, scancel here; submit from a machine of the cluster" in capsys.readouterr().err
    assert list((tmp_path / "state").iterdir()) == []
