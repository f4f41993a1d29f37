"""Compile a kernel once per machine and per state of the kernels, and never run yesterday's code.

numba's own cache watches only the file of the function that it compiles. A kernel that calls into another file
would go on with what that file was before an upgrade or a pull. So the cache lies in a folder named for the
contents of every file of this package: other contents, another folder.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """`numba.njit` that releases the GIL and caches in `cache_folder()`."""
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(cache_folder())  # read while decorating; other users of numba keep their own
    try:
        return cast(Function, numba.njit(cache=True, nogil=True)(function))
    finally:
        config.CACHE_DIR = before


@cache
def cache_folder() -> Path:
    """Beside the kernels where that can be written, else in the user's cache. NUMBA_CACHE_DIR goes before both."""
    here = Path(__file__).parent
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(here.iterdir()):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    name = f"numba-{digest.hexdigest()[:12]}"
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen) / name
    beside = here / "__pycache__" / name
    try:
        beside.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tokenmill" / name
    return beside
