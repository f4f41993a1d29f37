"""A unit of work that an engine may place anywhere, run twice, or run again after a crash."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tokenmill.engines.context import Context

Report = Callable[[dict[str, int]], None]  # documents, kept and bytes since the last call


class Task(Protocol):
    """Small and picklable; all that is large is in the Context, which workers hold already."""

    @property
    def inputs(self) -> str:
        """Fingerprint of everything the task's result depends on: a receipt counts only for the same."""
        ...

    def describe(self, context: Context) -> str:
        """For people: what this task works on."""
        ...

    def receipt(self, context: Context) -> Path: ...

    def run(self, context: Context, report: Report) -> dict[str, Any]:
        """Do the work, commit it, return the receipt's body."""
        ...
