"""The local engine: worker processes on this machine. It decides when work runs; tasks decide what comes out."""

import hashlib
import os
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from tokenmill.core.barrier import Bounds, Round, Summary, Verdict
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.step import canonical_json
from tokenmill.engines import directory
from tokenmill.engines.address import read_whole
from tokenmill.engines.bounds import BoundsTask
from tokenmill.engines.closing import Receipt, manifest_of
from tokenmill.engines.components import LINKS_IN_MEMORY, ComponentsTask, LabelTask, StarTask
from tokenmill.engines.context import Context
from tokenmill.engines.emit import EmitTask
from tokenmill.engines.index import IndexTask
from tokenmill.engines.plan import Plan
from tokenmill.engines.pool import Pool
from tokenmill.engines.reduce import ReduceTask, files_of, partition_name, partitions
from tokenmill.engines.regroup import GatherTask, ScatterTask
from tokenmill.engines.segment import ShardTask
from tokenmill.engines.summary import SummaryTask, read_summary
from tokenmill.engines.task import Task
from tokenmill.kernels.device import Device
from tokenmill.manifests import checked_json
from tokenmill.manifests.attempt import WORK
from tokenmill.manifests.manifest import Manifest


class Progress(Protocol):
    """Told what happens; shows it or not. Never decides anything."""

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None: ...

    def news(self, counts: dict[str, int]) -> None: ...

    def task_done(self) -> None: ...


def run(plan: Plan, out: Path, *, workers: int, progress: Progress, device: Device = "cpu") -> Manifest:
    """Run `plan` into `out`, going on from whatever receipts are there; return the manifest.

    The same call after a crash, or with other workers, ends with the same bytes. Memory: a worker holds one
    batch through all stages, one row group of each open file and the ledger of its shard, or one partition of
    a verdict's rows. Raises DataError, EngineError, or RecipeError before anything is written.
    """
    request = plan.request()
    if directory.is_finished(out):
        return _finished(plan, out, request)
    began = time.monotonic()
    started = datetime.now(UTC)
    with directory.claimed(out, request):
        context = Context(plan=plan, out=out, device=device)
        with Pool(context, workers) as pool:
            driver = _Driver(context, pool, progress)
            receipts = driver.run()
            peak = pool.peak_bytes
        manifest = manifest_of(context, receipts)
        directory.sweep(out, {s.path for s in manifest.shards})
        provenance = {
            "started": started.isoformat(),
            "seconds": round(time.monotonic() - began, 3),
            "engine": "local",
            "workers": workers,
            "device": device,
            "peak_bytes_per_worker": peak,
            "host": platform.node(),
            "python": platform.python_version(),
            "user": os.environ.get("USER", ""),
            "phases_s": driver.seconds,
            "inputs": {
                s.name: {
                    "uri": os.path.abspath(s.split.file.uri),
                    "start": s.split.start,
                    "stop": s.split.stop,
                    "modified_ns": s.split.file.modified_ns,
                }
                for s in plan.shards
            },
            "request": request,
        }
        checked_json.save(out / directory.PROVENANCE, provenance)
        manifest.save(out)
    shutil.rmtree(out / WORK, ignore_errors=True)
    return manifest


def _finished(plan: Plan, out: Path, request: dict[str, Any]) -> Manifest:
    """The manifest that is there, if it answers this very request and its inputs have not changed since."""
    manifest = Manifest.load(out)
    provenance = checked_json.load(out / directory.PROVENANCE)
    directory.check_same(out, provenance["request"], request)
    for shard in plan.shards:
        if provenance["inputs"].get(shard.name, {}).get("modified_ns") != shard.split.file.modified_ns:
            raise RecipeError(
                f"{out}: {shard.split.file.uri} has changed since this run was finished; choose another --out"
            )
    shutil.rmtree(out / WORK, ignore_errors=True)
    return manifest


class _Driver:
    """Takes a run through its phases. Each phase's receipts feed the fingerprint of the next."""

    def __init__(self, context: Context, pool: Pool, progress: Progress) -> None:
        self._context = context
        self._pool = pool
        self._progress = progress
        self._receipts: dict[str, list[Receipt]] = {}
        self._state = ""
        self.seconds: dict[str, float] = {}

    def run(self) -> dict[str, list[Receipt]]:
        context = self._context
        for number, segment in enumerate(context.segments):
            gathers = context.regroup_of(number - 1)
            if gathers is not None:
                names = gathers.groups(read_summary(context, gathers.wants))
                tasks: Sequence[Task] = [
                    GatherTask(segment=number, group=g, name=n, inputs=self._state) for g, n in enumerate(names)
                ]
                self._phase(f"segment {number}", tasks)
            else:
                self._shards(number)
            for place, barrier in enumerate(segment.barriers):
                if isinstance(barrier, Verdict):
                    self._verdict(number, place, barrier)
                elif isinstance(barrier, Summary):
                    self._phase(barrier.name, [SummaryTask(segment=number, barrier=place, inputs=self._state)])
                else:
                    tasks = [
                        ScatterTask(segment=number, shard=s.index, inputs=self._state) for s in context.plan.shards
                    ]
                    self._phase(barrier.name, tasks)
        if context.indexed_barriers:
            self._phase("index", [IndexTask(shard=s.index, inputs=self._state) for s in context.plan.shards])
        return self._receipts

    def _shards(self, number: int) -> None:
        context = self._context
        shards = context.plan.shards
        tasks = [
            ShardTask(segment=number, shard=s.index, inputs=self._fingerprint(s.fingerprint() if number == 0 else ""))
            for s in shards
        ]
        receipts = self._phase(f"segment {number}", tasks)
        if number:
            return
        # A searched range may have begun at something that only looks like a record. Its neighbour knows better.
        for left, right in pairwise(shards):
            if not right.split.searched or left.split.file != right.split.file:
                continue
            ended = receipts[left.index]["ended"]
            if ended is not None and ended != receipts[right.index]["began"]:
                moved = replace(
                    tasks[right.index], start=ended, inputs=self._fingerprint(f"{right.fingerprint()}@{ended}")
                )
                receipts[right.index] = self._phase("segment 0, moved ranges", [moved])[0]
        self._receipts = {"segment 0": receipts}
        self._state = _digest([receipts])

    def _fingerprint(self, of: str) -> str:
        return _digest([self._state, of])

    def _phase(self, name: str, tasks: Sequence[Task]) -> list[Receipt]:
        """Run what no receipt vouches for; all receipts, in the order of the tasks."""
        context = self._context
        began = time.monotonic()
        receipts: list[Receipt | None] = [_receipt(context, task) for task in tasks]
        missing = [n for n, r in enumerate(receipts) if r is None]
        size = context.plan.bytes if name.startswith("segment 0") else 0
        self._progress.phase(name, len(tasks), len(tasks) - len(missing), size)

        def done(number: int, receipt: Receipt) -> None:
            receipts[missing[number]] = receipt
            self._progress.task_done()

        self._pool.run([tasks[n] for n in missing], done, self._progress.news)
        complete = [r for r in receipts if r is not None]
        self._receipts[name] = complete
        self._state = _digest([self._state, complete])
        self.seconds[name] = round(time.monotonic() - began, 3)
        return complete

    def _verdict(self, segment: int, place: int, barrier: Verdict) -> None:
        """All rounds of one verdict, then its bounds."""
        context = self._context
        index = [-1 - n for n in range(len(context.plan.index))] if barrier.index is not None else []
        for number, round_ in enumerate(barrier.rounds):
            name = barrier.name if len(barrier.rounds) == 1 else f"{barrier.name}.{round_.name}"
            # The first round's rows of the sources were emitted while their text was at hand.
            shards = index if number == 0 else [*range(len(context.plan.shards)), *index]
            if shards:
                emits = [
                    EmitTask(segment=segment, barrier=place, round=number, shard=shard, inputs=self._state)
                    for shard in shards
                ]
                self._phase(f"{name}, keyed", emits)
            of = partitions(context, barrier, round_)
            self._clear_other_partitions(barrier, round_, of)
            tasks = [
                ReduceTask(segment=segment, barrier=place, round=number, partition=p, of=of, inputs=self._state)
                for p in range(of)
            ]
            self._phase(name, tasks)
            if round_.links:
                self._components(segment, place, number, name)
        if barrier.bounds != Bounds():
            bounds = BoundsTask(segment=segment, barrier=place, inputs=self._state)
            self._phase(f"{barrier.name}, bounds", [bounds])

    def _components(self, segment: int, place: int, number: int, name: str) -> None:
        """Of the links of one round: by one task, or by stars over ranges of nodes where they are too many for that."""
        barrier = self._context.verdict(segment, place)
        files = files_of(self._context, "links", barrier, barrier.rounds[number])
        links = sum(read_whole(path).num_rows for path in files)
        of = max(1, -(-links // LINKS_IN_MEMORY))
        wanted = {f"components-{partition_name(p, of)}" for p in range(of)} if of > 1 else {"components"}
        for path in files_of(self._context, "answers", barrier, barrier.rounds[number]):
            if path.stem.partition(".")[2] not in wanted:
                path.unlink()
        where = {"segment": segment, "barrier": place, "round": number}
        if of == 1:
            self._phase(f"{name}, components", [ComponentsTask(**where, inputs=self._state)])
            return
        before = len(files)
        keyed = [StarTask(**where, step=0, partition=p, of=before, before=0, inputs=self._state) for p in range(before)]
        self._phase(f"{name}, star step 0", keyed)
        step, changes = 0, 1
        while changes:
            changes = 0
            for _ in range(2):
                step += 1
                each = {**where, "step": step, "of": of, "before": before, "inputs": self._state}
                receipts = self._phase(f"{name}, star step {step}", [StarTask(**each, partition=p) for p in range(of)])
                before = of
                changes += sum(receipt["changes"] for receipt in receipts)
        labels = [LabelTask(**where, step=step, partition=p, of=of, inputs=self._state) for p in range(of)]
        self._phase(f"{name}, components", labels)

    def _clear_other_partitions(self, barrier: Verdict, round_: Round, of: int) -> None:
        """Remove files of another partitioning, left by a run whose input has changed since."""
        wanted = {f"{round_.name}.{partition_name(p, of)}.arrow" for p in range(of)}
        for what in ("verdicts", "answers", "links"):
            for path in files_of(self._context, what, barrier, round_):
                if path.name not in wanted and "components" not in path.name:
                    path.unlink()


def _receipt(context: Context, task: Task) -> Receipt | None:
    """The receipt of `task`, if there is one for the same inputs and the files that it names are there."""
    path = task.receipt(context)
    if not path.exists():
        return None
    try:
        body = checked_json.load(path)
    except DataError:
        return None
    files = [f["path"] for f in body["files"]] + list(body["work"])
    intact = body["inputs"] == task.inputs and all((context.out / f).exists() for f in files)
    return body if intact else None


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
