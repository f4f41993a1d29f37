"""A job's resources, environment and secrets as Spark's own settings.

Spark has one kind of executor for all stations, so the largest request counts. Text stays out of the JVM, in Python
workers: of an executor's memory the heap gets two fifths, for the narrow rows that are shuffled, and the rest is
overhead. A secret is only ever a reference (`secretKeyRef`): Spark writes its settings into event logs, and shows them.
"""

import os
import sys
from pathlib import Path

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.job_file import JobFile
from tokenmill.jobs.kubernetes_pod import check_image, check_reachable, secret_reference
from tokenmill.jobs.unused_keys import SPARK_LOCAL, SPARK_OTHER, SPARK_PODS, SPARK_SCHEDULED, SPARK_YARN, check_keys

OPERATOR = "operator"  # `master` of a job that goes to Kubeflow's operator
HEAP_SHARE = 0.4  # Spark's own: 0.71, for a Python job on Kubernetes (overhead factor 0.4)
LEAST_BYTES = 2 * 2**30  # 800 MiB of heap; Spark refuses less than 450
UNPACKED = "environment"  # where the archive is, in the working folder of driver and executors
DRIVER_FILE = "spark_driver.py"
UPLOADS = "spark.kubernetes.file.upload.path"


def is_kubernetes(job: JobFile) -> bool:
    return job.engine.master == OPERATOR or (job.engine.master or "").startswith("k8s://")


def is_local(job: JobFile) -> bool:
    return (job.engine.master or "").startswith("local")


def deploy_mode(job: JobFile) -> str:
    """As asked; else `cluster` where Spark can run a Python driver itself (YARN, Kubernetes)."""
    usual = "cluster" if is_kubernetes(job) or job.engine.master == "yarn" else "client"
    return job.engine.deploy_mode or usual


def check_spark(job: JobFile) -> None:
    """Raises RecipeError for what Spark cannot do, or only by writing a secret down."""
    engine = job.engine
    if engine.name != "spark":
        raise RecipeError(f"engine.name: {engine.name}; say `engine: {{name: spark, master: ...}}`")
    if engine.master == OPERATOR and engine.deploy_mode == "client":
        raise RecipeError("engine.deploy_mode: client; the operator runs drivers in the cluster; leave it out")
    check_keys(job, _place(job))
    if deploy_mode(job) == "cluster" and not is_kubernetes(job) and engine.master not in (None, "yarn"):
        raise RecipeError(f"engine.deploy_mode: cluster; {engine.master} takes no Python driver; leave it out")
    if job.resources.memory is not None and job.resources.memory < LEAST_BYTES:
        raise RecipeError(f"resources.memory: {job.resources.memory:,} bytes; an executor wants 2GiB or more")
    if job.environment.secrets and not (is_kubernetes(job) or is_local(job)):
        names = ", ".join(secret.variable for secret in job.environment.secrets)
        raise RecipeError(
            f"environment.secrets: {engine.master or 'this master'} would write {names} into settings and event logs; "
            "set them on the cluster's own nodes (spark-env.sh, a role of the machines), and leave them out here"
        )
    for secret in job.environment.secrets:
        if is_local(job) and secret.variable not in os.environ:
            raise RecipeError(
                f"environment.secrets: {secret.variable} is not set here, where the driver runs; export it"
            )
    archive = job.environment.archive
    if is_kubernetes(job) and archive and "://" not in archive and UPLOADS not in engine.conf:
        raise RecipeError(
            f"environment.archive: {archive} is not seen by pods; give a URL, or {UPLOADS} in engine.conf, or leave it "
            "out and let the image hold the environment"
        )
    if is_kubernetes(job):
        check_image(job)
        places = {"state": job.state, "out": job.out} | {f"against: {run}": run for run in job.against}
        check_reachable(job, places | {source.argument: source.path for source in job.sources})


def _place(job: JobFile) -> str:
    """As `unused_keys` calls it."""
    if is_kubernetes(job):
        return SPARK_PODS if job.schedule is None else SPARK_SCHEDULED
    if is_local(job):
        return SPARK_LOCAL
    return SPARK_YARN if job.engine.master == "yarn" and deploy_mode(job) == "cluster" else SPARK_OTHER


def executor_memory(job: JobFile) -> tuple[int, int] | None:
    """Heap and overhead of an executor in MiB; None where the job says nothing."""
    asked = [job.resources.memory, *(step.memory for step in job.resources.steps.values())]
    largest = max((n for n in asked if n is not None), default=None)
    if largest is None:
        return None
    heap = int(largest * HEAP_SHARE) // 2**20
    return heap, largest // 2**20 - heap


def executor_cpus(job: JobFile) -> int:
    return max([job.resources.cpus, *(step.cpus or 1 for step in job.resources.steps.values())])


def executor_gpus(job: JobFile) -> int:
    return max([job.resources.gpus, *(step.gpus for step in job.resources.steps.values())])


def executors(job: JobFile) -> int | None:
    """How many; None leaves it to the cluster's own settings."""
    counts = [n for n in (job.resources.tasks, job.resources.at_once) if n is not None]
    return min(counts) if counts else None


def python_conf(job: JobFile) -> dict[str, str]:
    """Which Python runs driver and executors: the one in the archive, in the image, or on every node."""
    python = job.environment.python or sys.executable
    if job.environment.archive is not None:
        conf = {"spark.pyspark.python": f"./{UNPACKED}/bin/python"}
        return conf if deploy_mode(job) == "cluster" else conf | {"spark.pyspark.driver.python": python}
    if is_kubernetes(job):
        return {"spark.pyspark.python": job.environment.python or "python3"}
    return {"spark.pyspark.python": python}


def archives(job: JobFile) -> list[str]:
    """A packed environment (venv-pack, conda-pack), unpacked under the name that `python_conf` says."""
    return [] if job.environment.archive is None else [f"{job.environment.archive}#{UNPACKED}"]


def submit_conf(job: JobFile, driver_pod: str) -> dict[str, str]:
    """`--conf` of spark-submit. What the job file says under engine.conf has the last word."""
    conf = {"spark.task.maxFailures": str(job.retries + 1), **python_conf(job)}
    if not is_local(job):
        conf |= _executor_conf(job)
        conf |= {f"spark.executorEnv.{name}": value for name, value in job.environment.variables.items()}
    cluster = deploy_mode(job) == "cluster"
    if job.engine.master == "yarn" and cluster:
        conf["spark.yarn.submit.waitAppCompletion"] = "false"
        conf |= {f"spark.yarn.appMasterEnv.{name}": value for name, value in job.environment.variables.items()}
    if is_kubernetes(job):
        conf |= _kubernetes_conf(job)
    if is_kubernetes(job) and cluster:
        conf["spark.kubernetes.submission.waitAppCompletion"] = "false"
        conf["spark.kubernetes.driver.pod.name"] = driver_pod
        conf |= {f"spark.kubernetes.driverEnv.{name}": value for name, value in job.environment.variables.items()}
    return conf | job.engine.conf


def driver_file(job: JobFile, folder: Path) -> str:
    """`local://`: the driver's pod has the file already, on the volume that holds the job's folder."""
    file = folder / DRIVER_FILE
    return f"local://{file}" if is_kubernetes(job) and deploy_mode(job) == "cluster" else str(file)


def driver_source() -> str:
    """The driver script. It is written beside the plan, since no one knows where an image keeps its packages."""
    return Path(__file__).with_name("spark_driver.py").read_text(encoding="utf-8")


def _executor_conf(job: JobFile) -> dict[str, str]:
    cpus, gpus, n = executor_cpus(job), executor_gpus(job), executors(job)
    conf = {"spark.executor.cores": str(cpus)}
    memory = executor_memory(job)
    if memory is not None:
        conf |= {"spark.executor.memory": f"{memory[0]}m", "spark.executor.memoryOverhead": f"{memory[1]}m"}
    if n is not None:
        conf["spark.executor.instances"] = str(n)
        if (job.engine.master or "").startswith("spark://"):  # a standalone master counts cores alone
            conf["spark.cores.max"] = str(n * cpus)
    if gpus:  # how an executor finds its GPUs is the cluster's: spark.executor.resource.gpu.discoveryScript
        conf["spark.executor.resource.gpu.amount"] = str(gpus)
        conf["spark.task.resource.gpu.amount"] = str(round(gpus / cpus, 4)) if gpus < cpus else "1"
        if is_kubernetes(job):
            conf["spark.executor.resource.gpu.vendor"] = "nvidia.com"
    if job.resources.partition and job.engine.master == "yarn":
        conf["spark.yarn.queue"] = job.resources.partition
    return conf


def _kubernetes_conf(job: JobFile) -> dict[str, str]:
    conf = {"spark.kubernetes.container.image": job.resources.image or ""}
    if job.resources.namespace:
        conf["spark.kubernetes.namespace"] = job.resources.namespace
    if job.resources.service_account:
        conf["spark.kubernetes.authenticate.driver.serviceAccountName"] = job.resources.service_account
    for who in ("driver", "executor"):
        for n, volume in enumerate(job.resources.volumes):
            mount = f"spark.kubernetes.{who}.volumes.persistentVolumeClaim.volume-{n}"
            conf |= {f"{mount}.mount.path": volume.path, f"{mount}.options.claimName": volume.claim}
        for secret in job.environment.secrets:
            conf[f"spark.kubernetes.{who}.secretKeyRef.{secret.variable}"] = ":".join(secret_reference(job, secret))
    return conf
