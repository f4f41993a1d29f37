"""What surrounds a task on every engine: one core, the run's device, and errors that name the task."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from tokenmill.core.errors import DataError, EngineError, TokenmillError
from tokenmill.engines.context import Context
from tokenmill.engines.task import Receipt, Report, Task
from tokenmill.kernels.device import choose
from tokenmill.manifests.asset_cache import use_assets
from tokenmill.manifests.store import WORK


@dataclass(frozen=True, slots=True)
class Outcome:
    """A receipt, or the error that the run will raise; and the largest resident set of this process so far."""

    receipt: Receipt | None
    error: TokenmillError | None
    peak_bytes: int


def settle(context: Context) -> None:
    """Make this process a worker: one core of Arrow's, as more workers do more than more threads; where assets are."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    choose(context.device)
    if context.scratch is not None:
        use_assets(context.assets, context.scratch)


def run_task(context: Context, task: Task, report: Report) -> Outcome:
    """Never raises but for what ends the process: engines would retry what a retry cannot mend."""
    try:
        return Outcome(task.run(context, report), None, peak_bytes())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return Outcome(None, as_ours(error, task.describe(context)), peak_bytes())


def first_failure(failures: dict[int, TokenmillError]) -> TokenmillError:
    """What a phase raises: the first failure in the order of the tasks, and how many others there were."""
    first = failures[min(failures)]
    others = f" ({len(failures) - 1} more shards failed)" if len(failures) > 1 else ""
    return type(first)(f"{first}{others}")


def peak_bytes() -> int:
    """The largest resident set of this process so far. Not ru_maxrss: on Linux a child inherits its parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def as_ours(error: BaseException, where: str) -> TokenmillError:
    """Any exception as one of the three errors, with the shard's name."""
    match error:
        case TokenmillError():
            return type(error)(f"{where}: {error}")
        case FileNotFoundError() if f"/{WORK}/" in str(error.filename):
            return EngineError(
                f"{where}: {error.filename} is gone, which another task has made: by somebody who goes on with or has "
                "finished this run; run the same command again"
            )
        case FileNotFoundError():
            return DataError(f"{where}: {error.filename or error} is gone; restore it and run the same command again")
        case OSError():
            return EngineError(
                f"{where}: {error.strerror or error}: {error.filename or 'output'}; "
                "free space or mend the disk, then run the same command again"
            )
        case MemoryError():
            return EngineError(f"{where}: out of memory; use fewer workers, then run the same command again")
        case _:
            return DataError(f"{where}: {type(error).__name__}: {error}")
