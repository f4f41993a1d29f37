"""A settled run in one file: what elements of a job start from, without looking at the sources again."""

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path

from tokenmill.core.errors import RecipeError
from tokenmill.engines.context import Context
from tokenmill.engines.plan import Plan
from tokenmill.jobs.places import out_at, scratch_folder
from tokenmill.jobs.prepared import PLAN
from tokenmill.jobs.watch import Watch
from tokenmill.kernels.device import Device
from tokenmill.manifests.checked_json import write_whole


@dataclass(frozen=True, slots=True)
class _Settled:
    """`modules`: folders in which the user's own steps are found, by whom `plan` is unpickled."""

    modules: tuple[str, ...]
    plan: bytes
    out: str
    device: Device
    assets: str | None
    watch: Watch | None


def write_plan(
    folder: Path, plan: Plan, out: str, device: Device, assets: str | None = None, watch: Watch | None = None
) -> None:
    """Write `folder`/plan.pickle. The steps of a user's file are imported again from where it lies."""
    settled = _Settled(_foreign_folders(plan), pickle.dumps(plan), out, device, assets, watch)
    write_whole(folder / PLAN, pickle.dumps(settled))


def read_plan(folder: Path) -> Context:
    """Raises RecipeError for a folder without one, or one of another version of this package."""
    context, _ = read_watched(folder)
    return context


def read_watched(folder: Path) -> tuple[Context, Watch | None]:
    """With who is to be told of the run. Raises as `read_plan`."""
    try:
        settled: _Settled = pickle.loads((folder / PLAN).read_bytes())
        sys.path[:0] = [path for path in settled.modules if path not in sys.path]
        plan: Plan = pickle.loads(settled.plan)
    except FileNotFoundError as error:
        raise RecipeError(f"{folder}: holds no {PLAN}; name the folder of a submitted job") from error
    except (pickle.UnpicklingError, AttributeError, ImportError, TypeError, EOFError) as error:
        raise RecipeError(
            f"{folder / PLAN}: not a plan of this version ({error}); submit the job again from the version that runs it"
        ) from error
    out = out_at(settled.out)
    context = Context(plan=plan, out=out, device=settled.device, assets=settled.assets, scratch=scratch_folder())
    return context, settled.watch


def _foreign_folders(plan: Plan) -> tuple[str, ...]:
    """Where the modules lie that are neither ours nor installed."""
    kinds = {type(thing) for thing in (*plan.recipe.all_steps(), *plan.sources)}
    files = {getattr(sys.modules[kind.__module__], "__file__", None) for kind in kinds if "." not in kind.__module__}
    return tuple(sorted(str(Path(file).resolve().parent) for file in files if file is not None))
