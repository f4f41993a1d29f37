"""`--to kubernetes`: Indexed Jobs whose pods go through the run's stations in step; a CronJob for a schedule.

One Job for each kind of pod that the stations ask for. Pod 0 of the first closes every station, and does alone what is
one task only. A further Job, of pods with GPUs say, does its own stations and closes none. Any pod may die and come
back: receipts are the checkpoint. Exit codes 2 and 3 end a Job; 4 is tried again, `retries` times for each pod; a pod
that was told to stop (143) counts for nothing, unless that happens more than `retries` times in a row before one task
is done: a `time` too short for any task would go on for ever. One that hears nothing of the others for hours ends (4).

Needs Kubernetes 1.33: backoffLimitPerIndex, podFailurePolicy and successPolicy are stable there. The pods' folder, OUT
and sources are URLs or lie on resources.volumes, which the submitter sees at the same paths.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.job_file import ENDPOINT, JobFile
from tokenmill.jobs.kubectl import found, kubectl, kubectl_command
from tokenmill.jobs.kubernetes_pod import (
    FAILURE_POLICY,
    check_image,
    check_reachable,
    dns_name,
    labels,
    manifest_text,
    part_id,
    part_named,
    plain,
    pod_template,
    usual_resources,
)
from tokenmill.jobs.prepare import ALONE
from tokenmill.jobs.prepared import Log, Part, PartStatus, Prepared, PreparedStation, State, StationResources
from tokenmill.jobs.unused_keys import CRON_JOB, KUBERNETES, check_keys

KEPT_S = 7 * 24 * 3600  # a finished Job with its pods' logs: long enough for who comes back on Monday
INDEX = "$(JOB_COMPLETION_INDEX)"  # Kubernetes puts the pod's own number there
MANIFEST = "kubernetes-{}.yaml"
PHASES: dict[str, State] = {"Pending": "pending", "Running": "running", "Succeeded": "done", "Failed": "failed"}


def check(job: JobFile) -> None:
    """Raises RecipeError for what pods cannot see or do. Whether kubectl is here is asked by who calls it."""
    check_image(job)
    check_keys(job, KUBERNETES if job.schedule is None else CRON_JOB)
    if job.engine.name != "local":
        raise RecipeError(f"engine.name: {job.engine.name}; pods work with the engine local; leave it out")
    places = {"state": job.state, "out": job.out} | {f"against: {run}": run for run in job.against}
    if job.schedule is None:
        told = {"metrics.prometheus": job.metrics.prometheus, "metrics.openlineage": job.metrics.openlineage}
        places |= {key: place for key, place in told.items() if place is not None and not ENDPOINT.fullmatch(place)}
    file = job.recipe.rpartition(":")[0]
    check_reachable(job, places | {s.argument: s.path for s in job.sources} | ({"recipe": file} if file else {}))


def render(job: JobFile, prepared: Prepared) -> dict[str, str]:
    """A manifest for each kind of pod."""
    return {MANIFEST.format(n): manifest_text(content) for n, content in enumerate(manifests(job, prepared))}


def manifests(job: JobFile, prepared: Prepared) -> list[dict[str, Any]]:
    """Of the Jobs; the first is the one whose pod 0 closes the stations."""
    return [
        _indexed_job(job, prepared, number, resources, stations)
        for number, (resources, stations) in enumerate(_kinds_of_pod(job, prepared).items())
    ]


def commands(job: JobFile, prepared: Prepared) -> list[list[str]]:
    return [_create(job, prepared.folder / name) for name in render(job, prepared)]


def submit(job: JobFile, prepared: Prepared) -> Iterator[Part]:
    """Not `kubectl apply`: it would take a finished Job of the same name for this one, and start nothing."""
    namespace = job.resources.namespace
    for n, content in enumerate(manifests(job, prepared)):
        kubectl(["create", "--filename", str(prepared.folder / MANIFEST.format(n))], namespace)
        yield Part(
            name="pods" if n == 0 else f"pods that close nothing, {n}",
            id=part_id(namespace, content["metadata"]["name"]),
        )


def status(parts: Sequence[Part], facts: Mapping[str, Any]) -> list[PartStatus]:
    return [_status(part, found("job", *part_named(part))) for part in parts]


def cancel(parts: Sequence[Part], facts: Mapping[str, Any]) -> list[Part]:
    """A cancelled Job is gone, and its logs with it; what its pods finished stays, and a new submission goes on."""
    ended = []
    for part in parts:
        name, namespace = part_named(part)
        content = found("job", name, namespace)
        if content is None:
            continue
        counts = _status(part, content).counts
        kubectl(["delete", "job", name, "--ignore-not-found", "--wait=false"], namespace)
        if counts.get("pending") or counts.get("running"):
            ended.append(part)
    return ended


def logs(parts: Sequence[Part], facts: Mapping[str, Any], station: int | None, failed: bool) -> list[Log]:
    """Of every pod that is still there. A pod goes through many stations, so `station` leaves out none."""
    told = []
    for part in parts:
        name, namespace = part_named(part)
        listed = kubectl(["get", "pods", "--selector", f"batch.kubernetes.io/job-name={name}", "-o", "json"], namespace)
        for pod in json.loads(listed)["items"]:
            state = PHASES.get(pod["status"].get("phase", ""), "unknown")
            if state == "pending" or (failed and state != "failed"):
                continue
            index = pod["metadata"].get("labels", {}).get("batch.kubernetes.io/job-completion-index", "")
            text = kubectl(["logs", pod["metadata"]["name"]], namespace)
            told.append(Log(part=part, element=index, state=state, text=text))
    return told


def render_schedule(job: JobFile, job_file: Path, folder: Path) -> dict[str, str]:
    """A CronJob that fires the job file where it lies, on a volume of the pods."""
    return {"cronjob.yaml": manifest_text(cron_job(job, job_file))}


def cron_job(job: JobFile, job_file: Path) -> dict[str, Any]:
    """One firing at a time, one pod each, with the resources of the job."""
    if job.schedule is None:
        raise RecipeError(f"{job_file}: no `schedule`, so there is nothing that a CronJob could fire")
    check(job)
    check_reachable(job, {"the job file": str(job_file)})
    arguments = [plain(word) for word in ("-m", "tokenmill.jobs", "fire", str(job_file))]
    spec = {
        "backoffLimit": job.retries,
        "podFailurePolicy": FAILURE_POLICY,
        "template": pod_template(job, arguments, usual_resources(job)),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": dns_name(job.name), "labels": labels(job)},
        "spec": {
            "schedule": job.schedule.cron,
            "timeZone": job.schedule.timezone,
            "concurrencyPolicy": "Forbid",  # a firing waits for none, and `fire` catches up with what was left out
            # Behind 100 missed starts Kubernetes gives up for good; it counts only those within this time.
            "startingDeadlineSeconds": 3600,
            "jobTemplate": {"spec": spec},
        },
    }


def schedule_commands(job: JobFile, folder: Path) -> list[list[str]]:
    return [kubectl_command(["apply", "--filename", str(folder / "cronjob.yaml")], job.resources.namespace)]


def schedule(job: JobFile, folder: Path) -> list[Part]:
    """A CronJob is changed in place: it is the job's one schedule.

    Raises RecipeError where one of this name fires another job file.
    """
    namespace = job.resources.namespace
    there = found("cronjob", dns_name(job.name), namespace)
    wanted = yaml.safe_load((folder / "cronjob.yaml").read_text(encoding="utf-8"))
    if there is not None and (fired := _fires(there)) != _fires(wanted):
        raise RecipeError(
            f"cronjob {dns_name(job.name)}: fires {fired or 'something else'}; cancel that job's schedule, or give "
            "this one another name"
        )
    kubectl(["apply", "--filename", str(folder / "cronjob.yaml")], namespace)
    return [Part(name="schedule", id=part_id(namespace, dns_name(job.name)))]


def unschedule(folder: Path, parts: Sequence[Part]) -> list[Part]:
    """A firing that is at work goes on to its end."""
    there = [part for part in parts if found("cronjob", *part_named(part)) is not None]
    for part in there:
        name, namespace = part_named(part)
        kubectl(["delete", "cronjob", name, "--cascade=orphan"], namespace)
    return there


def _fires(cron_job: Mapping[str, Any]) -> str | None:
    """The job file that a CronJob fires, as it stands in the pod's command."""
    try:
        pod = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        command: list[str] = pod["containers"][0]["command"]
        return command[command.index("fire") + 1]
    except (LookupError, TypeError, ValueError):
        return None


def _kinds_of_pod(job: JobFile, prepared: Prepared) -> dict[StationResources, list[PreparedStation]]:
    """Which stations want the same pods. First those of the pod that closes, which does alone what cannot be shared."""
    usual = usual_resources(job)
    alone = [station.resources for station in prepared.stations if station.kind in ALONE]
    closing = replace(
        usual,
        cpus=max([usual.cpus, *(r.cpus for r in alone)]),
        memory_bytes=max((n for n in (usual.memory_bytes, *(r.memory_bytes for r in alone)) if n), default=None),
        time_s=max((n for n in (usual.time_s, *(r.time_s for r in alone)) if n), default=None),
    )
    kinds: dict[StationResources, list[PreparedStation]] = {_of_pod(closing): []}
    for station in prepared.stations:
        kinds.setdefault(_of_pod(closing if station.kind in ALONE else station.resources), []).append(station)
    return kinds


def _of_pod(resources: StationResources) -> StationResources:
    """Partitions and accounts are Slurm's."""
    return replace(resources, partition=None, account=None)


def _indexed_job(
    job: JobFile, prepared: Prepared, number: int, resources: StationResources, stations: list[PreparedStation]
) -> dict[str, Any]:
    # All pods of a Job run side by side: they go in step, so one that waited for its turn would be waited for.
    pods = max([1, *(station.elements for station in stations)])
    pods = min(pods, job.resources.at_once or pods)
    arguments = [INDEX if word == INDEX else plain(word) for word in prepared.work_arguments(INDEX, pods)]
    arguments += ["--workers", str(job.engine.workers or resources.cpus), "--retries", str(job.retries)]
    if len(stations) < len(prepared.stations):
        arguments += ["--stations", ",".join(str(station.number) for station in stations)]
    first = number == 0
    if not first:
        arguments.append("--no-closing")
    spec: dict[str, Any] = {
        "completionMode": "Indexed",
        "completions": pods,
        "parallelism": pods,
        "backoffLimitPerIndex": job.retries,
        "maxFailedIndexes": 0,  # pod 0 would be waited for for ever; a new submission goes on from the receipts
        "podFailurePolicy": FAILURE_POLICY,
        "ttlSecondsAfterFinished": KEPT_S,
        "template": pod_template(job, arguments, resources),
    }
    if first:  # pod 0 writes the manifest: when it is through, there is nothing left for any other
        spec["successPolicy"] = {"rules": [{"succeededIndexes": "0"}]}
    name = dns_name(f"{prepared.name}-{number}", distinct=str(prepared.folder))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels(job)},
        "spec": spec,
    }


def _status(part: Part, content: dict[str, Any] | None) -> PartStatus:
    if content is None:
        return PartStatus(part=part, counts={"unknown": 1}, detail="no such Job: cancelled, or finished a week ago")
    said = content.get("status", {})
    pods = content["spec"].get("completions", 1)
    ends = {c["type"]: c for c in said.get("conditions", []) if c.get("status") == "True"}
    done = said.get("succeeded", 0)
    if "Complete" in ends or "SuccessCriteriaMet" in ends:
        return PartStatus(part=part, counts={"done": pods})
    for end in ("Failed", "FailureTarget"):
        if end in ends:
            detail = ": ".join(filter(None, (ends[end].get("reason"), ends[end].get("message"))))
            return PartStatus(part=part, counts=_some(done=done, failed=pods - done), detail=detail)
    running = min(said.get("ready", 0), pods - done)
    detail = "suspended" if "Suspended" in ends else ""
    return PartStatus(part=part, counts=_some(done=done, running=running, pending=pods - done - running), detail=detail)


def _some(**counts: int) -> dict[State, int]:
    return {state: n for state, n in counts.items() if n > 0}  # type: ignore[misc]  # keywords are States


def _create(job: JobFile, manifest: Path) -> list[str]:
    return kubectl_command(["create", "--filename", str(manifest)], job.resources.namespace)
