"""Amounts of memory and time as people at a cluster write them."""

import re

MEMORY_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
BINARY_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def memory_bytes(text: str) -> int:
    """`16GB` is 16e9 bytes, `16GiB` 2^34; so is `16G`, which is what Slurm and the JVM mean by it.

    Raises ValueError for anything else, a number without a unit among it: Slurm would take it for megabytes.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])(i?B|)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no amount of memory; want for example 16GB, 16GiB or 512MB")
    units = MEMORY_UNITS if match[3] == "B" else BINARY_UNITS
    return int(float(match[1]) * units[match[2]])


def time_s(text: str) -> int:
    """Seconds of `HH:MM:SS`, `D-HH`, `D-HH:MM`, `D-HH:MM:SS` (as Slurm reads them), `90min`, `4h`, `2d`.

    Raises ValueError for anything else: `30` and `30:00` mean minutes to Slurm, and hours or seconds to most readers.
    """
    text = text.strip()
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)", text):
        return int(float(match[1]) * SECONDS[match[2]])
    if match := re.fullmatch(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)", text):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    elif match := re.fullmatch(r"(\d+)-(\d+)(?::([0-5]\d))?", text):
        days, hours, minutes, seconds = (*(int(part or 0) for part in match.groups()), 0)
    else:
        raise ValueError(f"{text!r} is no length of time; want for example 04:00:00, 2-00:00:00, 90min or 4h")
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
