"""The job file: what runs, over what, where, how often and with which resources. YAML, checked key by key.

# Every key is here; no target takes all of them together (docs/jobs.md).

name: web-daily
recipe: web_en                   # a name, or file.py:NAME
set: [gopher_quality.words_at_least=30]
sources:                         # as --source of `tokenmill run`; licence and date may be left out
  - {name: crawl, path: "s3://bucket/crawl/*.warc.gz", licence: CC0, date: 2026-11-01}
out: "runs/web-{date}"           # {name}; {date} and {time} of a scheduled run's firing
engine: {name: local, workers: 4}
against: [runs/a]
index: true
device: cpu
assets: s3://bucket/assets       # models and lists by content, for machines that do not see the submitter's files
resources:
  {tasks: 200, at_once: 50, cpus: 4, memory: 16GB, time: "04:00:00", partition: x, account: y, image: "r/tokenmill:0.1",
   steps: {tokenize: {gpus: 1, partition: gpu}}}
environment:
  {python: /shared/venv/bin/python, setup: ["module load x"], variables: {K: "v"}, secrets: [AWS_SECRET_ACCESS_KEY],
   archive: packed-env.tar.gz}
retries: 3
state: .web-daily                # submissions, scripts, logs, what firings took; default: .NAME beside the job file
schedule: {cron: "0 3 * * *", start: 2026-11-01, catch_up: all, only_new: true, chain_index: true, current: runs/now,
           submit_to: slurm}
metrics: {prometheus: web.prom, openlineage: "http://127.0.0.1:5000"}

Paths are relative to the job file. Whatever stands under `secrets` is a name, never a value.
"""

import os
import re
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.quantities import memory_bytes, time_s
from tokenmill.jobs.secret_names import looks_secret, set_by
from tokenmill.manifests.key_errors import nearest, told
from tokenmill.manifests.yaml_file import load_mapping

PLACEHOLDERS = ("name", "date", "time")
ENDPOINT = re.compile(r"[^/]*:\d+")  # [HOST]:PORT, and no file
PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
SECRET_PLACES = (("environment",), ("engine", "conf"))  # what stands there by mistake is never told

Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]  # part of files' and jobs' names
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Bytes = Annotated[int, BeforeValidator(lambda v: memory_bytes(v) if isinstance(v, str) else v), Field(ge=1)]
Seconds = Annotated[int, BeforeValidator(lambda v: time_s(v) if isinstance(v, str) else v), Field(ge=1)]
Word = Annotated[str, Field(pattern=r"^[^\s#]+$")]  # goes into an #SBATCH line


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobSource(_Model):
    """`path`: file, folder, glob, run's directory, or a URL of these."""

    name: Name | None = None  # left out: as `tokenmill run` names it
    path: Text
    licence: str | None = None
    date: str | None = None

    @property
    def argument(self) -> str:
        """As --source of `tokenmill run` takes it."""
        return self.path if self.name is None else f"{self.name}={self.path}"


ENGINE_KEYS = {
    "master": "spark",
    "deploy_mode": "spark",
    "conf": "spark",
    "scheduler": "dask",
    "executor": "datatrove",
}


class Engine(_Model):
    """Where the work runs that is not submitted to a scheduler task by task."""

    name: Literal["local", "spark", "dask", "datatrove"] = "local"
    workers: Count | None = None  # local: processes; by default one per core
    master: Text | None = None  # spark: a URL; `operator`: Kubeflow's, by a SparkApplication
    deploy_mode: Literal["client", "cluster"] | None = None
    conf: dict[Text, str] = {}
    scheduler: Text | None = None
    executor: Literal["local", "slurm"] | None = None

    @model_validator(mode="after")
    def _keys_fit(self) -> "Engine":
        for key, engine in ENGINE_KEYS.items():
            if getattr(self, key) and self.name != engine:
                raise ValueError(f"`{key}` belongs to the engine {engine}, and this is {self.name}")
        for key in self.conf:
            if looks_secret(key, self.conf[key]):
                raise ValueError(
                    f"{key} looks like a secret, and a job file holds none; give it to the tasks as a secret"
                )
        return self


class StepResources(_Model):
    """What a task needs that holds this step, where that differs from the job's."""

    tasks: Count | None = None
    cpus: Count | None = None
    memory: Bytes | None = None
    time: Seconds | None = None
    gpus: Annotated[int, Field(ge=0)] = 0
    partition: Word | None = None


class Volume(_Model):
    """A Kubernetes volume claim, and where tasks mount it; the submitter sees the same files at the same path."""

    claim: Text
    path: Annotated[str, Field(pattern=r"^/")]


class Resources(_Model):
    """Of one task. `memory` is in bytes and `time` in seconds once it is read."""

    tasks: Count | None = None  # elements of an array at most; by default one per shard, up to what the target allows
    at_once: Count | None = None  # of them, running at one time
    cpus: Count = 1
    memory: Bytes | None = None
    time: Seconds | None = None
    gpus: Annotated[int, Field(ge=0)] = 0
    partition: Word | None = None
    account: Word | None = None
    image: Text | None = None
    namespace: Word | None = None
    service_account: Word | None = None
    volumes: tuple[Volume, ...] = ()
    steps: dict[str, StepResources] = {}


class Secret(_Model):
    """`variable` in the tasks' environment; from the submitter's, or from `key` of the Kubernetes secret `name`."""

    variable: Variable
    name: Text | None = None
    key: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"variable": value}
        if isinstance(value, dict) and "key" in value and "variable" not in value:
            return {**value, "variable": value["key"]}
        return value

    @model_validator(mode="after")
    def _has_both(self) -> "Secret":
        if (self.name is None) != (self.key is None):
            raise ValueError("a Kubernetes secret is named by both `name` and `key`")
        return self


class Environment(_Model):
    """What a task finds around it."""

    python: Text | None = None  # by default the one that submits
    setup: tuple[str, ...] = ()  # shell lines, before anything else
    variables: dict[Variable, str] = {}
    secrets: tuple[Secret, ...] = ()
    archive: Text | None = None

    @model_validator(mode="after")
    def _no_secret_is_written(self) -> "Environment":
        named = {secret.variable for secret in self.secrets}
        for name in self.variables:
            if name in named:
                raise ValueError(f"{name} stands under `variables` and under `secrets`; remove it from `variables`")
            if looks_secret(name, self.variables[name]):
                raise ValueError(f"{name} looks like a secret, and a job file holds none; list its name in `secrets`")
        for line in self.setup:
            for name, value in set_by(line):
                if looks_secret(name, value) and "$" not in value and "`" not in value:  # a line may fetch one
                    raise ValueError(
                        f"a line of `setup` sets {name}, which looks like a secret, and a job file holds none; list "
                        "its name in `secrets`, or let the line fetch it: NAME=$(...)"
                    )
        return self


class Schedule(_Model):
    """When it runs again. `start` and the hours of `cron` are of `timezone`."""

    cron: Annotated[str, Field(pattern=r"^\s*(\S+\s+){4}\S+\s*$")]  # minute, hour, day of month, month, day of week
    timezone: Text = "UTC"
    start: date
    catch_up: Literal["all", "latest", "none"] = "all"  # firings that were missed
    only_new: bool = True  # inputs that no earlier run took
    chain_index: bool = False  # each run leaves an index, and is deduplicated against those of the runs before
    current: Text | None = None  # the pointer to the newest verified run
    submit_to: Literal["slurm", "kubernetes", "spark"] | None = None  # who works at the run, while the firing waits


class Metrics(_Model):
    """Where asked. `prometheus`: a text file, or :PORT; `openlineage`: an http URL, or a file of one event a line."""

    prometheus: Text | None = None
    openlineage: Text | None = None


class JobFile(_Model):
    """The keys of the example above. `load_job` makes every path in it absolute."""

    name: Name
    recipe: Text
    set: tuple[str, ...] = ()
    sources: Annotated[tuple[JobSource, ...], Field(min_length=1)]
    out: Text
    engine: Engine = Engine()
    against: tuple[Text, ...] = ()
    index: bool = False
    device: Literal["cpu", "cuda"] = "cpu"
    assets: Text | None = None  # path or URL of a cache of models and lists by content, which all machines reach
    resources: Resources = Resources()
    environment: Environment = Environment()
    retries: Annotated[int, Field(ge=0)] = 3
    state: str = ""
    schedule: Schedule | None = None
    metrics: Metrics = Metrics()

    @model_validator(mode="after")
    def _out_fits_the_schedule(self) -> "JobFile":
        found = PLACEHOLDER.findall(self.out)
        for name in found:
            if name not in PLACEHOLDERS:
                raise ValueError(f"out: {{{name}}} is no placeholder{nearest(name, PLACEHOLDERS)}")
        timed = bool({"date", "time"} & {*found})
        if timed and self.schedule is None:
            raise ValueError("out: {date} and {time} are those of a scheduled run's firing, and there is no `schedule`")
        if not timed and self.schedule is not None:
            raise ValueError(
                "out: every firing writes its own run; put {date} in it, and {time} if it fires more often"
            )
        return self

    def out_at(self, firing: datetime | None = None) -> str:
        """Where the run of `firing` goes: {date} is 2026-11-24 and {time} 0300, as `firing` tells them.

        None is for a job without a schedule; raises RecipeError for it where there is one.
        """
        if self.schedule is not None and firing is None:
            raise RecipeError(f"{self.name}: out is {self.out}; this job has a schedule, and each firing its own run")
        values = {"name": self.name}
        if firing is not None:
            values |= {"date": firing.strftime("%Y-%m-%d"), "time": firing.strftime("%H%M")}
        return PLACEHOLDER.sub(lambda match: values[match[1]], self.out)


def load_job(path: Path) -> JobFile:
    """Raises RecipeError, naming the key, for what is no job; an unknown key is answered with the nearest known."""
    content = load_mapping(path, "a job's YAML file", ", ".join(JobFile.model_fields), plain=True)
    try:
        job = JobFile.model_validate(content)
    except ValidationError as error:
        said = told(error, JobFile, secret=SECRET_PLACES)
        raise RecipeError(f"{path}: {said}") from None  # pydantic's own words hold what was found
    return _absolute(job, path.resolve().parent)


def _absolute(job: JobFile, folder: Path) -> JobFile:
    """Tasks run in other folders, and on other machines: no path of the job may depend on where one stands."""

    def at(place: str | None) -> str | None:
        if place is None or "://" in place:
            return place
        return os.path.normpath(folder / os.path.expanduser(place))

    file, colon, constant = job.recipe.rpartition(":")
    prometheus, python = job.metrics.prometheus, job.environment.python
    changes: dict[str, Any] = {
        "recipe": f"{at(file)}:{constant}" if colon and file.endswith(".py") else job.recipe,
        "sources": tuple(s.model_copy(update={"path": at(s.path)}) for s in job.sources),
        "out": at(job.out),
        "against": tuple(at(run) for run in job.against),
        "assets": at(job.assets),
        "state": at(job.state or f".{job.name}"),
        "environment": job.environment.model_copy(
            update={
                "archive": at(job.environment.archive),
                "python": at(python) if python is not None and "/" in python else python,  # a bare name: on the PATH
            }
        ),
        "metrics": job.metrics.model_copy(
            update={
                "prometheus": prometheus if prometheus and ENDPOINT.fullmatch(prometheus) else at(prometheus),
                "openlineage": at(job.metrics.openlineage),
            }
        ),
    }
    if job.schedule is not None:
        changes["schedule"] = job.schedule.model_copy(update={"current": at(job.schedule.current)})
    return job.model_copy(update=changes)
