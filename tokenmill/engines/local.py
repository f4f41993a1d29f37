"""The local engine: worker processes on this machine."""

from dataclasses import dataclass
from typing import Any, ClassVar

from tokenmill.engines.context import Context
from tokenmill.engines.pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEngine:
    """`workers` processes. Memory of one: a batch through all stages, a row group of each open file and the ledger of

    its shard, or one partition of a verdict's rows."""

    name: ClassVar[str] = "local"

    workers: int

    def workers_of(self, context: Context) -> Pool:
        return Pool(context, self.workers)

    def facts(self) -> dict[str, Any]:
        return {"workers": self.workers}
