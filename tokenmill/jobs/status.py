"""`tokenmill status`: how far a submitted job has come, by its receipts and by what its scheduler says."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tokenmill.core.errors import TokenmillError
from tokenmill.engines.driver import TICKETS, ticket_name
from tokenmill.jobs.console import show
from tokenmill.jobs.firing import FiringBook
from tokenmill.jobs.handing_over import target_named
from tokenmill.jobs.places import out_at
from tokenmill.jobs.prepared import PartStatus, State
from tokenmill.jobs.submission import RUNS, Submission, find_submission, submissions_of
from tokenmill.manifests.manifest import FILE as MANIFEST
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.store import WORK, Store, store_at

RECEIPTS = f"{WORK}/receipts"
# Of many elements: what one still does matters before how another has ended.
FOREMOST: tuple[State, ...] = ("running", "pending", "failed", "cancelled", "done")


@dataclass(frozen=True, slots=True)
class StationStatus:
    """`counts` is of what the scheduler knows by this station: elements of the array, and the closing task."""

    number: int
    name: str
    state: State
    counts: Mapping[State, int]
    detail: str


def command(
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job file, or a submission's folder or name.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Where a submitted job stands: stations pending, running, done or failed, and the receipts there are."""
    submission = find_submission(job)
    if submission.scheduled:
        _show_schedule(submission, as_json)
        return
    store = out_at(submission.out)
    manifest = Manifest.load(store) if store.exists(MANIFEST) else None
    told, silence = _scheduler(submission)
    stations = stations_of(submission, store, told, finished=manifest is not None)
    facts = {
        "submission": submission.name,
        "target": submission.target,
        "out": submission.out,
        "state": "done" if manifest is not None else foremost(told),
        "identity": manifest.identity if manifest is not None else None,
        "stations": [
            {"number": s.number, "name": s.name, "state": s.state, "elements": s.counts, "detail": s.detail}
            for s in stations
        ],
        "parts": [{"name": t.part.name, "id": t.part.id, "counts": t.counts, "detail": t.detail} for t in told],
        "receipts": receipts_of(store) if manifest is None else {},
        "scheduler": silence or "answers",
    }
    show(facts, as_json, _text(submission, facts, stations))


def stations_of(
    submission: Submission, store: Store, told: Sequence[PartStatus], *, finished: bool
) -> list[StationStatus]:
    """In order. The ticket for the next one says that a station is closed, whatever a scheduler remembers of it."""
    open_from = _first_open(submission, store) if not finished else len(submission.stations)
    found: list[StationStatus] = []
    for station in submission.stations:
        number = int(station["number"])
        own = [t for t in told if t.part.covers(number)]
        counts: Counter[State] = Counter()
        for each in own:
            counts.update(each.counts)
        if number < open_from:
            state: State = "done"
        elif own:
            state = foremost(own)
        else:  # of parts that go through all stations
            state = foremost(told) if number == open_from else "pending"
        detail = next((t.detail for t in own if t.detail and state != "done"), "")
        found.append(StationStatus(number, str(station["name"]), state, dict(counts), detail))
    return found


def _first_open(submission: Submission, store: Store) -> int:
    """The first station that no ticket for a later one vouches for."""
    tickets = set(store.names(TICKETS))
    return max((n for n in range(len(submission.stations)) if ticket_name(n) in tickets), default=0)


def foremost(told: Sequence[PartStatus]) -> State:
    """One word for many elements."""
    return next((state for state in FOREMOST if any(t.counts.get(state) for t in told)), "unknown")


def receipts_of(store: Store) -> dict[str, int]:
    """How many tasks are done, by phase."""
    return dict(Counter(name.split("/")[2] for name in store.names(RECEIPTS)))


def _scheduler(submission: Submission) -> tuple[list[PartStatus], str]:
    """(what it says, why it says nothing): receipts can be read where no scheduler is."""
    try:
        return target_named(submission.target).status(submission.parts, submission.facts), ""
    except TokenmillError as error:
        return [PartStatus(part=part, counts={"unknown": 1}) for part in submission.parts], str(error)


def _text(submission: Submission, facts: dict[str, Any], stations: Sequence[StationStatus]) -> str:
    lines = [f"{submission.name} on {submission.target}: {facts['state']}"]
    for station in stations:
        counts = ", ".join(f"{n:,} {state}" for state, n in station.counts.items())
        why = f" ({station.detail})" if station.detail else ""
        lines.append(f"  {station.number:>3}  {station.state:<9} {station.name}{': ' + counts if counts else ''}{why}")
    lines += [f"  {n:>12,}  receipts of {phase}" for phase, n in facts["receipts"].items()]
    if facts["scheduler"] != "answers":
        lines.append(f"the scheduler says nothing: {facts['scheduler']}")
    if facts["identity"] is not None:
        return "\n".join([*lines, f"identity {facts['identity']}", f"next: tokenmill verify {submission.out}"])
    return "\n".join([*lines, f"next: tokenmill logs {submission.folder} --failed"])


def _show_schedule(submission: Submission, as_json: bool) -> None:
    state = Path(submission.folder).parent
    runs = state / RUNS
    handed_on = {s.out: str(s.folder) for s in submissions_of(runs) if s.job == submission.job} if runs.is_dir() else {}
    firings = [
        {
            "due": f.due.isoformat(),
            "status": f.status,
            "out": f.out,
            "identity": f.identity,
            "files": f.files,
            "submission": handed_on.get(f.out),
        }
        for f in FiringBook(store_at(state), submission.job)
    ]
    parts = {part.name: part.id for part in submission.parts}
    lines = [
        f"{submission.job}: {'scheduled' if parts else 'no longer scheduled'} on {submission.target}",
        *(f"  {id_}  {name}" for name, id_ in parts.items()),
    ]
    for f in firings:
        lines.append(f"  {f['due']}  {f['status']:<10} {f['files']:>9,} files  {f['out']}")
        if f["status"] == "unfinished" and f["submission"]:
            lines.append(f"    next: tokenmill status {f['submission']}")
    facts = {"job": submission.job, "target": submission.target, "parts": parts, "firings": firings}
    show(facts, as_json, "\n".join(lines))
