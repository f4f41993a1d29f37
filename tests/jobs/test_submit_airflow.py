"""--to airflow: the DAG file is Python that imports Airflow alone, an Airflow reads it, and its run is our run.

Airflow has an environment of its own: AIRFLOW_PYTHON names its interpreter, else .venv-airflow is looked for.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from submitted_jobs import local_identity, refusal, rendered, write_job

from tokenmill.jobs.cli import main
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.verify import verify

ROOT = Path(__file__).parents[2]
AIRFLOW = Path(os.environ.get("AIRFLOW_PYTHON", ROOT / ".venv-airflow" / "bin" / "python"))
SCHEDULE = 'schedule: {cron: "0 3 * * *", start: 2026-11-01, timezone: Europe/Paris, catch_up: %s}\n'

# What a DagBag says of a folder of DAG files.
READ = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
dags = {
    dag.dag_id: {
        "start": dag.start_date.isoformat(),
        "catchup": dag.catchup,
        "timetable": type(dag.timetable).__name__,
        "tasks": [
            [t.task_id, "Mapped" in type(t).__name__, sorted(t.upstream_task_ids), t.retries, str(t.trigger_rule.value)]
            for t in dag.topological_sort()
        ],
    }
    for dag in bag.dags.values()
}
print("\\n" + json.dumps({"errors": bag.import_errors, "dags": dags}))
"""


def dag_file(told: dict[str, Any]) -> str:
    ((name, text),) = told["files"].items()
    assert name.endswith(".py")
    return str(text)


def data(text: str) -> dict[str, Any]:
    """The literal in the file, read without running it."""
    found = [node for node in ast.parse(text).body if isinstance(node, ast.AnnAssign)]
    (assigned,) = [node for node in found if isinstance(node.target, ast.Name) and node.target.id == "JOB"]
    read = ast.literal_eval(assigned.value)  # type: ignore[arg-type]
    assert isinstance(read, dict)
    return read


def test_the_file_imports_airflow_and_the_standard_library_alone(tmp_path, capsys):
    text = dag_file(rendered(write_job(tmp_path), "airflow", capsys))
    compile(text, "dag.py", "exec")
    tree = ast.walk(ast.parse(text))
    imports = [node for node in tree if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {
        n.split(".")[0]
        for i in imports
        for n in ([i.module or ""] if isinstance(i, ast.ImportFrom) else [a.name for a in i.names])
    }
    assert names - {"airflow"} <= sys.stdlib_module_names


def test_each_station_is_a_task_for_each_element_and_one_that_closes(tmp_path, capsys):
    told = rendered(write_job(tmp_path, "resources: {tasks: 2, cpus: 1}\nretries: 5\n"), "airflow", capsys)
    job = data(dag_file(told))
    assert [(task["id"], task["elements"]) for task in job["tasks"]] == [
        ("s0_segment_0", 2),
        ("s0_segment_0_close", None),
        ("s1_exact_dedup_close", None),
        ("s2_segment_1", 2),
        ("s2_segment_1_close", None),
        ("s3_finish_close", None),
    ]
    task = ["-m", "tokenmill.jobs", "task", told["folder"], "--station"]
    assert job["tasks"][0]["arguments"] == [*task, "0", "--rank", "{rank}", "--of", "2", "--workers", "1"]
    assert job["tasks"][1]["arguments"] == [*task, "0", "--close", "--workers", "1", "--if-open", "0"]
    assert job["tasks"][2]["arguments"] == [*task, "1", "--close", "--workers", "1"]
    # What closes begins however its elements have ended; what waits for that begins only behind one that has closed.
    assert [task["after_any"] for task in job["tasks"]] == [False, True, False, False, True, False]
    assert (job["retries"], job["schedule"]) == (5, None)


def test_a_partition_is_a_queue_and_a_time_is_a_task_s(tmp_path, capsys):
    more = "resources: {time: 1h, at_once: 7, steps: {gopher_quality: {gpus: 1, partition: gpu, time: 2h}}}\n"
    tasks = {
        task["id"]: task for task in data(dag_file(rendered(write_job(tmp_path, more), "airflow", capsys)))["tasks"]
    }
    assert (tasks["s0_segment_0"]["queue"], tasks["s0_segment_0"]["time_s"]) == (None, 3600)
    assert (tasks["s2_segment_1"]["queue"], tasks["s2_segment_1"]["time_s"]) == ("gpu", 7200)
    assert tasks["s2_segment_1"]["at_once"] == 7


def test_what_a_job_file_says_is_data_in_the_dag_and_nothing_else(tmp_path, capsys):
    nasty = '{{ ds }} {rank} """ \' \\ \n# {% raw %} JOB = {} \u2028é'
    job = yaml.safe_dump({"environment": {"variables": {"V": nasty}, "setup": [f"export W='{{{{ x }}}}' {nasty[:9]}"]}})
    text = dag_file(rendered(write_job(tmp_path, job), "airflow", capsys))
    assert data(text)["variables"] == {"V": nasty}
    plain = dag_file(rendered(write_job(tmp_path), "airflow", capsys))
    assert without_data(text) == without_data(plain)


def without_data(text: str) -> str:
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if not isinstance(node, ast.AnnAssign)]
    return ast.dump(tree)


def test_secrets_are_names(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("S3_KEY", "very-secret")
    told = rendered(write_job(tmp_path, "environment: {secrets: [S3_KEY]}\n"), "airflow", capsys)
    assert data(dag_file(told))["secrets"] == ["S3_KEY"]
    assert "very-secret" not in json.dumps(told)


@pytest.mark.parametrize(("said", "catches_up"), [("all", True), ("latest", False), ("none", False)])
def test_a_schedule_is_a_dag_that_fires_for_the_time_airflow_gives_it(tmp_path, capsys, said, catches_up):
    path = write_job(tmp_path, SCHEDULE % said, out='"out-{date}"')
    job = data(dag_file(rendered(path, "airflow", capsys)))
    (task,) = job["tasks"]
    assert task["arguments"] == ["-m", "tokenmill.jobs", "fire", str(path), "--at", "{due}"]
    assert job["schedule"] == {
        "cron": "0 3 * * *",
        "timezone": "Europe/Paris",
        "start": "2026-11-01",
        "catch_up": catches_up,
    }


def test_another_engine_is_refused(tmp_path, capsys):
    assert "engine.name: dask" in refusal(write_job(tmp_path, "engine: {name: dask}\n"), "airflow", capsys)


def program(folder: Path, name: str, lines: str) -> None:
    """In the place of a command, on a PATH that holds nothing else."""
    file = folder / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{lines}\n")
    file.chmod(0o755)


def test_a_dag_of_another_job_file_is_left_alone_and_one_s_own_is_replaced_whole(tmp_path, capsys, monkeypatch):
    dags = tmp_path / "dags"
    dags.mkdir()
    program(tmp_path, "airflow", f"echo {dags}")  # `config get-value core dags_folder`
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}")
    (tmp_path / "mine").mkdir()
    (tmp_path / "theirs").mkdir()
    mine, theirs = (
        write_job(tmp_path / who, SCHEDULE % "all", out='"out-{date}"', files=1) for who in ("mine", "theirs")
    )
    assert main(["submit", str(mine), "--to", "airflow"]) == 0, capsys.readouterr()
    mine.write_text(mine.read_text().replace("0 3 * * *", "0 5 * * *"))
    assert main(["submit", str(mine), "--to", "airflow"]) == 0, capsys.readouterr()
    assert data((dags / "tokenmill_web.py").read_text())["schedule"]["cron"] == "0 5 * * *"
    assert main(["submit", str(theirs), "--to", "airflow"]) == 2
    assert f"fires {mine}; cancel that job's schedule" in capsys.readouterr().err
    assert data((dags / "tokenmill_web.py").read_text())["schedule"]["cron"] == "0 5 * * *"
    assert [file.name for file in dags.iterdir()] == ["tokenmill_web.py"], "no half of a file is left"


def test_without_airflow_the_file_stays_and_it_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert main(["submit", str(write_job(tmp_path)), "--to", "airflow"]) == 4
    assert "airflow is not on the PATH" in capsys.readouterr().err
    assert (tmp_path / "state" / "web-1" / "tokenmill_web-1.py").exists()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new Airflow's folder, its database made."""
    if not AIRFLOW.exists():
        pytest.skip("needs an Airflow: make .venv-airflow/installed, or set AIRFLOW_PYTHON")
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "dags").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(folder))
        do(str(AIRFLOW.with_name("airflow")), "db", "migrate")
    return folder


@pytest.fixture
def airflow(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its DAGs folder; its command is on the PATH."""
    monkeypatch.setenv("AIRFLOW_HOME", str(home))
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    monkeypatch.setenv("PATH", f"{AIRFLOW.parent}:{os.environ['PATH']}")
    return home / "dags"


def do(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


@pytest.mark.slow
def test_airflow_reads_both_kinds_of_dag(tmp_path, capsys, airflow):
    for name, more in (("once", ""), ("daily", SCHEDULE % "all")):
        (tmp_path / name).mkdir()
        job = write_job(tmp_path / name, more + "retries: 5\n", name=name, out='"out-{date}"' if more else "out")
        told = rendered(job, "airflow", capsys)
        (tmp_path / "dags").mkdir(exist_ok=True)
        (tmp_path / "dags" / f"{name}.py").write_text(dag_file(told))
    read = json.loads(do(str(AIRFLOW), "-c", READ, str(tmp_path / "dags")).strip().rpartition("\n")[2])
    assert read["errors"] == {}
    once, daily = read["dags"]["tokenmill_once-1"], read["dags"]["tokenmill_daily"]
    assert [(name, mapped, before) for name, mapped, before, *_ in once["tasks"]] == [
        ("s0_segment_0", True, []),
        ("s0_segment_0_close", False, ["s0_segment_0"]),
        ("s1_exact_dedup_close", False, ["s0_segment_0_close"]),
        ("s2_segment_1", True, ["s1_exact_dedup_close"]),
        ("s2_segment_1_close", False, ["s2_segment_1"]),
        ("s3_finish_close", False, ["s2_segment_1_close"]),
    ]
    assert {retries for *_, retries, _ in once["tasks"]} == {5}
    rules = [rule for *_, rule in once["tasks"]]
    assert rules == ["all_success", "all_done", "all_success", "all_success", "all_done", "all_success"]
    assert (daily["timetable"], daily["catchup"]) == ("CronTriggerTimetable", True)
    assert daily["start"] == "2026-10-31T23:00:00+00:00"  # midnight in Paris


# The operator of a DAG file by itself: what becomes of a command that ends so, and of one that is to be cancelled.
EXECUTE = """
import importlib.util, json, os, sys, threading, types
from pathlib import Path
spec = importlib.util.spec_from_file_location("dag_file", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
run = {"dag_run": types.SimpleNamespace(logical_date=None, run_after=__import__("datetime").datetime(2026, 11, 3))}
def ending(script, rank=0):
    try:
        operator = module.Tokenmill(task_id="t", arguments=["-c", script, "{rank}", "{due}"], rank=rank)
        type(operator).execute.__wrapped__(operator, run)
        return "success"
    except Exception as error:
        return f"{type(error).__name__}: {error}".partition(";")[0]
told = {str(code): ending(f"raise SystemExit({code})") for code in (0, 2, 3, 4, 143)}
told["words"] = ending("import sys; sys.exit(sys.argv[1:] != ['7', '2026-11-03T00:00:00'])", rank=7)
module.JOB["secrets"] = ["NOT_HERE"]
told["secret"] = ending("")
module.JOB["secrets"] = []
threading.Timer(1, Path(module.JOB["cancelled"]).touch).start()
told["cancelled"] = ending("import time; time.sleep(60)")
told["begun after that"] = ending("")
print("\\n" + json.dumps(told))
"""


@pytest.mark.slow
def test_a_task_s_exit_code_says_whether_it_is_tried_again(tmp_path, capsys, airflow):
    told = rendered(write_job(tmp_path), "airflow", capsys)
    Path(told["folder"]).mkdir(parents=True)  # `cancel` would leave its file there
    (tmp_path / "dag.py").write_text(dag_file(told))
    found = json.loads(do(str(AIRFLOW), "-c", EXECUTE, str(tmp_path / "dag.py")).strip().rpartition("\n")[2])
    final = "another try would end the same way"
    assert found == {
        "0": "success",
        "2": f"AirflowFailException: exit code 2: {final}",
        "3": f"AirflowFailException: exit code 3: {final}",
        "4": "AirflowException: exit code 4",
        "143": "AirflowException: exit code 143",
        "words": "success",
        "cancelled": "AirflowFailException: cancelled",
        "begun after that": "AirflowFailException: cancelled",
        "secret": "AirflowFailException: not in the environment of this worker: NOT_HERE",
    }


@pytest.mark.slow
def test_what_has_not_begun_is_cancelled_by_taking_its_file_away(tmp_path, capsys, airflow):
    job = write_job(tmp_path, name="never")
    assert main(["submit", str(job), "--to", "airflow"]) == 0, capsys.readouterr()
    assert (airflow / "tokenmill_never-1.py").exists()
    assert main(["cancel", str(job)]) == 0, capsys.readouterr()
    assert not (airflow / "tokenmill_never-1.py").exists()


@pytest.mark.slow
def test_a_run_of_the_dag_is_our_run(tmp_path, capsys, airflow):
    more = "retries: 0\nresources: {tasks: 2}\nenvironment: {setup: ['export HERE=\"{{ ds }}\"']}\n"
    job = write_job(tmp_path, more, files=2)
    recipe = tmp_path / "small.py"
    recipe.write_text(recipe.read_text().replace("ExactDedup(), ", ""))  # every task costs seconds
    assert main(["submit", str(job), "--to", "airflow"]) == 0, capsys.readouterr()
    assert (airflow / "tokenmill_web-1.py").exists()
    do("airflow", "dags", "test", "tokenmill_web-1")
    assert Manifest.load(tmp_path / "out").identity == local_identity(job)
    capsys.readouterr()
    assert main(["status", str(job), "--json"]) == 0
    (part,) = json.loads(capsys.readouterr().out)["parts"]
    assert part["counts"] == {"done": 4}  # two shares, what closes them, the end


@pytest.mark.slow
def test_a_run_of_the_scheduled_dag_is_the_firing_of_its_time(tmp_path, capsys, airflow):
    job = write_job(tmp_path, SCHEDULE % "all" + "retries: 0\n", out='"out-{date}"', files=1)
    assert main(["submit", str(job), "--to", "airflow"]) == 0, capsys.readouterr()
    do("airflow", "dags", "test", "tokenmill_web", "2026-11-03T02:00:00+00:00")
    assert verify(tmp_path / "out-2026-11-03").ok
