"""Takes a run from station to station, on any engine. Each phase's receipts feed the fingerprint of the next."""

import pickle
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Protocol, cast

from tokenmill.core.barrier import Round, Verdict
from tokenmill.engines.bounds import BoundsTask
from tokenmill.engines.components import LINKS_IN_MEMORY, ComponentsTask, LabelTask, StarTask
from tokenmill.engines.context import Context
from tokenmill.engines.digest import digest
from tokenmill.engines.emit import EmitTask
from tokenmill.engines.index import IndexTask
from tokenmill.engines.merge import MergeTask, merge_tasks, written_names
from tokenmill.engines.phase import Along, Phase
from tokenmill.engines.receipts import collect, forget_collected, found_receipts
from tokenmill.engines.reduce import ReduceTask, names_of, partition_name, partitions
from tokenmill.engines.regroup import GatherTask, ScatterTask
from tokenmill.engines.segment import ShardTask
from tokenmill.engines.stations import Station, stations
from tokenmill.engines.summary import SummaryTask, read_summary
from tokenmill.engines.task import Receipt, Task
from tokenmill.engines.workers import Done, Joining, News, Shuffling, Workers
from tokenmill.manifests.store import WORK

TICKETS = f"{WORK}/tickets"


class Progress(Protocol):
    """Told what happens; shows it or not. Never decides anything."""

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None: ...

    def news(self, counts: dict[str, int]) -> None: ...

    def task_done(self) -> None: ...


class Driver:
    """One run, from its first station on. What a receipt vouches for is not done again."""

    def __init__(self, context: Context, workers: Workers, progress: Progress) -> None:
        self._context = context
        self._workers = workers
        self._progress = progress
        self._state = ""
        self.receipts: dict[str, list[Receipt]] = {}
        self.seconds: dict[str, float] = {}

    def run(self, until: int | None = None) -> dict[str, list[Receipt]]:
        """Through all stations, or those before number `until`; the receipts by phase."""
        for station in stations(self._context)[:until]:
            for phase in self._phases(station):
                self._run(phase)
        return self.receipts

    def write_ticket(self, number: int) -> None:
        """Leave what others need to know to work at station `number`, once all before it are done."""
        station = stations(self._context)[number]
        phase = next(self._phases(station), Phase(name=station.name, tasks=()))
        self._context.out.write(ticket_name(number), pickle.dumps(phase))

    def _phases(self, station: Station) -> Iterator[Phase]:
        """The first is known when all stations before are done; each further one when that before it is."""
        context, state = self._context, self._state
        where = _where(station)
        shards = range(len(context.plan.shards))
        match station.kind:
            case "segment":
                yield from self._segment(station)
            case "gather":
                gathers = context.regroup_of(station.segment - 1)
                assert gathers is not None
                names = gathers.groups(read_summary(context, gathers.wants))
                tasks = [
                    GatherTask(segment=station.segment, group=g, name=n, inputs=state) for g, n in enumerate(names)
                ]
                yield Phase(name=station.name, tasks=tasks)
            case "keyed":
                barrier = context.verdict(station.segment, station.place)
                index = [-1 - n for n in range(len(context.plan.index))] if barrier.index is not None else []
                numbers = index if station.round == 0 else [*shards, *index]
                emit = EmitTask(**where, round=station.round, shard=0, inputs=state)
                yield Phase(name=station.name, tasks=Along(first=emit, axis="shard", numbers=numbers))
            case "merge":
                is_verdict = isinstance(context.segments[station.segment].barriers[station.place], Verdict)
                if not (is_verdict and isinstance(self._workers, Shuffling)):  # whose senders gather rows themselves
                    yield Phase(name=station.name, tasks=self._merges(station))
            case "reduce":
                yield self._reduce(station)
            case "components":
                yield from self._components(station)
            case "bounds":
                yield Phase(name=station.name, tasks=[BoundsTask(**where, inputs=state)])
            case "summary":
                yield Phase(name=station.name, tasks=[SummaryTask(**where, inputs=state)])
            case "scatter":
                scatter = ScatterTask(segment=station.segment, shard=0, inputs=state)
                yield Phase(name=station.name, tasks=Along(first=scatter, axis="shard", numbers=shards))
            case "index":
                indexing = IndexTask(shard=0, inputs=state)
                yield Phase(name=station.name, tasks=Along(first=indexing, axis="shard", numbers=shards))
            case "finish":
                return

    def _segment(self, station: Station) -> Iterator[Phase]:
        plan = self._context.plan
        first = ShardTask(segment=station.segment, shard=0, inputs=self._state)
        tasks = Along(first=first, axis="shard", numbers=range(len(plan.shards)))
        yield Phase(name=station.name, tasks=tasks, bytes=0 if station.segment else plan.bytes)
        if station.segment:
            return
        # A searched range may have begun at something that only looks like a record. Its neighbour knows better.
        receipts = self.receipts[station.name]
        for left, right in pairwise(plan.shards):
            if not right.split.searched or left.split.file != right.split.file:
                continue
            ended = receipts[left.index]["ended"]
            if ended is not None and ended != receipts[right.index]["began"]:
                moved = f"{station.name}, moved ranges"
                yield Phase(name=moved, tasks=[replace(cast(ShardTask, tasks[right.index]), start=ended)])
                receipts[right.index] = self.receipts.pop(moved)[0]
        self._state = digest([receipts])

    def _merges(self, station: Station) -> list[MergeTask]:
        context = self._context
        names = written_names(context, station.segment, station.place, station.round)
        sizes = self._sizes_in(names[0].rpartition("/")[0])
        first = MergeTask(**_where(station), round=station.round, group=0, first=0, stop=0, bytes=0, inputs=self._state)
        tasks = merge_tasks(first, [sizes[name] for name in names])
        barrier = context.segments[station.segment].barriers[station.place].name
        wanted = {context.merged(barrier, station.round, task.group) for task in tasks}
        for name in context.out.names(context.merged_folder(barrier, station.round)):
            if name not in wanted:  # of another input
                context.out.delete(name)
        return tasks

    def _reduce(self, station: Station) -> Phase:
        context = self._context
        barrier = context.verdict(station.segment, station.place)
        round_ = barrier.rounds[station.round]
        emitted = self._sizes_in(context.emitted(barrier.name, round_, "x").rpartition("/")[0])
        of = partitions(sum(emitted.values()))
        self._clear_other_partitions(barrier, round_, of)
        reduce = ReduceTask(**_where(station), round=station.round, partition=0, of=of, inputs=self._state)
        return Phase(name=station.name, tasks=Along(first=reduce, axis="partition", numbers=range(of)), how="reduce")

    def _components(self, station: Station) -> Iterator[Phase]:
        """Of the links of one round: by one task, or by stars over ranges of nodes where they are too many for that."""
        context = self._context
        barrier = context.verdict(station.segment, station.place)
        round_ = barrier.rounds[station.round]
        where = {**_where(station), "round": station.round}
        reduced = self.receipts[station.name.removesuffix(", components")]
        of = max(1, -(-sum(receipt["links"] for receipt in reduced) // LINKS_IN_MEMORY))
        names = [f"components-{partition_name(p, of)}" for p in range(of)] if of > 1 else ["components"]
        wanted = {f"{round_.name}.{name}.arrow" for name in names}
        for name in names_of(context, "answers", barrier, round_):
            if name.rpartition("/")[2] not in wanted:
                context.out.delete(name)
        if of == 1:
            joining: Sequence[Task] = [ComponentsTask(**where, inputs=self._state)]
            yield Phase(name=station.name, tasks=joining, how="components")
            return
        # An engine that joins by itself needs no steps of ours: what it finds is the same.
        steps = 0 if isinstance(self._workers, Joining) else (yield from self._stars(station, of, len(reduced)))
        label = LabelTask(**where, step=steps, partition=0, of=of, inputs=self._state)
        tasks = Along(first=label, axis="partition", numbers=range(of))
        yield Phase(name=station.name, tasks=tasks, how="components")

    def _stars(self, station: Station, of: int, before: int) -> Generator[Phase, None, int]:
        """Large and small stars in turn until neither changes anything; how many steps that took."""
        round_name = station.name.removesuffix(", components")
        where = {**_where(station), "round": station.round}
        first = StarTask(**where, step=0, partition=0, of=before, before=0, inputs=self._state)
        yield Phase(
            name=f"{round_name}, star step 0", tasks=Along(first=first, axis="partition", numbers=range(before))
        )
        step, changes = 0, 1
        while changes:
            changes = 0
            for _ in range(2):
                step += 1
                star = replace(first, step=step, of=of, before=before, inputs=self._state)
                name = f"{round_name}, star step {step}"
                yield Phase(name=name, tasks=Along(first=star, axis="partition", numbers=range(of)))
                before = of
                changes += sum(receipt["changes"] for receipt in self.receipts[name])
        return step

    def _run(self, phase: Phase) -> None:
        """Do what no receipt vouches for."""
        began = time.monotonic()
        tasks = phase.tasks
        receipts = found_receipts(self._context, phase.name, tasks)
        missing = [n for n, receipt in enumerate(receipts) if receipt is None]
        self._progress.phase(phase.name, len(tasks), len(tasks) - len(missing), phase.bytes)

        def done(number: int, receipt: Receipt) -> None:
            receipts[missing[number]] = receipt
            self._progress.task_done()

        if missing:
            forget_collected(self._context, phase.name)
            run_phase(self._workers, replace(phase, tasks=[tasks[n] for n in missing]), done, self._progress.news)
        complete = [receipt for receipt in receipts if receipt is not None]
        collect(self._context, phase.name, complete)
        self.receipts[phase.name] = complete
        if not isinstance(next(iter(tasks), None), MergeTask):  # the same rows, and not on every engine
            self._state = digest([self._state, complete])
        self.seconds[phase.name] = round(time.monotonic() - began, 3)

    def _sizes_in(self, folder: str) -> dict[str, int]:
        """Bytes of the engine's own files in one folder, by the receipts that name them."""
        return {
            name: size
            for receipts in self.receipts.values()
            for receipt in receipts
            for name, size in receipt["work"].items()
            if name.startswith(f"{folder}/")
        }

    def _clear_other_partitions(self, barrier: Verdict, round_: Round, of: int) -> None:
        """Remove files of another partitioning, left by a run whose input has changed since."""
        wanted = {f"{round_.name}.{partition_name(p, of)}.arrow" for p in range(of)}
        for what in ("verdicts", "answers", "links"):
            for name in names_of(self._context, what, barrier, round_):
                file = name.rpartition("/")[2]
                if file not in wanted and not file.startswith(f"{round_.name}.components"):  # of the station behind
                    self._context.out.delete(name)


def _where(station: Station) -> dict[str, Any]:
    """What every task of a barrier is told of it."""
    return {"segment": station.segment, "barrier": station.place}


def run_phase(workers: Workers, phase: Phase, done: Done, news: News) -> None:
    """By the engine's own way where it has one for such a phase."""
    if phase.how == "reduce" and isinstance(workers, Shuffling):
        workers.reduce(cast(Sequence[ReduceTask], phase.tasks), done, news)
    elif phase.how == "components" and isinstance(workers, Joining):
        workers.components(cast(Sequence[ComponentsTask], phase.tasks), done, news)
    else:
        workers.run(phase.tasks, done, news)


def ticket_name(station: int) -> str:
    return f"{TICKETS}/{station:03d}.pickle"
