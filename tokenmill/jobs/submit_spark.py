"""`--to spark`: spark-submit, or a SparkApplication where the job's master is `operator`.

Either starts `spark_driver.py`, which runs the whole plan on the session that Spark gives it. spark-submit in client
mode stays as long as the run: it goes on in the background here, and leaves its exit code. In cluster mode it is gone
when the driver runs: YARN or Kubernetes is asked from then on.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.engines.spark_java import java_home
from tokenmill.jobs import local_process
from tokenmill.jobs.job_file import JobFile
from tokenmill.jobs.kubectl import found, kubectl, kubectl_command
from tokenmill.jobs.kubernetes_pod import check_reachable, dns_name, manifest_text, part_id, part_named
from tokenmill.jobs.prepared import LOGS, Log, Part, PartStatus, Prepared, State
from tokenmill.jobs.spark_application import scheduled_application, spark_application
from tokenmill.jobs.spark_conf import (
    DRIVER_FILE,
    OPERATOR,
    archives,
    check_spark,
    deploy_mode,
    driver_file,
    driver_source,
    is_kubernetes,
    submit_conf,
)

SCRIPT, APPLICATION, SCHEDULED = "spark-submit.sh", "spark-application.yaml", "scheduled-spark-application.yaml"
PROCESS, YARN, POD, APPLICATIONS = "process", "yarn", "pod", "sparkapplication"  # parts' ids begin with one of these
SUBMIT_S = 600  # an archive of some hundred MB goes up first
LOG = "driver.log"
YARN_STATES: dict[str, State] = {
    "SUCCEEDED": "done",
    "FAILED": "failed",
    "KILLED": "cancelled",
    "RUNNING": "running",
    "UNDEFINED": "pending",
}
POD_STATES: dict[str, State] = {"Pending": "pending", "Running": "running", "Succeeded": "done", "Failed": "failed"}
OPERATOR_STATES: dict[str, State] = {
    "": "pending",
    "SUBMITTED": "pending",
    "RUNNING": "running",
    "SUCCEEDING": "running",
    "COMPLETED": "done",
    "FAILED": "failed",
    "SUBMISSION_FAILED": "pending",  # tried again, as often as the job says
    "FAILING": "pending",
    "PENDING_RERUN": "pending",
    "INVALIDATING": "pending",
}


def check(job: JobFile) -> None:
    """Raises RecipeError; among others for a secret that Spark would write down."""
    check_spark(job)


def render(job: JobFile, prepared: Prepared) -> dict[str, str]:
    """The driver script, and what hands it over."""
    files = {DRIVER_FILE: driver_source()}
    if job.engine.master == OPERATOR:
        application = spark_application(job, _name(prepared), prepared.folder, _driver_arguments(prepared))
        return files | {APPLICATION: manifest_text(application)}
    variables = job.environment.variables
    return files | {SCRIPT: local_process.script(spark_submit(job, prepared), job.environment.setup, variables)}


def spark_submit(job: JobFile, prepared: Prepared) -> list[str]:
    """The whole command. No value of a secret is in it."""
    beside = Path(prepared.python).with_name("spark-submit")  # pip's pyspark; a cluster's own is on the PATH
    command = [
        str(beside) if beside.exists() else beside.name,
        "--name",
        prepared.name,
        "--deploy-mode",
        deploy_mode(job),
    ]
    if job.engine.master is not None:
        command += ["--master", job.engine.master]
    if archives(job):
        command += ["--archives", ",".join(archives(job))]
    for key, value in submit_conf(job, _name(prepared)).items():
        command += ["--conf", f"{key}={value}"]
    return [*command, driver_file(job, prepared.folder), *_driver_arguments(prepared)]


def commands(job: JobFile, prepared: Prepared) -> list[list[str]]:
    if job.engine.master == OPERATOR:
        return [_create(job, prepared.folder / APPLICATION)]
    return [spark_submit(job, prepared)]


def submit(job: JobFile, prepared: Prepared) -> Iterator[Part]:
    """In client mode the run goes on in the background of this machine; its log is in the folder."""
    script = prepared.folder / SCRIPT
    if job.engine.master == OPERATOR:
        kubectl(["create", "--filename", str(prepared.folder / APPLICATION)], job.resources.namespace)
        yield _part(APPLICATIONS, part_id(job.resources.namespace, _name(prepared)))
    elif deploy_mode(job) == "client":
        yield _part(PROCESS, local_process.start(script, prepared.folder / LOGS / LOG, _surroundings(prepared)))
    else:
        said = _handed_over(script, prepared.folder / LOGS / "spark-submit.log", _surroundings(prepared))
        if is_kubernetes(job):
            yield _part(POD, part_id(job.resources.namespace, _name(prepared)))
        elif application := re.search(r"\bapplication_\d+_\d+\b", said):
            yield _part(YARN, application[0])
        else:
            raise EngineError(f"{script}: said no application's id; look at {prepared.folder / LOGS}")


def status(parts: Sequence[Part], facts: Mapping[str, Any]) -> list[PartStatus]:
    told = []
    for part in parts:
        state, detail = _state(part, Path(facts["folder"]))
        told.append(PartStatus(part=part, counts={state: 1}, detail=detail))
    return told


def cancel(parts: Sequence[Part], facts: Mapping[str, Any]) -> list[Part]:
    """What is finished of the run stays; a new submission goes on from there."""
    ended = []
    for part in parts:
        state, _ = _state(part, Path(facts["folder"]))
        kind, place = _kind(part)
        elsewhere = kind == PROCESS and state == "unknown"  # `stop` says where it must be asked
        if state not in ("pending", "running") and not elsewhere:
            continue
        if kind == PROCESS:
            local_process.stop(place.id)
        elif kind == YARN:
            _yarn(["application", "-kill", place.id])
        else:
            name, namespace = part_named(place)
            kubectl(["delete", kind, name, "--ignore-not-found", "--wait=false"], namespace)
        ended.append(part)
    return ended


def logs(parts: Sequence[Part], facts: Mapping[str, Any], station: int | None, failed: bool) -> list[Log]:
    """The driver's. It goes through all stations, so `station` leaves out none."""
    told = []
    for part in parts:
        state, _ = _state(part, Path(facts["folder"]))
        if failed and state != "failed":
            continue
        kind, place = _kind(part)
        if kind == PROCESS:
            text = (Path(facts["folder"]) / LOGS / LOG).read_text(encoding="utf-8", errors="replace")
        elif kind == YARN:
            text = _yarn(["logs", "-applicationId", place.id])
        else:
            name, namespace = part_named(place)
            text = kubectl(["logs", name if kind == POD else f"{name}-driver"], namespace)
        told.append(Log(part=part, element="driver", state=state, text=text))
    return told


def render_schedule(job: JobFile, job_file: Path, folder: Path) -> dict[str, str]:
    """A ScheduledSparkApplication whose driver fires the job file where it lies, on a volume of the pods."""
    if job.engine.master != OPERATOR:
        raise RecipeError(
            f"engine.master: {job.engine.master}; spark-submit has no schedule: fire this job by cron, scrontab or "
            f"Airflow, or say `master: {OPERATOR}`"
        )
    check_spark(job)
    check_reachable(job, {"the job file": str(job_file)})
    application = scheduled_application(job, dns_name(job.name), folder, ["fire", str(job_file)])
    return {DRIVER_FILE: driver_source(), SCHEDULED: manifest_text(application)}


def schedule_commands(job: JobFile, folder: Path) -> list[list[str]]:
    return [kubectl_command(["apply", "--filename", str(folder / SCHEDULED)], job.resources.namespace)]


def schedule(job: JobFile, folder: Path) -> list[Part]:
    """It is changed in place. Raises RecipeError where one of this name fires another job file."""
    there = found("scheduledsparkapplication", dns_name(job.name), job.resources.namespace)
    wanted = yaml.safe_load((folder / SCHEDULED).read_text(encoding="utf-8"))
    if there is not None and (fired := _fires(there)) != _fires(wanted):
        raise RecipeError(
            f"scheduledsparkapplication {dns_name(job.name)}: fires {fired or 'something else'}; cancel that job's "
            "schedule, or give this one another name"
        )
    kubectl(["apply", "--filename", str(folder / SCHEDULED)], job.resources.namespace)
    return [Part(name="schedule", id=part_id(job.resources.namespace, dns_name(job.name)))]


def unschedule(folder: Path, parts: Sequence[Part]) -> list[Part]:
    """The operator ends a firing that is at work with it; the next schedule finishes that one first."""
    there = [part for part in parts if found("scheduledsparkapplication", *part_named(part)) is not None]
    for part in there:
        name, namespace = part_named(part)
        kubectl(["delete", "scheduledsparkapplication", name], namespace)
    return there


def _fires(application: Mapping[str, Any]) -> str | None:
    """The job file that a ScheduledSparkApplication fires."""
    arguments = application.get("spec", {}).get("template", {}).get("arguments", [])
    return arguments[1] if arguments[:1] == ["fire"] and len(arguments) > 1 else None


def _driver_arguments(prepared: Prepared) -> list[str]:
    return ["work", str(prepared.folder), "--engine", "spark"]


def _name(prepared: Prepared) -> str:
    return dns_name(prepared.name, distinct=str(prepared.folder))


def _create(job: JobFile, manifest: Path) -> list[str]:
    return kubectl_command(["create", "--filename", str(manifest)], job.resources.namespace)


def _part(kind: str, place: str) -> Part:
    return Part(name="driver", id=f"{kind}:{place}")


def _kind(part: Part) -> tuple[str, Part]:
    """What kind of thing it is, and the part with its bare id."""
    kind, _, place = part.id.partition(":")
    return kind, Part(name=part.name, id=place)


def _surroundings(prepared: Prepared) -> dict[str, str]:
    """Variables for spark-submit: which Java it starts, and by which Python pip's one finds its own Spark."""
    found = {"PYSPARK_PYTHON": prepared.python} if _beside(prepared).exists() else {}
    try:
        return found | {"JAVA_HOME": java_home(os.environ, prepared.folder)}
    except RecipeError:  # none here; a line of `setup` may bring one
        return found


def _beside(prepared: Prepared) -> Path:
    return Path(prepared.python).with_name("spark-submit")


def _handed_over(script: Path, log: Path, variables: Mapping[str, str]) -> str:
    """Run the script to its end; what it said. Raises EngineError if spark-submit failed."""
    try:
        result = subprocess.run(
            ["bash", str(script)],
            cwd=script.parent,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=SUBMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{script}: not through after {SUBMIT_S} s; look at the cluster") from error
    said = result.stdout.decode(errors="replace")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(said, encoding="utf-8")
    code = local_process.exit_code(script.parent)
    if code != 0:
        last = said.strip().rpartition("\n")[2]
        raise EngineError(f"{script}: exit code {code}: {last}; all of it is in {log}")
    return said


def _state(part: Part, folder: Path) -> tuple[State, str]:
    kind, place = _kind(part)
    if kind == PROCESS:
        return local_process.state_of(place.id, folder)
    if kind == YARN:
        said = _yarn(["application", "-status", place.id])
        fields = dict(re.findall(r"^\s*(State|Final-State|Diagnostics)\s*:\s*(.*?)\s*$", said, re.MULTILINE))
        state = fields.get("State", "") if fields.get("State") == "RUNNING" else fields.get("Final-State", "")
        return YARN_STATES.get(state, "unknown"), fields.get("Diagnostics", "")
    content = found(kind, *part_named(place))
    if content is None:
        return "unknown", f"no such {kind}: cancelled, or cleaned up"
    said = content.get("status", {})
    if kind == POD:
        return POD_STATES.get(said.get("phase", ""), "unknown"), said.get("message", "")
    application = said.get("applicationState", {})
    return OPERATOR_STATES.get(application.get("state", ""), "unknown"), application.get("errorMessage", "")


def _yarn(arguments: list[str]) -> str:
    command = ["yarn", *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{' '.join(command)}: {error}; run it where YARN's commands are") from error
    if result.returncode != 0:
        raise EngineError(f"{' '.join(command)}: exit code {result.returncode}: {' '.join(result.stderr.split())}")
    return result.stdout
