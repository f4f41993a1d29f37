"""Lines for cron and for Slurm's scrontab, which fire a scheduled job; and putting them there, and taking them back.

The line runs a script that is written beside it. A crontab belongs to its user: of ours is what stands between two
comments with the job file's name, and everything else in it stays as it is. Neither cron nor scrontab has time zones
or hands over secrets: their machine's clock must be the schedule's, and what runs must find the secrets by itself (a
line of `setup`), or the script says which is missing and ends with exit code 2.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.jobs.job_file import JobFile
from tokenmill.jobs.prepared import Part
from tokenmill.jobs.unused_keys import check_keys

SCRIPT, LOG = "fire.sh", "fire.log"
PATIENCE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Crontab:
    """A table of lines that `command -l` tells and `command FILE` replaces."""

    command: str
    file: str  # that the lines are written into, for people to read

    def render_schedule(self, job: JobFile, job_file: Path, folder: Path) -> dict[str, str]:
        """The lines, and the script that they run."""
        check_fits(job, job_file, folder)
        check_keys(job, self.command)
        self._check_folder(folder)
        return {self.file: self.lines(job, job_file, folder), SCRIPT: fire_script(job, job_file)}

    def lines(self, job: JobFile, job_file: Path, folder: Path) -> str:
        """Between two comments by which they are found again."""
        assert job.schedule is not None
        begin, end = _marks(str(job_file))
        told = f"# {job.schedule.cron}, in the time of {job.schedule.timezone}: that must be this machine's clock"
        return "\n".join([begin, told, *self._entry(job, folder), end, ""])

    def schedule_commands(self, job: JobFile, folder: Path) -> list[list[str]]:
        return [[self.command, f"<what `{self.command} -l` tells, with the lines of {folder / self.file}>"]]

    def schedule(self, job: JobFile, folder: Path) -> list[Part]:
        """Ours are replaced if they are there already."""
        lines = (folder / self.file).read_text(encoding="utf-8")
        begin = lines.partition("\n")[0]
        others = _without(self._table(), begin)
        self._replace(f"{others}{lines}")
        return [Part(name="schedule", id=begin)]

    def unschedule(self, folder: Path, parts: Sequence[Part]) -> list[Part]:
        """A firing that is at work goes on to its end."""
        ended = []
        for part in parts:
            table = self._table()
            others = _without(table, part.id)
            if others != table:
                self._replace(others)
                ended.append(part)
        return ended

    def _entry(self, job: JobFile, folder: Path) -> list[str]:
        assert job.schedule is not None
        # A percent sign is a newline to cron, wherever it stands.
        run = f"/bin/bash {shlex.quote(str(folder / SCRIPT))} >> {shlex.quote(str(folder / LOG))} 2>&1"
        return [f"{job.schedule.cron.strip()} {run}".replace("%", r"\%")]

    def _check_folder(self, folder: Path) -> None:
        """Raises RecipeError for one that an entry cannot hold."""

    def _table(self) -> str:
        told = self._run(["-l"], may_fail=True)
        return told if told.endswith("\n") or not told else f"{told}\n"

    def _replace(self, table: str) -> None:
        with NamedTemporaryFile("w", encoding="utf-8", suffix=f".{self.command}") as file:
            file.write(table)
            file.flush()
            self._run([file.name])

    def _run(self, arguments: list[str], *, may_fail: bool = False) -> str:
        command = [self.command, *arguments]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        except FileNotFoundError as error:
            raise EngineError(f"{self.command} is not here; put the lines where they belong by hand") from error
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{' '.join(command)}: no answer within {PATIENCE_S} s") from error
        # `-l` of a user who has no table yet is an error that says so.
        if result.returncode != 0 and not (may_fail and "no crontab" in result.stderr.lower()):
            raise EngineError(f"{' '.join(command)}: exit code {result.returncode}: {result.stderr.strip()}")
        return result.stdout if result.returncode == 0 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrontab(Crontab):
    """Slurm's: an entry is a job, and `#SCRON` lines say what it asks for."""

    def _entry(self, job: JobFile, folder: Path) -> list[str]:
        assert job.schedule is not None
        asked = job.resources
        options = {
            "job-name": job.name,
            "cpus-per-task": str(asked.cpus),
            "mem": f"{-(-asked.memory // 2**20)}M" if asked.memory else None,
            "time": str(-(-asked.time // 60)) if asked.time else None,  # minutes
            "gpus": str(asked.gpus) if asked.gpus else None,
            "partition": asked.partition,
            "account": asked.account,
            "output": str(folder / LOG),
            "open-mode": "append",
        }
        lines = [f"#SCRON --{name}={value}" for name, value in options.items() if value]
        return [*lines, f"{job.schedule.cron.strip()} /bin/bash {folder / SCRIPT}"]

    def _check_folder(self, folder: Path) -> None:
        # Slurm says nothing of quotes in an entry, and reads % in a log's name.
        if re.search(r"[^\w./+=@:,-]", str(folder)):
            raise RecipeError(f"state: a line of scrontab cannot hold {folder}; choose another `state`")


CRONTAB = Crontab(command="crontab", file="crontab")
SCRONTAB = Scrontab(command="scrontab", file="scrontab")


def fire_script(job: JobFile, job_file: Path) -> str:
    """What an entry runs, under bash. It holds the names of secrets and no value."""
    python = job.environment.python or sys.executable
    lines = ["#!/bin/bash", "set -e", *job.environment.setup]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in job.environment.variables.items()]
    for secret in job.environment.secrets:
        name = secret.variable
        lines.append(
            f'if [ -z "${{{name}+x}}" ]; then echo "{name} is not set; set it by a line of setup" >&2; exit 2; fi'
        )
    return "\n".join([*lines, f"exec {shlex.join([python, '-m', 'tokenmill.jobs', 'fire', str(job_file)])}", ""])


def check_fits(job: JobFile, job_file: Path, folder: Path) -> None:
    """Raises RecipeError for a job that no crontab can hold."""
    if job.schedule is None:
        raise RecipeError(f"{job_file}: no `schedule`, so there is nothing that cron could fire")
    if job.schedule.timezone != "UTC":
        raise RecipeError(
            f"schedule.timezone: {job.schedule.timezone}; cron and scrontab know no zones: write the hours in UTC, or "
            "use --to kubernetes or airflow"
        )
    for place in (str(job_file), str(folder)):
        if "\n" in place:
            raise RecipeError(f"{place!r}: a line of a crontab cannot hold it; choose another folder")


def _marks(job_file: str) -> tuple[str, str]:
    return f"# tokenmill: {job_file}", f"# tokenmill, end: {job_file}"


def _without(table: str, begin: str) -> str:
    """The table without the lines from `begin` to their end mark; all of it if they are not there."""
    end = begin.replace("# tokenmill: ", "# tokenmill, end: ", 1)
    lines = table.splitlines(keepends=True)
    bare = [line.rstrip("\n") for line in lines]
    if begin not in bare or end not in bare[bare.index(begin) :]:
        return table
    first = bare.index(begin)
    return "".join([*lines[:first], *lines[bare.index(end, first) + 1 :]])
