"""`tokenmill fire`: what one firing of a scheduled job does. cron, scrontab, a CronJob or Airflow only call it.

It finishes what an earlier firing left unfinished, then does every firing that is due: takes the inputs that no
earlier one took, runs the recipe over them into a directory of its own, verifies that, and only then moves `current`.
Killed at any moment, the same command goes on where it was.
"""

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.jobs.console import show, warn
from tokenmill.jobs.fire_run import check_recipe, run_firing, submissions_folder
from tokenmill.jobs.fire_steps import Steps
from tokenmill.jobs.firing import Firing, FiringBook, held, holder_of
from tokenmill.jobs.job_file import JobFile, load_job
from tokenmill.jobs.places import out_at
from tokenmill.jobs.prometheus import note_firing
from tokenmill.jobs.schedule import due_firings, zone
from tokenmill.jobs.schedule_check import check_scheduled
from tokenmill.jobs.task import TERMINATED, Terminated, until_terminated
from tokenmill.manifests.current_pointer import check_pointer
from tokenmill.manifests.store import Store

POLL_S = 1.0  # how often a firing that waits for another one looks again


def command(
    job: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="A job file with a schedule.")],
    at: Annotated[
        str | None,
        typer.Option(help="The firing of this time, such as 2026-11-01T03:00Z; by default all that are due."),
    ] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for another firing that is at work.")] = 0.0,
    anew: Annotated[
        bool, typer.Option("--anew", help="Give up what an unfinished firing took and made, and take inputs again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> int:
    """Do the firings of a scheduled job that are due: new inputs, one verified run each, then `current` moves."""
    asked = load_job(job)
    if asked.schedule is None:
        raise RecipeError(f"{job}: has no `schedule`; add one, or use `tokenmill run` or `submit`")
    check_scheduled(asked)
    if asked.schedule.submit_to is not None:
        submissions_folder(asked)  # before anything is taken
    due = moment(at, asked.schedule.timezone) if at is not None else None
    check_recipe(asked)
    if asked.schedule.current is not None:
        check_pointer(asked.schedule.current)
    state = out_at(asked.state)
    try:
        with until_terminated(), _alone(asked, state, wait):
            fired = fire(
                asked,
                FiringBook(state, asked.name),
                due,
                run=lambda firing: run_firing(asked, job, firing, quiet=as_json),
                now=lambda: datetime.now(UTC),
                anew=anew,
            )
    except Terminated:
        warn(f"{asked.name}: stopped by SIGTERM; the same command goes on where this one stopped")
        return TERMINATED
    facts = [
        {
            "due": f.due.isoformat(),
            "status": f.status,
            "out": f.out if f.identity else None,
            "identity": f.identity,
            "files": f.files,
            "changed": list(f.changed),
        }
        for f in fired
    ]
    current = asked.schedule.current
    show({"job": asked.name, "firings": facts, "current": current}, as_json, _text(asked, fired))
    return 0


def fire(
    job: JobFile,
    book: FiringBook,
    at: datetime | None,
    *,
    run: Callable[[Firing], str],
    now: Callable[[], datetime],
    anew: bool = False,
) -> list[Firing]:
    """Finish what is unfinished, then do the firing of `at`, or all that are due; those that were done, in order.

    `run` makes the run of a firing, or goes on with it, and returns its identity. `now` is the clock.
    """
    assert job.schedule is not None
    schedule = job.schedule
    steps = Steps(job, book, run, now)
    for firing in book.unfinished:
        if anew:
            steps.give_up(firing)
    fired = [_told(job, steps.finish(firing)) for firing in book.unfinished]
    if at is not None:
        due = [at]
    else:
        due = due_firings(
            schedule.cron,
            schedule.timezone,
            schedule.start,
            last=book.last_due(now()),
            now=now(),
            catch_up=schedule.catch_up,
        )
    due = [each for each in due if book.at(each) is None]
    for number, time_due in enumerate(due, start=1):
        # Of firings that are made up for together each takes what it would have found then; the last one all the rest.
        firing = steps.do(time_due, until=time_due if number < len(due) else None)
        fired.append(_told(job, firing))
    return fired


def _told(job: JobFile, firing: Firing) -> Firing:
    if job.metrics.prometheus is not None and firing.ended is not None:
        note_firing(job.metrics.prometheus, job.name, firing.due.timestamp(), firing.ended.timestamp())
    return firing


def moment(text: str, timezone: str) -> datetime:
    """A time as people and schedulers write it, in UTC; one without an offset is of the schedule's zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise RecipeError(f"--at {text}: is no time; want for example 2026-11-01T03:00Z") from error
    if found.tzinfo is None:
        found = found.replace(tzinfo=zone(timezone))
    return found.astimezone(UTC).replace(microsecond=0)


@contextmanager
def _alone(job: JobFile, state: Store, wait_s: float) -> Iterator[None]:
    """Hold the job's lock, waiting up to `wait_s` for it. Raises EngineError that says who has it."""
    me: dict[str, Any] = {"host": platform.node(), "process": os.getpid(), "since": datetime.now(UTC).isoformat()}
    give_up = time.monotonic() + wait_s
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(held(state, job.name, me))
                break
            except BlockingIOError as error:
                other = holder_of(state, job.name)
                if time.monotonic() >= give_up:
                    who = "process {process} on {host}, since {since}".format(**other) if other else "another process"
                    raise EngineError(
                        f"{job.name}: is being fired by {who}; wait for it (--wait SECONDS), then run the same command "
                        "again"
                    ) from error
                time.sleep(POLL_S)
            except OSError as error:
                raise EngineError(
                    f"{state.uri}: {error.strerror}; mend that, then run the same command again"
                ) from error
        yield


def _text(job: JobFile, fired: list[Firing]) -> str:
    """A line per firing."""
    if not fired:
        return f"{job.name}: no firing is due"
    lines = []
    for firing in fired:
        what = "nothing new" if firing.identity is None else f"{firing.files:,} new files, {firing.out}"
        lines.append(f"{job.name} {firing.due.isoformat()}: {what}")
        lines += [f"  identity {firing.identity}"] if firing.identity else []
    return "\n".join(lines)
