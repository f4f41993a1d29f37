"""What every pod of ours shares: its environment, its secrets by reference, its volumes, what it asks for.

Kubernetes reads `$(NAME)` in arguments and in values of variables; what comes from a job file is kept from that.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

import yaml

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.job_file import JobFile, Secret
from tokenmill.jobs.prepared import Part, StationResources

CONTAINER = "tokenmill"
LABEL = "app.kubernetes.io/"
GRACE_S = 60  # from SIGTERM to SIGKILL: no task waits longer before it looks; Kubernetes gives 30 by default

# Who must act decides what a failed pod means: 2 and 3 come again however often it is tried.
FAILURE_POLICY: dict[str, Any] = {
    "rules": [
        {"action": "FailJob", "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [2, 3]}},
        # Drained, preempted, out of its time: it left receipts behind, and this is no fault of the work.
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "Ignore", "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [143]}},
    ]
}


def pod_template(job: JobFile, arguments: list[str], resources: StationResources) -> dict[str, Any]:
    """A pod that runs `arguments` behind the interpreter. `arguments` go through Kubernetes: see `plain`."""
    command = [plain(job.environment.python or "python3"), *arguments]
    if job.environment.setup:
        script = "\n".join(["set -e", *job.environment.setup, 'exec "$@"'])
        command = ["bash", "-c", plain(script), CONTAINER, *command]
    container = {
        "name": CONTAINER,
        "image": job.resources.image,
        "command": command,
        "env": environment(job),
        "resources": _quantities(resources),
        "volumeMounts": volume_mounts(job),
    }
    spec: dict[str, Any] = {
        "restartPolicy": "Never",  # a new pod each time: what FAILURE_POLICY demands
        "terminationGracePeriodSeconds": GRACE_S,
        "containers": [{key: value for key, value in container.items() if value}],
    }
    if job.resources.service_account:
        spec["serviceAccountName"] = job.resources.service_account
    else:
        spec["automountServiceAccountToken"] = False  # without an account it has nothing to ask Kubernetes
    if resources.time_s is not None:
        spec["activeDeadlineSeconds"] = resources.time_s  # of the pod: SIGTERM, and another goes on
    if job.resources.volumes:
        spec["volumes"] = volumes(job)
    return {"metadata": {"labels": labels(job)}, "spec": spec}


def plain(text: str) -> str:
    """`text` as it must be written to arrive unchanged."""
    return text.replace("$", "$$")


def environment(job: JobFile) -> list[dict[str, Any]]:
    """Variables by value, secrets by reference. A bare name is a key of the Kubernetes secret called like the job."""
    variables: list[dict[str, Any]] = [
        {"name": name, "value": plain(value)} for name, value in job.environment.variables.items()
    ]
    for secret in job.environment.secrets:
        name, key = secret_reference(job, secret)
        variables.append({"name": secret.variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}})
    return variables


def secret_reference(job: JobFile, secret: Secret) -> tuple[str, str]:
    """(name, key) of the Kubernetes secret."""
    return secret.name or dns_name(job.name), secret.key or secret.variable


def volumes(job: JobFile) -> list[dict[str, Any]]:
    claims = {volume.claim: f"volume-{n}" for n, volume in enumerate(job.resources.volumes)}
    return [{"name": name, "persistentVolumeClaim": {"claimName": claim}} for claim, name in claims.items()]


def volume_mounts(job: JobFile) -> list[dict[str, Any]]:
    claims = {volume.claim: f"volume-{n}" for n, volume in enumerate(job.resources.volumes)}
    return [{"name": claims[volume.claim], "mountPath": volume.path} for volume in job.resources.volumes]


def labels(job: JobFile) -> dict[str, str]:
    return {LABEL + "name": "tokenmill", LABEL + "instance": dns_name(job.name)}


def dns_name(text: str, *, at_most: int = 52, distinct: str = "") -> str:
    """A name that Kubernetes takes: a-z, 0-9 and -, at most `at_most` long.

    A short hash follows where something was lost, or of `distinct`. 52 is a CronJob's limit, the narrowest.
    """
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    name = name if name[:1].isalpha() else f"t-{name}"  # a secret may begin with a digit, a Job's service may not
    if name != text or len(name) > at_most or distinct:
        digest = hashlib.sha256(f"{text}\n{distinct}".encode()).hexdigest()[:8]
        name = f"{name[: at_most - 9].rstrip('-')}-{digest}"
    return name


def usual_resources(job: JobFile) -> StationResources:
    """What the job asks for where no step asks for more."""
    asked = job.resources
    return StationResources(
        cpus=asked.cpus,
        memory_bytes=asked.memory,
        time_s=asked.time,
        gpus=asked.gpus,
        partition=asked.partition,
        account=asked.account,
    )


def part_id(namespace: str | None, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def part_named(part: Part) -> tuple[str, str | None]:
    """Its name and namespace."""
    namespace, _, name = part.id.rpartition("/")
    return name, namespace or None


def check_reachable(job: JobFile, places: dict[str, str]) -> None:
    """Raises RecipeError for a place that no pod would see: neither a URL nor below a volume's path."""
    mounts = [Path(volume.path) for volume in job.resources.volumes]
    for what, place in places.items():
        if "://" not in place and not any(Path(place).is_relative_to(mount) for mount in mounts):
            raise RecipeError(
                f"{what}: no pod sees {place}; put it on an object store, or below the `path` of one of "
                f"resources.volumes ({', '.join(map(str, mounts)) or 'this job has none'})"
            )


def check_image(job: JobFile) -> None:
    if job.resources.image is None:
        raise RecipeError("resources.image: a pod needs one; give an image that holds tokenmill and its Python")


def manifest_text(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def _quantities(resources: StationResources) -> dict[str, dict[str, str]]:
    """Memory is asked for in full: a pod over its request is killed as soon as its node is short of memory."""
    requests, limits = {"cpu": str(resources.cpus)}, {}
    if resources.memory_bytes is not None:
        requests["memory"] = limits["memory"] = str(resources.memory_bytes)
    if resources.gpus:
        requests["nvidia.com/gpu"] = limits["nvidia.com/gpu"] = str(resources.gpus)
    return {"requests": requests} | ({"limits": limits} if limits else {})
