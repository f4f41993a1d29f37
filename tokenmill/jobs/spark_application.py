"""A SparkApplication, and a ScheduledSparkApplication, for Kubeflow's Spark operator (sparkoperator.k8s.io/v1beta2)."""

from importlib import metadata
from pathlib import Path
from typing import Any

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.job_file import JobFile
from tokenmill.jobs.kubernetes_pod import environment, labels, volume_mounts, volumes
from tokenmill.jobs.spark_conf import (
    archives,
    driver_file,
    executor_cpus,
    executor_gpus,
    executor_memory,
    executors,
    python_conf,
)

API = "sparkoperator.k8s.io/v1beta2"
RETRY_AFTER_S = 60


def spark_application(job: JobFile, name: str, folder: Path, arguments: list[str]) -> dict[str, Any]:
    """One run of the driver script, which lies in `folder`, with `arguments`."""
    return {
        "apiVersion": API,
        "kind": "SparkApplication",
        "metadata": {"name": name, "labels": labels(job)},
        "spec": application_spec(job, folder, arguments),
    }


def application_spec(job: JobFile, folder: Path, arguments: list[str]) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "type": "Python",
        "pythonVersion": "3",
        "mode": "cluster",
        "sparkVersion": spark_version(),
        "image": job.resources.image,
        "mainApplicationFile": driver_file(job, folder),
        "arguments": arguments,
        "sparkConf": {
            "spark.task.maxFailures": str(job.retries + 1),
            **python_conf(job),
            **job.engine.conf,
        },
        "restartPolicy": _restart_policy(job),
        "driver": _driver(job),
        "executor": _executor(job),
    }
    if archives(job):
        spec["deps"] = {"archives": archives(job)}
    if job.resources.volumes:
        spec["volumes"] = volumes(job)
    return spec


def scheduled_application(job: JobFile, name: str, folder: Path, arguments: list[str]) -> dict[str, Any]:
    """Fires as often as the job file says; what is due is decided by `arguments` (`fire`), in the driver."""
    if job.schedule is None:
        raise RecipeError(f"{job.name}: no `schedule`, so there is nothing that a ScheduledSparkApplication could fire")
    return {
        "apiVersion": API,
        "kind": "ScheduledSparkApplication",
        "metadata": {"name": name, "labels": labels(job)},
        "spec": {
            "schedule": job.schedule.cron,
            "timeZone": job.schedule.timezone,
            "concurrencyPolicy": "Forbid",
            "template": application_spec(job, folder, arguments),
        },
    }


def spark_version() -> str:
    """Of the pyspark here, which is what the image should hold."""
    try:
        return metadata.version("pyspark")
    except metadata.PackageNotFoundError as error:
        raise RecipeError(
            "a SparkApplication says its version of Spark; install tokenmill[spark] in the image's version here"
        ) from error


def _restart_policy(job: JobFile) -> dict[str, Any]:
    """A driver that died is started again, and goes on from the receipts."""
    if not job.retries:
        return {"type": "Never"}
    return {
        "type": "OnFailure",
        "onFailureRetries": job.retries,
        "onFailureRetryInterval": RETRY_AFTER_S,
        "onSubmissionFailureRetries": job.retries,
        "onSubmissionFailureRetryInterval": RETRY_AFTER_S,
    }


def _driver(job: JobFile) -> dict[str, Any]:
    driver: dict[str, Any] = {"cores": 1, "labels": labels(job)}
    if job.resources.service_account:
        driver["serviceAccount"] = job.resources.service_account
    return driver | _pod(job)


def _executor(job: JobFile) -> dict[str, Any]:
    executor: dict[str, Any] = {"cores": executor_cpus(job), "labels": labels(job)}
    memory, gpus, n = executor_memory(job), executor_gpus(job), executors(job)
    if n is not None:
        executor["instances"] = n
    if memory is not None:
        executor |= {"memory": f"{memory[0]}m", "memoryOverhead": f"{memory[1]}m"}
    if gpus:
        executor["gpu"] = {"name": "nvidia.com/gpu", "quantity": gpus}
    return executor | _pod(job)


def _pod(job: JobFile) -> dict[str, Any]:
    found = {"env": environment(job), "volumeMounts": volume_mounts(job)}
    return {key: value for key, value in found.items() if value}
