"""A job on Slurm: for each station an array, and behind it one job that closes it; each waits for the one before.

What closes a station goes on through those behind it that have no array, as long as they ask for the same resources.

Everything is handed over at once. A closing job begins when its array has ended in any way (`afterany`): it does what
no element has done, and meets by itself what was wrong with the data. Everything, this too, waits for the closing job
before, which must have ended well (`afterok`); what never can start then is given up (`--kill-on-invalid-dep`).
What becomes of an element that is stopped is in `slurm_element`.
"""

import contextlib
import json
import math
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.jobs import slurm_by_datatrove
from tokenmill.jobs.job_file import JobFile
from tokenmill.jobs.prepared import LOGS, Log, Part, PartStatus, Prepared, PreparedStation
from tokenmill.jobs.slurm_element import CANCELLED
from tokenmill.jobs.slurm_queue import element_states, slurm
from tokenmill.jobs.unused_keys import SLURM, check_keys

SCRIPTS = "scripts"
CLOSING = ", closing"  # behind a station's name
RANK = "$SLURM_ARRAY_TASK_ID"
LEAD_S = 120  # from SIGTERM to the time limit, or half of the time where that is less
COMMANDS = ("sbatch", "squeue", "scontrol", "scancel")
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def check(job: JobFile) -> None:
    """Raises RecipeError for what a job on Slurm cannot be, and for a secret that is not set here."""
    if job.engine.name != "local" and not _by_datatrove(job):
        raise RecipeError(
            f"engine.name: {job.engine.name} is not what --to slurm starts; leave `engine` out, or use "
            f"{'--to spark' if job.engine.name == 'spark' else f'tokenmill run --engine {job.engine.name}'}"
        )
    check_keys(job, SLURM)
    for secret in job.environment.secrets:
        if not os.environ.get(secret.variable):
            raise RecipeError(
                f"environment.secrets: {secret.variable} is not set here, and jobs get it from here; export it first"
            )
    for what, place in {"state": job.state, "out": job.out}.items():
        if UNPRINTABLE.search(place):
            raise RecipeError(f"{what}: {place!r} has a character that no batch script can hold; choose another")


def check_commands() -> None:
    absent = [name for name in COMMANDS if shutil.which(name) is None]
    if absent:
        raise RecipeError(f"no {', '.join(absent)} here; submit from a machine of the cluster, or use --dry-run")


def render(job: JobFile, prepared: Prepared) -> dict[str, str]:
    """A script for each array and for what is behind it."""
    if _by_datatrove(job):
        return {}  # it writes scripts of its own as they are handed over
    return {each.script: _batch_script(job, prepared, each) for each in _jobs(prepared)}


def commands(job: JobFile, prepared: Prepared) -> list[list[str]]:
    """One sbatch for each script; <1> stands for the number that Slurm gives the first."""
    jobs = _jobs(prepared)
    ids = [f"<{number}>" for number in range(1, len(jobs) + 1)]
    return [_sbatch(prepared, each.script, _waits(jobs, ids[:number])) for number, each in enumerate(jobs)]


def submit(job: JobFile, prepared: Prepared) -> Iterator[Part]:
    """Raises EngineError where sbatch does, with its own words."""
    check_commands()
    if _by_datatrove(job):
        jobs = _jobs(prepared)
        commands_of = [[_start(job, prepared, each, str(r)) for r in range(each.elements)] for each in jobs]
        for each, (only, *_) in zip(jobs, commands_of, strict=True):
            if each.closes and each.first.elements:  # datatrove's jobs wait for one other alone: it looks by itself
                only += ["--if-open", str(each.first.number)]
        options = [_options(job, prepared, each) for each in jobs]
        closes = [each.closes for each in jobs]
        yield from slurm_by_datatrove.submit(job, prepared, [each.part for each in jobs], commands_of, options, closes)
        return
    jobs = _jobs(prepared)
    ids: list[str] = []
    for each in jobs:
        told = slurm(_sbatch(prepared, each.script, _waits(jobs, ids)))
        ids.append(told.strip().partition(";")[0])  # ID;CLUSTER on a federation
        if not ids[-1].isdigit():
            raise EngineError(f"sbatch answered {told.strip()!r}, want a job's number; look at its site's wrapper")
        yield each.part(ids[-1])


def status(parts: Sequence[Part], facts: Mapping[str, Any]) -> list[PartStatus]:
    found = element_states([part.id for part in parts])
    return [PartStatus(part=part, counts=found[part.id].counts(), detail=found[part.id].reason) for part in parts]


def cancel(parts: Sequence[Part], facts: Mapping[str, Any]) -> list[Part]:
    """What waits first, so that nothing starts in the meantime."""
    (Path(facts["folder"]) / CANCELLED).touch()
    found = element_states([part.id for part in parts])
    alive = [part for part in parts if {"pending", "running"} & found[part.id].counts().keys()]
    if alive:
        slurm(["scancel", *(part.id for part in reversed(alive))])
    return alive


def logs(parts: Sequence[Part], facts: Mapping[str, Any], station: int | None, failed: bool) -> list[Log]:
    chosen = [part for part in parts if station in (None, part.station)]
    found = element_states([part.id for part in chosen])
    told: list[Log] = []
    for part in chosen:
        for element, file in _log_files(Path(facts["folder"]), part):
            state, text = found[part.id].state(element), file.read_text(errors="replace")
            if not failed or state == "failed" or (state == "unknown" and not _ended_well(text)):
                told.append(Log(part=part, element=element, state=state, text=text))
    return told


def _ended_well(text: str) -> bool:
    """By what its last life has said, where Slurm has forgotten it: `tokenmill task` ends with a JSON object."""
    for match in reversed([*re.finditer(r"^\{", text, re.MULTILINE)]):
        with contextlib.suppress(ValueError):
            facts, _ = json.JSONDecoder().raw_decode(text, match.start())
            return not {"error", "terminated"} & facts.keys()
    return False


def _log_files(folder: Path, part: Part) -> list[tuple[str, Path]]:
    """(element, file) of those that have begun, in order."""
    if part.name.endswith(CLOSING):
        files = [("", file) for file in (folder / LOGS).glob(f"{part.station:03d}.close.log")]
    else:
        files = [(file.suffixes[-2][1:], file) for file in (folder / LOGS).glob(f"{part.station:03d}.[0-9]*.log")]
    return sorted(files, key=lambda pair: int(pair[0] or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """An array over one station, or what closes `first` and goes on to the end of `last`."""

    first: PreparedStation
    last: PreparedStation
    closes: bool

    @property
    def stem(self) -> str:
        return f"{self.first.number:03d}.{'close' if self.closes else 'share'}"

    @property
    def script(self) -> str:
        return f"{SCRIPTS}/{self.stem}.sh"

    @property
    def name(self) -> str:
        if not self.closes:
            return self.first.name
        further = "" if self.last == self.first else f" to {self.last.name}"
        return f"{self.first.name}{further}{CLOSING}"

    @property
    def elements(self) -> int:
        return 1 if self.closes else self.first.elements

    def part(self, identity: str) -> Part:
        return Part(name=self.name, id=identity, station=self.first.number, until=self.last.number)


def _jobs(prepared: Prepared) -> list[_Job]:
    """In the order in which they run."""
    jobs: list[_Job] = []
    for station in prepared.stations:
        if station.elements:
            jobs.append(_Job(first=station, last=station, closes=False))
        elif jobs and jobs[-1].first.resources == station.resources:
            jobs[-1] = replace(jobs[-1], last=station)
            continue
        jobs.append(_Job(first=station, last=station, closes=True))
    return jobs


def _waits(jobs: Sequence[_Job], ids: Sequence[str]) -> str | None:
    """What the next of `jobs` waits for, of those before it, which Slurm calls `ids`.

    Not for its array alone: one that was given up has ended too.
    """
    if not ids:
        return None
    number = len(ids)
    if jobs[number - 1].closes:
        return f"afterok:{ids[-1]}"
    closing = f",afterok:{ids[-2]}" if number > 1 else ""
    return f"afterany:{ids[-1]}{closing}"


def _sbatch(prepared: Prepared, script: str, waits: str | None) -> list[str]:
    options = [f"--dependency={waits}"] if waits is not None else []
    return ["sbatch", "--parsable", *options, str(prepared.folder / script)]


def _by_datatrove(job: JobFile) -> bool:
    return job.engine.name == "datatrove" and job.engine.executor == "slurm"


def _batch_script(job: JobFile, prepared: Prepared, each: _Job) -> str:
    options = _options(job, prepared, each)
    lines = [f"#SBATCH --{key}" + ("" if value is None else f"={shlex.quote(value)}") for key, value in options.items()]
    # Until the element is there to be told, a SIGTERM must not end its job.
    lines += ["", "trap '' TERM", "set -e", *job.environment.setup]
    lines += [f"export {key}={shlex.quote(value)}" for key, value in job.environment.variables.items()]
    lines.append("exec " + " ".join(_word(argument) for argument in _start(job, prepared, each, RANK)))
    return "\n".join(["#!/bin/bash", *lines]) + "\n"


def _options(job: JobFile, prepared: Prepared, each: _Job) -> dict[str, str | None]:
    station = each.last
    log = f"{each.first.number:03d}.{'close' if each.closes else '%a'}.log"
    return {
        "job-name": f"{prepared.name}.{each.stem}",
        "comment": each.name,
        "output": str(prepared.folder / LOGS).replace("%", "%%") + f"/{log}",
        "open-mode": "append",
        **({} if each.closes else {"array": _array(job, station)}),
        **_asked(station),
        "export": "ALL",
        "requeue": None,
        "kill-on-invalid-dep": "yes",
        "signal": f"B:TERM@{_lead_s(station)}",
    }


def _start(job: JobFile, prepared: Prepared, each: _Job, rank: str) -> list[str]:
    """The command of one element; `rank` may be a scheduler's own variable."""
    task = prepared.close_arguments(each.last) if each.closes else prepared.share_arguments(each.last, rank)
    name = f"{each.first.number:03d}.{'close' if each.closes else rank}"
    start = [prepared.python, "-m", "tokenmill.jobs.slurm_element", *_behind_task(task)]
    return [*start, "--name", name, "--retries", str(job.retries)]


def _behind_task(arguments: list[str]) -> list[str]:
    """The element starts `-m tokenmill.jobs task` by itself."""
    return arguments[arguments.index("task") + 1 :]


def _array(job: JobFile, station: PreparedStation) -> str:
    at_once = job.resources.at_once
    return f"0-{station.elements - 1}" + (f"%{at_once}" if at_once is not None else "")


def _asked(station: PreparedStation) -> dict[str, str | None]:
    asked = station.resources
    options: dict[str, str | None] = {"nodes": "1", "ntasks": "1", "cpus-per-task": str(asked.cpus)}
    if asked.memory_bytes is not None:
        options["mem"] = f"{math.ceil(asked.memory_bytes / 2**20)}M"  # Slurm's M is 2^20
    if asked.time_s is not None:
        minutes = math.ceil(asked.time_s / 60)
        options["time"] = f"{minutes // 60:02d}:{minutes % 60:02d}:00"
    if asked.gpus:
        options["gres"] = f"gpu:{asked.gpus}"
    if asked.partition is not None:
        options["partition"] = asked.partition
    if asked.account is not None:
        options["account"] = asked.account
    return options


def _lead_s(station: PreparedStation) -> int:
    limit = station.resources.time_s
    return LEAD_S if limit is None else min(LEAD_S, max(1, limit // 2))


def _word(argument: str) -> str:
    """For the shell, which may replace nothing but RANK."""
    return f'"{RANK}"'.join(shlex.quote(part) if part else "" for part in argument.split(RANK)) or "''"
