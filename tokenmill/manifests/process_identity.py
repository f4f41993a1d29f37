"""Which process holds something: enough to know, on the same machine, that it is no longer there."""

import hashlib
import os
import uuid
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """Its machine since the last boot, its place among processes, and when it started: numbers are used again."""
    return {"host": os.uname().nodename, "place": _place(), "pid": os.getpid(), "started": _started(os.getpid())}


def is_dead(process: dict[str, Any]) -> bool:
    """True only if it ran where we run and is gone; elsewhere nobody can tell from here."""
    if process.get("place") != _place() or process.get("host") != os.uname().nodename:
        return False
    return bool(_started(int(process.get("pid", 0))) != process.get("started"))


def name_of_ours() -> str:
    """A new name for a file or folder that is of use only as long as this process lives."""
    pid = os.getpid()
    return f"{pid}-{_started(pid)}-{_where()}.{uuid.uuid4().hex}"


def is_of_dead(name: str) -> bool:
    """Was `name` given by `name_of_ours`, here, in a process that is gone? False for every other name."""
    process, _, _ = name.rpartition(".")
    pid, started, where = (process.split("-") + [""] * 3)[:3]
    return pid.isdecimal() and where == _where() and str(_started(int(pid))) != started


def _where() -> str:
    return hashlib.sha256(f"{os.uname().nodename}\0{_place()}".encode()).hexdigest()[:16]


def _place() -> str:
    """Of this boot of the machine and this container; process numbers mean something only within."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"unknown {os.getpid()}"  # never equal to another's


def _started(pid: int) -> int | None:
    """In clock ticks since boot; None if there is no such process, or only its body waits to be buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
