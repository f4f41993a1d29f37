"""Tokenmill for Airflow 3. Written by `tokenmill submit --to airflow`; submit again rather than change it."""
# mypy: disable-error-code="import-not-found, misc"

import os
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import DAG, BaseOperator
from airflow.timetables.trigger import CronTriggerTimetable

try:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import AirflowException, AirflowFailException

JOB: dict[str, Any] = {}

LOOK_EVERY_S = 2.0
FINAL = (2, 3)  # exit codes: the request or the data are wrong, and would be again


class Tokenmill(BaseOperator):
    """Run the interpreter with `arguments`: no shell but for the job's setup lines, no template, and SIGTERM handed on.

    `{rank}` and `{due}` alone are filled in: the element's number, and the time that this run of the DAG is for.
    """

    def __init__(self, *, arguments: list[str], rank: int = 0, **rest: Any) -> None:
        super().__init__(**rest)
        self.arguments = arguments
        self.rank = rank
        self.hook = SubprocessHook()
        self.ended = Event()

    def execute(self, context: Any) -> None:
        if cancelled():  # before it has begun
            raise AirflowFailException("cancelled")
        missing = [name for name in JOB["secrets"] if name not in os.environ]
        if missing:
            raise AirflowFailException(f"not in the environment of this worker: {', '.join(missing)}")
        run = context["dag_run"]
        due = run.logical_date or run.run_after  # a run that a person started without a date has only the second
        told = {"{rank}": str(self.rank), "{due}": due.isoformat()}
        command = [JOB["python"], *(told.get(word, word) for word in self.arguments)]
        if JOB["setup"]:
            script = "\n".join(["set -e", *JOB["setup"], 'exec "$@"'])
            command = ["bash", "-c", script, "tokenmill", *command]
        Thread(target=self.watch, daemon=True).start()
        try:
            code = self.hook.run_command(command, env={**os.environ, **JOB["variables"]}).exit_code
        finally:
            self.ended.set()
        if cancelled():
            raise AirflowFailException("cancelled")
        if code in FINAL:
            raise AirflowFailException(f"exit code {code}: another try would end the same way; see above")
        if code:
            raise AirflowException(f"exit code {code}; the next try goes on from the receipts")

    def watch(self) -> None:
        """Airflow's command line cannot end a task; `tokenmill cancel` leaves a file instead."""
        while not cancelled():
            if self.ended.wait(LOOK_EVERY_S):
                return
        while not self.ended.wait(LOOK_EVERY_S):
            self.on_kill()

    def on_kill(self) -> None:
        self.hook.send_sigterm()


def cancelled() -> bool:
    return JOB["cancelled"] is not None and os.path.exists(JOB["cancelled"])


def when() -> dict[str, Any]:
    """Of the DAG: its schedule, or that it runs once."""
    schedule = JOB["schedule"]
    if schedule is None:
        return {"schedule": "@once", "start_date": datetime(2000, 1, 1, tzinfo=UTC), "catchup": False}
    start = datetime.fromisoformat(schedule["start"]).replace(tzinfo=ZoneInfo(schedule["timezone"]))
    return {
        "schedule": CronTriggerTimetable(schedule["cron"], timezone=schedule["timezone"]),
        "start_date": start.astimezone(UTC),
        "catchup": schedule["catch_up"],
    }


def task(found: dict[str, Any]) -> Any:
    """One task of JOB["tasks"]: an operator, or one for each element."""
    settings: dict[str, Any] = {
        "task_id": found["id"],
        "arguments": found["arguments"],
        "retries": JOB["retries"],
        "retry_delay": timedelta(seconds=60),
    }
    if found["after_any"]:
        settings["trigger_rule"] = "all_done"
    # A time limit costs one of the retries, whatever was done until then: Airflow counts its tries by itself, and an
    # operator that is stopped cannot tell it otherwise. Each try goes on from the receipts, so `retries` times `time`
    # is what a task may take.
    if found["time_s"] is not None:
        settings["execution_timeout"] = timedelta(seconds=found["time_s"])
    if found["queue"] is not None:
        settings["queue"] = found["queue"]
    if found["elements"] is None:
        return Tokenmill(**settings)
    if found["at_once"] is not None:
        settings["max_active_tis_per_dagrun"] = found["at_once"]
    return Tokenmill.partial(**settings).expand(rank=list(range(found["elements"])))


with DAG(JOB["dag_id"], max_active_runs=1, is_paused_upon_creation=False, tags=["tokenmill"], **when()) as dag:
    before = None
    for described in JOB["tasks"]:
        step = task(described)
        if before is not None:
            before >> step
        before = step
