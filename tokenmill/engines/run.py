"""One run of a plan on any engine: claim the place, go through all stations, write the manifest last."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenmill.core.errors import RecipeError
from tokenmill.engines import directory
from tokenmill.engines.closing import manifest_of
from tokenmill.engines.context import Context
from tokenmill.engines.driver import Driver, Progress
from tokenmill.engines.plan import Plan
from tokenmill.engines.workers import Engine, Workers
from tokenmill.kernels.device import Device
from tokenmill.manifests import checked_json
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.shown_uri import shown_uri
from tokenmill.manifests.store import WORK, Store


def run(
    plan: Plan,
    out: Store,
    engine: Engine,
    *,
    progress: Progress,
    device: Device = "cpu",
    assets: str | None = None,
    scratch: Path | None = None,
) -> Manifest:
    """Run `plan` into `out`, going on from whatever receipts are there; return the manifest. See Context for the rest.

    The same call after a crash, with other workers or on another engine, ends with the same bytes.
    Raises DataError, EngineError, or RecipeError before anything is written.
    """
    request = plan.request()
    if directory.is_finished(out):
        return finished(plan, out, request)
    began = time.monotonic()
    started = datetime.now(UTC)
    with directory.claimed(out, request) as already:
        if not already:
            context = Context(plan=plan, out=out, device=device, assets=assets, scratch=scratch)
            with _entered(engine, context) as workers:
                driver = Driver(context, workers, progress)
                driver.run()
                facts = {"engine": engine.name, **engine.facts(), "peak_bytes_per_worker": workers.peak_bytes}
            finish(context, driver, facts, started, round(time.monotonic() - began, 3))
            directory.clear(out)
    return finished(plan, out, request)


@contextmanager
def _entered(engine: Engine, context: Context) -> Iterator[Workers]:
    """The engine's workers; where there are none to be had, a place that was empty before is left so."""
    with ExitStack() as stack:
        try:
            workers = stack.enter_context(engine.workers_of(context))
        except BaseException:
            if not context.out.names(f"{WORK}/receipts"):
                directory.clear(context.out)
            raise
        yield workers


def finish(context: Context, driver: Driver, facts: dict[str, Any], started: datetime, seconds: float) -> None:
    """Write what all receipts came to; `facts` are of the engine. The manifest last: with it the run is finished."""
    plan, out = context.plan, context.out
    manifest = manifest_of(context, driver.receipts)
    directory.sweep(out, {s.path for s in manifest.shards})
    provenance = {
        "started": started.isoformat(),
        "seconds": seconds,
        **facts,
        "device": context.device,
        "host": platform.node(),
        "python": platform.python_version(),
        "user": os.environ.get("USER", ""),
        "phases_s": driver.seconds,
        "inputs": {
            s.name: {
                "uri": shown_uri(s.split.file.uri),
                "start": s.split.start,
                "stop": s.split.stop,
                "modified_ns": s.split.file.modified_ns,
            }
            for s in plan.shards
        },
        "request": plan.request(),
    }
    checked_json.save_in(out, directory.PROVENANCE, provenance)
    manifest.save(out)


def finished(plan: Plan, out: Store, request: dict[str, Any]) -> Manifest:
    """The manifest that is there, if it answers this very request and its inputs have not changed since."""
    manifest = Manifest.load(out)
    provenance = checked_json.load_from(out, directory.PROVENANCE)
    directory.check_same(out, provenance["request"], request)
    for shard in plan.shards:
        if provenance["inputs"].get(shard.name, {}).get("modified_ns") != shard.split.file.modified_ns:
            raise RecipeError(
                f"{out.uri}: {shard.split.file.uri} has changed since this run was finished; choose another --out"
            )
    out.delete_all(WORK)
    return manifest
