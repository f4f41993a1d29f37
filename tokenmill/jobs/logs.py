"""`tokenmill logs`: what the elements of a submitted job have said."""

from pathlib import Path
from typing import Annotated

import typer

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.console import show
from tokenmill.jobs.handing_over import target_named
from tokenmill.jobs.prepared import Log, Part
from tokenmill.jobs.submission import Submission, find_submission
from tokenmill.jobs.submit_cron import LOG as FIRE_LOG
from tokenmill.jobs.submit_schedule import CRONS
from tokenmill.manifests.key_errors import nearest


def command(
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job file, or a submission's folder or name.")],
    station: Annotated[str | None, typer.Option(help="Of one station alone: its number or its name.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only of elements that have failed.")] = False,
    lines: Annotated[int, typer.Option(help="The last lines of each; 0: all.")] = 40,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Print the logs of a submitted job's elements, in the order of its stations."""
    if lines < 0:
        raise RecipeError(f"--lines {lines}: want 0 (all) or more")
    submission = find_submission(job)
    if submission.scheduled:
        found = _of_firings(submission, station, failed)
    else:
        number = _station(submission, station) if station is not None else None
        found = target_named(submission.target).logs(submission.parts, submission.facts, number, failed)
    told = [
        {"part": log.part.name, "element": log.element, "state": log.state, "text": _last(log.text, lines)}
        for log in found
    ]
    show({"submission": submission.name, "logs": told}, as_json, "\n".join(_section(log, lines) for log in found))


def _of_firings(submission: Submission, station: str | None, failed: bool) -> list[Log]:
    """What the script of a crontab or scrontab has written, all its firings one behind the other."""
    if submission.target not in CRONS:
        raise RecipeError(
            f"{submission.name}: {submission.target} keeps the logs of firings, look there; tokenmill status tells how "
            "each has ended"
        )
    for option, given in {"--station": station is not None, "--failed": failed}.items():
        if given:
            raise RecipeError(f"{option}: firings write into one log; leave it out")
    file = Path(submission.folder) / FIRE_LOG
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    part = submission.parts[0] if submission.parts else Part(name="schedule", id="")
    return [Log(part=part, element="", state="unknown", text=text)] if text else []


def _station(submission: Submission, wanted: str) -> int:
    numbers = {str(station["name"]): int(station["number"]) for station in submission.stations}
    if wanted.isdigit() and int(wanted) in numbers.values():
        return int(wanted)
    if wanted not in numbers:
        raise RecipeError(f"--station {wanted}: {submission.name} has no such station{nearest(wanted, numbers)}")
    return numbers[wanted]


def _section(log: Log, lines: int) -> str:
    element = f" {log.element}" if log.element else ""
    return f"==> {log.part.name}{element} ({log.state})\n{_last(log.text, lines)}"


def _last(text: str, lines: int) -> str:
    """Of a text that grows by attempts, the end is what matters."""
    return "\n".join(text.rstrip("\n").split("\n")[-lines:]) if lines else text
