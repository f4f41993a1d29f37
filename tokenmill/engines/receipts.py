"""Which tasks of a phase are done: by their receipts, one by one, or by one file that has them all."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tokenmill.core.errors import DataError
from tokenmill.engines.context import Context
from tokenmill.engines.task import Receipt, Task
from tokenmill.manifests import checked_json
from tokenmill.manifests.store import WORK

COLLECTED = f"{WORK}/collected"
COLLECTED_FROM = 1_000  # receipts of a phase: then whoever comes later reads one file
READERS = 16  # at a time: on a shared file system or an object store each is a wait


def found_receipts(context: Context, phase: str, tasks: Sequence[Task]) -> list[Receipt | None]:
    """Of each task, if there is one that it accepts, and the files that it names are there. A listing per folder.

    Tasks are all of `phase`, or some: only of all of them one file spares reading one for each.
    """
    if not tasks:
        return []
    out = context.out
    collected = _collected(context, phase)
    collected = collected if len(collected) == len(tasks) else []
    listings: dict[str, set[str]] = {}

    def is_there(name: str) -> bool:
        folder = name.rpartition("/")[0]
        if folder not in listings:
            listings[folder] = set(out.names(folder))
        return name in listings[folder]

    def load(place: int) -> Receipt | None:
        task = tasks[place]
        if collected and task.accepts(context, collected[place]):
            return collected[place]
        name = task.receipt(context)
        if not is_there(name):
            return None
        try:
            body = checked_json.load_from(out, name)
        except DataError:
            return None
        return body if task.accepts(context, body) else None

    with ThreadPoolExecutor(READERS) as readers:
        is_there(tasks[0].receipt(context))  # once, before many ask
        bodies = list(readers.map(load, range(len(tasks))))
    return [
        body
        if body is not None and all(is_there(name) for name in (*(f["path"] for f in body["files"]), *body["work"]))
        else None
        for body in bodies
    ]


def receipt_of(context: Context, task: Task) -> Receipt | None:
    """Of one task, without a listing."""
    try:
        body = checked_json.load_from(context.out, task.receipt(context))
    except DataError:
        return None
    names = (*(f["path"] for f in body["files"]), *body["work"])
    return body if task.accepts(context, body) and all(context.out.exists(name) for name in names) else None


def collect(context: Context, phase: str, receipts: Sequence[Receipt]) -> None:
    """Put the receipts of a phase that is done into one file, where there are many."""
    name = f"{COLLECTED}/{phase}.json"
    if len(receipts) >= COLLECTED_FROM and not context.out.exists(name):
        checked_json.save_in(context.out, name, {"receipts": list(receipts)})


def forget_collected(context: Context, phase: str) -> None:
    """Before a task of the phase is done again: what is in the file would no longer be what is in the task's place."""
    context.out.delete(f"{COLLECTED}/{phase}.json")


def _collected(context: Context, phase: str) -> list[Receipt]:
    name = f"{COLLECTED}/{phase}.json"
    if not context.out.exists(name):
        return []
    try:
        found: list[Receipt] = checked_json.load_from(context.out, name)["receipts"]
    except DataError:
        return []
    return found
