"""`--to airflow`: a DAG file. A mapped task for each element of a station, a closing task behind them, and so on.

A job with a schedule gives a DAG of one task instead: it fires the job file for the time that Airflow gives it.

The file is data (one Python literal) and a fixed program that imports nothing but Airflow 3. Its operator runs a list
of arguments, without templates and without a shell but for `setup`: nothing else in a job file is ever read as code.
Exit codes 2 and 3 fail a task for good; others are tried again, and go on from the receipts. What closes a station
begins when its elements have ended, in any way; everything else waits for a closing task, which must have ended well.
Secrets are names: Airflow's workers have them in their environment, or the task fails and says which is missing.

Handing it over is putting the file into Airflow's DAGs folder. A station's partition becomes the `queue` of its tasks.
"""

import ast
import json
import pprint
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.jobs.console import warn
from tokenmill.jobs.job_file import JobFile
from tokenmill.jobs.prepared import Log, Part, PartStatus, Prepared, PreparedStation, State
from tokenmill.jobs.unused_keys import AIRFLOW, SCHEDULED_DAG, check_keys

CANCELLED = "cancelled"  # a file in the job's folder
DATA_LINE = "JOB: dict[str, Any] = {}"  # of airflow_dag.py: the line that the data take the place of
RANK = "{rank}"
PATIENCE_S = 120  # Airflow's command takes seconds to start
RUN_STATES: dict[str, State] = {"queued": "pending", "running": "running", "success": "done", "failed": "failed"}


def check(job: JobFile) -> None:
    """Raises RecipeError for another engine: Airflow's tasks are the elements, and each works with local processes."""
    if job.engine.name != "local" and job.schedule is None:
        raise RecipeError(f"engine.name: {job.engine.name}; tasks of Airflow work with the engine local; leave it out")
    check_keys(job, AIRFLOW)


def render(job: JobFile, prepared: Prepared) -> dict[str, str]:
    """One DAG, that runs once, as soon as Airflow has read it."""
    tasks: list[dict[str, Any]] = []
    for station in prepared.stations:
        if station.elements:
            tasks.append(_task(job, station, "", prepared.share_arguments(station, RANK), station.elements))
        closing = _task(job, station, "_close", prepared.close_arguments(station), None)
        if station.elements:
            # However its elements have ended: it does what is missing. They have not begun where the station before
            # was never closed, which Airflow cannot tell from elements that have failed: it looks by itself.
            closing |= {"after_any": True, "arguments": [*closing["arguments"], "--if-open", str(station.number)]}
        tasks.append(closing)
    dag_id = _dag_id(prepared.name)
    facts = {"cancelled": str(prepared.folder / CANCELLED), "schedule": None, "tasks": tasks}
    data = _common(job, dag_id, prepared.python) | facts
    return {f"{dag_id}.py": dag_text(data)}


def render_schedule(job: JobFile, job_file: Path, folder: Path) -> dict[str, str]:
    """A DAG that fires the job file where it lies. Airflow keeps the list of missed firings, as `catch_up` says."""
    if job.schedule is None:
        raise RecipeError(f"{job_file}: no `schedule`, so there is nothing that Airflow could fire")
    check_keys(job, SCHEDULED_DAG)
    if job.schedule.catch_up == "none":
        warn(f"{job.name}: schedule.catch_up: Airflow makes up for the latest missed firing where it is `none`, too")
    task = {
        "id": "fire",
        "arguments": ["-m", "tokenmill.jobs", "fire", str(job_file), "--at", "{due}"],
        "elements": None,
        "at_once": None,
        "time_s": job.resources.time,
        "queue": job.resources.partition,
        "after_any": False,
    }
    schedule = {
        "cron": job.schedule.cron,
        "timezone": job.schedule.timezone,
        "start": job.schedule.start.isoformat(),
        "catch_up": job.schedule.catch_up == "all",
    }
    dag_id = _dag_id(job.name)
    data = _common(job, dag_id, job.environment.python or sys.executable)
    data |= {"cancelled": None, "schedule": schedule, "tasks": [task]}
    return {f"{dag_id}.py": dag_text(data)}


def dag_text(data: Mapping[str, Any]) -> str:
    """The DAG file that holds `data`, which are texts, numbers, None, lists and dicts."""
    program = Path(__file__).with_name("airflow_dag.py").read_text(encoding="utf-8")
    literal = pprint.pformat(dict(data), width=116, sort_dicts=False)
    before, found, after = program.partition(DATA_LINE)
    if not found or ast.literal_eval(literal) != data:
        raise ValueError(f"airflow_dag.py has no line {DATA_LINE!r}, or {literal} is no literal")
    return f"{before}JOB: dict[str, Any] = {literal}{after}"


def commands(job: JobFile, prepared: Prepared) -> list[list[str]]:
    (name,) = render(job, prepared)
    return [_copy(prepared.folder / name)]


def submit(job: JobFile, prepared: Prepared) -> Iterator[Part]:
    """Put the file into the DAGs folder of the Airflow that is here; its scheduler starts the run."""
    (name,) = render(job, prepared)
    file = prepared.folder / name
    there = _dags_folder() / name
    if there.exists() and there.read_bytes() != file.read_bytes():
        raise RecipeError(f"{there}: another job of this name is there; cancel that, or give this one another name")
    yield from _placed(file, "run")


def schedule_commands(job: JobFile, folder: Path) -> list[list[str]]:
    return [_copy(folder / f"{_dag_id(job.name)}.py")]


def schedule(job: JobFile, folder: Path) -> list[Part]:
    """A DAG is changed in place. Raises RecipeError where one of this name fires another job file."""
    file = folder / f"{_dag_id(job.name)}.py"
    there = _dags_folder() / file.name
    if there.exists() and (fired := _fires(there)) != _fires(file):
        raise RecipeError(
            f"{there}: fires {fired or 'something else'}; cancel that job's schedule, or give this one another name"
        )
    return list(_placed(file, "schedule"))


def _fires(dag_file: Path) -> str | None:
    """The job file that a DAG of ours fires, by the data in it, without running it."""
    try:
        for node in ast.parse(dag_file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "JOB" and node.value is not None:
                arguments: list[str] = ast.literal_eval(node.value)["tasks"][0]["arguments"]
                return arguments[arguments.index("fire") + 1]
    except (SyntaxError, ValueError, LookupError, TypeError):
        pass  # not ours
    return None


def unschedule(folder: Path, parts: Sequence[Part]) -> list[Part]:
    """A firing that is at work goes on to its end; Airflow keeps what it knows of past ones."""
    files = {part.id: _dags_folder() / f"{part.id}.py" for part in parts}
    there = [part for part in parts if files[part.id].exists()]
    for part in there:
        files[part.id].unlink()
    return there


def status(parts: Sequence[Part], facts: Mapping[str, Any]) -> list[PartStatus]:
    """Of the newest run of each DAG: its tasks by state."""
    told = []
    for part in parts:
        run = _newest_run(part.id)
        if run is None:
            told.append(PartStatus(part=part, counts={"pending": 1}, detail="Airflow has not begun a run of it"))
            continue
        counts: dict[State, int] = {}
        for task in _tasks_of(part.id, run["run_id"]):
            state = _task_state(task)
            state = "cancelled" if state == "failed" and (Path(facts["folder"]) / CANCELLED).exists() else state
            counts[state] = counts.get(state, 0) + 1
        told.append(PartStatus(part=part, counts=counts, detail=f"{run['run_id']}: {run['state']}"))
    return told


def cancel(parts: Sequence[Part], facts: Mapping[str, Any]) -> list[Part]:
    """Leave the file for which tasks look: those at work are told to stop, the others end as they begin."""
    (Path(facts["folder"]) / CANCELLED).touch()
    ended = []
    for part in parts:
        run = _newest_run(part.id)
        if run is None:
            (_dags_folder() / f"{part.id}.py").unlink(missing_ok=True)
        if run is None or RUN_STATES.get(run["state"]) in ("pending", "running"):
            ended.append(part)
    return ended


def logs(parts: Sequence[Part], facts: Mapping[str, Any], station: int | None, failed: bool) -> list[Log]:
    """As Airflow keeps them: in its web pages, or the folder that is named where its files are not on this machine."""
    base = Path(_airflow(["config", "get-value", "logging", "base_log_folder"]).strip().rpartition("\n")[2])
    told = []
    for part in parts:
        run = _newest_run(part.id)
        for task in _tasks_of(part.id, run["run_id"]) if run is not None else []:
            state, task_id = _task_state(task), task["task_id"]
            if (failed and state != "failed") or (station is not None and not task_id.startswith(f"s{station}_")):
                continue
            folder = base / f"dag_id={part.id}" / f"run_id={task['run_id']}" / f"task_id={task_id}"
            for file in sorted(folder.rglob("attempt=*.log")):
                text = _as_lines(file.read_text(encoding="utf-8", errors="replace"))
                element = str(file.relative_to(base / f"dag_id={part.id}"))
                told.append(Log(part=part, element=element, state=state, text=text))
    return told


def _as_lines(text: str) -> str:
    """Airflow keeps a JSON object for each line; what was said, and when."""
    lines = []
    for line in text.splitlines():
        try:
            said = json.loads(line)
            lines.append(f"{said['timestamp']} {said['event']}")
        except (ValueError, KeyError, TypeError):
            lines.append(line)
    return "\n".join([*lines, ""])


def _common(job: JobFile, dag_id: str, python: str) -> dict[str, Any]:
    return {
        "dag_id": dag_id,
        "python": python,
        "setup": list(job.environment.setup),
        "variables": dict(job.environment.variables),
        "secrets": [secret.variable for secret in job.environment.secrets],
        "retries": job.retries,
    }


def _task(
    job: JobFile, station: PreparedStation, ending: str, arguments: list[str], elements: int | None
) -> dict[str, Any]:
    return {
        "id": f"s{station.number}_{re.sub(r'[^A-Za-z0-9]+', '_', station.name)}{ending}",
        "arguments": arguments,
        "elements": elements,
        "at_once": job.resources.at_once,
        "time_s": station.resources.time_s,
        "queue": station.resources.partition,
        "after_any": False,
    }


def _dag_id(name: str) -> str:
    return f"tokenmill_{name}"  # a job's name is made of letters that Airflow takes


def _copy(file: Path) -> list[str]:
    return ["cp", str(file), f"<Airflow's DAGs folder>/{file.name}"]


def _placed(file: Path, name: str) -> Iterator[Part]:
    folder = _dags_folder()
    if not folder.is_dir():
        raise EngineError(f"{folder}: Airflow's DAGs folder is not on this machine; copy {file} there")
    # Airflow reads the folder at any moment: it must not find half a file, and takes none that is not called *.py.
    part = folder / f".{file.name}.part"
    shutil.copyfile(file, part)
    part.replace(folder / file.name)
    yield Part(name=name, id=file.stem)


def _dags_folder() -> Path:
    return Path(_airflow(["config", "get-value", "core", "dags_folder"]).strip().rpartition("\n")[2])


def _newest_run(dag_id: str) -> dict[str, str] | None:
    try:
        runs = _last_json(_airflow(["dags", "list-runs", dag_id, "--output", "json"]))
    except EngineError as error:
        if "does not exist" in str(error):
            return None
        raise
    return max(runs, key=lambda run: run.get("run_after") or run.get("logical_date") or "", default=None)


def _tasks_of(dag_id: str, run_id: str) -> list[dict[str, Any]]:
    listed = _airflow(["tasks", "states-for-dag-run", dag_id, run_id, "--output", "json"])
    return [{**task, "run_id": run_id} for task in _last_json(listed)]


def _last_json(said: str) -> list[dict[str, Any]]:
    """Airflow's command writes its warnings to the same stream, before the answer."""
    found: list[dict[str, Any]] = json.loads(said.strip().rpartition("\n")[2])
    return found


def _task_state(task: Mapping[str, Any]) -> State:
    match task.get("state"):
        case "success":
            return "done"
        case "failed" | "upstream_failed":
            return "failed"
        case "running" | "restarting":
            return "running"
        case _:
            return "pending"


def _airflow(arguments: list[str]) -> str:
    command = ["airflow", *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except FileNotFoundError as error:
        raise EngineError("airflow is not on the PATH; run this where Airflow is, or copy the file by hand") from error
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{' '.join(command)}: no answer within {PATIENCE_S} s") from error
    if result.returncode != 0:
        said = " ".join((result.stderr or result.stdout).split()[-60:])
        raise EngineError(f"{' '.join(command)}: exit code {result.returncode}: {said}")
    return result.stdout
