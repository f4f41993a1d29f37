"""From --engine and its options to an Engine. The libraries of one are imported when it is asked for, and no sooner."""

import importlib
import os
from typing import cast

from tokenmill.core.errors import RecipeError
from tokenmill.engines.local import LocalEngine
from tokenmill.engines.workers import Engine

ENGINES = {"local": "", "spark": "pyspark", "dask": "distributed", "datatrove": "datatrove"}
OPTION_OF = {"master": "spark", "scheduler": "dask"}


def chosen_engine(
    name: str, *, workers: int | None = None, master: str | None = None, scheduler: str | None = None
) -> Engine:
    """Raises RecipeError for an engine that is unknown or not installed, and for an option of another one."""
    if name not in ENGINES:
        raise RecipeError(f"--engine {name}: want {', '.join(ENGINES)}")
    if workers is not None and workers < 1:
        raise RecipeError(f"--workers {workers}: want 1 or more")
    for option, value in {"master": master, "scheduler": scheduler}.items():
        if value is not None and OPTION_OF[option] != name:
            raise RecipeError(f"--{option} belongs to --engine {OPTION_OF[option]}, and this is {name}")
    if name == "local":
        return LocalEngine(workers=workers or len(os.sched_getaffinity(0)))
    try:
        importlib.import_module(ENGINES[name])
    except ImportError as error:
        raise RecipeError(f"--engine {name}: {error}; pip install 'tokenmill[{name}]'") from error
    module = importlib.import_module(f"tokenmill.engines.{name}")
    match name:
        case "spark":
            return cast(Engine, module.SparkEngine(master=master or (f"local[{workers}]" if workers else None)))
        case "dask":
            return cast(Engine, module.DaskEngine(scheduler=scheduler, workers=workers))
        case _:
            return cast(Engine, module.DatatroveEngine(workers=workers or len(os.sched_getaffinity(0))))
