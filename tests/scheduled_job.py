"""A scheduled job for tests: its runs are made in this process, and the clock is what the test says."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from one_process import OneProcess
from toys import Silence

from tokenmill.engines.plan import make_plan
from tokenmill.engines.run import run
from tokenmill.jobs.fire import fire
from tokenmill.jobs.fire_run import check_recipe
from tokenmill.jobs.firing import Firing, FiringBook
from tokenmill.jobs.indexes import find_index
from tokenmill.jobs.job_file import JobFile, load_job
from tokenmill.jobs.places import out_at
from tokenmill.jobs.taken_inputs import inputs_of
from tokenmill.manifests.remote_stream import open_uri


class Job:
    """A daily job over `in/` into `runs/` (or below `place`)."""

    def __init__(self, folder: Path, place: str | None = None, **schedule: Any) -> None:
        self.folder = folder
        (folder / "in").mkdir(exist_ok=True)
        runs = f"{place}/runs" if place else "runs"
        content = {
            "name": "web",
            "recipe": "exact_dedup",
            "sources": [{"name": "crawl", "path": "in", "licence": "CC0", "date": "2026-11-01"}],
            "out": f"{runs}/web-{{date}}",
            "schedule": {"cron": "0 3 * * *", "start": "2026-11-01", "current": f"{runs}/current", **schedule},
        } | ({"state": f"{place}/state"} if place else {})
        (folder / "job.yaml").write_text(yaml.safe_dump(content))
        self.job: JobFile = load_job(folder / "job.yaml")
        self.before_run: Callable[[Firing], None] = lambda firing: None
        self.after_run: Callable[[Firing], None] = lambda firing: None

    @property
    def book(self) -> FiringBook:
        return FiringBook(out_at(self.job.state), self.job.name)

    def fire(self, now: str, at: str | None = None, anew: bool = False) -> list[Firing]:
        clock = datetime.fromisoformat(now).replace(tzinfo=UTC)
        due = datetime.fromisoformat(at).replace(tzinfo=UTC) if at else None
        return fire(self.job, self.book, due, run=self._run, now=lambda: clock, anew=anew)

    def _run(self, firing: Firing) -> str:
        self.before_run(firing)
        recipe, inputs = check_recipe(self.job), inputs_of(firing.sources)
        index, indexed = find_index(recipe, [link.run for link in firing.against])
        plan = make_plan(recipe, inputs.sources, open_uri, parents=[*inputs.parents, *indexed], index=index)
        made = run(plan, out_at(firing.out), OneProcess(), progress=Silence())
        self.after_run(firing)
        return made.identity

    def put(self, name: str, *texts: str, changed: str | None = None) -> Path:
        """A file of these documents, changed last at that time."""
        path = self.folder / "in" / name
        path.write_text("".join(json.dumps({"id": f"{name}-{i}", "text": t}) + "\n" for i, t in enumerate(texts)))
        if changed is not None:
            when = datetime.fromisoformat(changed).replace(tzinfo=UTC).timestamp()
            os.utime(path, (when, when))
        return path

    def kept(self, day: str) -> list[str]:
        files = sorted((self.folder / "runs" / f"web-{day}" / "documents").iterdir())
        return sorted(text for file in files for text in pq.read_table(file)["text"].to_pylist())

    @property
    def current(self) -> str | None:
        pointer = self.folder / "runs" / "current"
        return os.readlink(pointer) if pointer.is_symlink() else None


class KilledError(Exception):
    """Stands for kill -9 at one place: nothing behind it happens."""


def told(fired: list[Firing]) -> list[tuple[str, str]]:
    return [(f.due.strftime("%m-%d"), f.status) for f in fired]


def struck(job: Job, when: str, now: str) -> None:
    """The firing of `now`, killed at one place."""

    def crash(firing: Firing) -> None:
        raise KilledError

    setattr(job, when, crash)
    with pytest.raises(KilledError):
        job.fire(now)
    setattr(job, when, lambda firing: None)
