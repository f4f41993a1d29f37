"""Keys of a job file that a target would not heed: it refuses them, or says once that they count for nothing.

Refused is what would change what comes out, or who can see it, without anybody noticing; told is what only costs time
or luck. A row names the keys, the places where they count for nothing, and why.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.console import warn
from tokenmill.jobs.job_file import ENDPOINT, JobFile

# Where a job goes: runs of stations, each target by itself, and Spark by its master...
SLURM, KUBERNETES, AIRFLOW = "slurm", "kubernetes", "airflow"
SPARK_LOCAL, SPARK_YARN, SPARK_PODS, SPARK_OTHER = "spark local", "spark on yarn", "spark on kubernetes", "spark"
# ... and firings of a schedule, which are one process each, but for the operator's.
CRONTAB, SCRONTAB, CRON_JOB, SCHEDULED_DAG = "crontab", "scrontab", "kubernetes cronjob", "scheduled dag"
SPARK_SCHEDULED = "scheduled spark"

SPARK = (SPARK_LOCAL, SPARK_YARN, SPARK_PODS, SPARK_OTHER)
RUNS = (SLURM, KUBERNETES, AIRFLOW, *SPARK)
ONE_PROCESS = (CRONTAB, SCRONTAB, CRON_JOB, SCHEDULED_DAG)
FIRINGS = (*ONE_PROCESS, SPARK_SCHEDULED)
PODS = (KUBERNETES, CRON_JOB, SPARK_PODS, SPARK_SCHEDULED)
NO_PODS = tuple(place for place in (*RUNS, *FIRINGS) if place not in PODS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unused:
    keys: tuple[str, ...]  # with dots between; * is every name or place
    where: tuple[str, ...]
    why: str
    refused: bool = True


TABLE = (
    _Unused(
        keys=("resources.image", "resources.volumes"),
        where=NO_PODS,
        why="nothing runs in a pod there; remove it, and give `environment.python`",
    ),
    _Unused(
        keys=("environment.archive",),
        where=(SLURM, AIRFLOW, KUBERNETES, *ONE_PROCESS),
        why="nobody unpacks it there; give `python` on a shared file system, or an image, that holds the environment",
    ),
    _Unused(
        keys=("resources.tasks", "resources.at_once", "resources.steps.*"),
        where=ONE_PROCESS,
        why="a firing is one process there, with the resources of the job; remove it, or say `schedule.submit_to`",
    ),
    _Unused(
        keys=("engine.conf", "engine.deploy_mode", "engine.executor"),
        where=ONE_PROCESS,
        why="a firing starts no spark-submit and no executor of its own; remove it",
    ),
    _Unused(
        keys=("environment.setup",),
        where=(SPARK_PODS, SPARK_SCHEDULED),
        why="the driver starts in a pod, behind no script of ours; put it into the image",
    ),
    _Unused(
        keys=("environment.setup",),
        where=(SPARK_YARN,),
        why="it is heard where spark-submit runs, and not where YARN starts the driver",
        refused=False,
    ),
    _Unused(
        keys=("resources.namespace", "resources.service_account", "environment.secrets.*.key"),
        where=NO_PODS,
        why="that is Kubernetes'",
        refused=False,
    ),
    _Unused(
        keys=("resources.partition", "resources.account", "resources.steps.*.partition"),
        where=(KUBERNETES, CRON_JOB, SPARK_LOCAL, SPARK_PODS, SPARK_OTHER, SPARK_SCHEDULED, CRONTAB),
        why="there are none there",
        refused=False,
    ),
    _Unused(
        keys=(
            *("resources.account", "resources.memory", "resources.gpus"),
            *("resources.steps.*.memory", "resources.steps.*.gpus"),
        ),
        where=(AIRFLOW, SCHEDULED_DAG),
        why="a task has what the workers of its queue have",
        refused=False,
    ),
    _Unused(keys=("resources.cpus",), where=(SCHEDULED_DAG,), why="say `engine.workers`", refused=False),
    _Unused(
        keys=(
            *("resources.time", "resources.account", "engine.workers"),
            *("resources.steps.*.time", "resources.steps.*.tasks", "resources.steps.*.partition"),
        ),
        where=(*SPARK, SPARK_SCHEDULED),
        why="Spark has one kind of executor for the whole run, and no time limit",
        refused=False,
    ),
    _Unused(
        keys=(
            *("resources.tasks", "resources.at_once", "resources.cpus", "resources.memory", "resources.gpus"),
            *("resources.steps.*.cpus", "resources.steps.*.memory", "resources.steps.*.gpus"),
        ),
        where=(SPARK_LOCAL,),
        why="everything runs in the driver, on as many cores as `master` says",
        refused=False,
    ),
    _Unused(
        keys=("resources.cpus", "resources.memory", "resources.time", "resources.gpus"),
        where=(CRONTAB,),
        why="cron sets no bounds",
        refused=False,
    ),
    _Unused(
        keys=("retries",), where=(CRONTAB, SCRONTAB), why="what has failed goes on at the next firing", refused=False
    ),
)


def check_keys(job: JobFile, where: str) -> None:
    """Raises RecipeError for a key that would change nothing where it was meant to; others are told, in one line."""
    told: dict[str, list[str]] = {}
    for row in TABLE:
        if where not in row.where:
            continue
        for key in (found for pattern in row.keys for found in _given(job, pattern)):
            if row.refused:
                raise RecipeError(f"{key}: counts for nothing on {where}: {row.why}")
            told.setdefault(row.why, [])
            told[row.why] += [key] if key not in told[row.why] else []
    if told:
        words = "; ".join(f"{', '.join(keys)} ({why})" for why, keys in told.items())
        warn(f"{job.name}: not heeded on {where}: {words}")


def check_endpoint(job: JobFile, to: str) -> None:
    """Raises RecipeError for metrics on a port, where no one process lives as long as the run."""
    place = job.metrics.prometheus
    if to in (SLURM, KUBERNETES, AIRFLOW) and place is not None and ENDPOINT.fullmatch(place):
        raise RecipeError(
            f"metrics.prometheus: {place}: a run on {to} is many processes, and none of them could be asked for all of "
            "it; give a file that all of them see"
        )


def _given(job: JobFile, pattern: str) -> Iterator[str]:
    """The keys that fit `pattern` and whose values are not the ones they have when left out."""

    def below(value: Any, parts: list[str], at: str) -> Iterator[str]:
        part, *rest = parts
        if part == "*":
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            for name, entry in entries:
                place = f"{at}.{name}"
                yield from below(entry, rest, place) if rest else iter([place])
            return
        found = getattr(value, part)
        place = f"{at}.{part}" if at else part
        if rest:
            yield from below(found, rest, place)
        elif isinstance(value, BaseModel) and found != type(value).model_fields[part].default:
            yield place

    return below(job, pattern.split("."), "")
