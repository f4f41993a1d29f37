"""A unit of work that an engine may place anywhere, run twice, or run again after a crash."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from tokenmill.engines.context import Context

Report = Callable[[dict[str, int]], None]  # documents, kept and bytes since the last call
Receipt = dict[str, Any]  # what a task leaves last: `inputs`, `files`, `work`, and what it counted


class Task(Protocol):
    """Small and picklable; all that is large is in the Context, which workers hold already."""

    inputs: str  # fingerprint of the run up to here

    @abstractmethod
    def describe(self, context: Context) -> str:
        """For people: what this task works on."""
        raise NotImplementedError

    @abstractmethod
    def receipt(self, context: Context) -> str:
        """The receipt's name in the run's store."""
        raise NotImplementedError

    @abstractmethod
    def run(self, context: Context, report: Report) -> Receipt:
        """Do the work, commit it, return the receipt's body."""
        raise NotImplementedError

    def fingerprint(self, context: Context) -> str:
        """Of everything that the result depends on: a receipt counts only for the same."""
        return self.inputs

    def accepts(self, context: Context, receipt: Receipt) -> bool:
        """Whether a receipt that is there vouches for what this task would do."""
        return bool(receipt["inputs"] == self.fingerprint(context))
