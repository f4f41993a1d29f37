"""What a recipe ends in, where that is not Parquet documents."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

import pyarrow as pa

from tokenmill.core.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Format(Step):
    """Turns the final rows of one shard into files. The engine creates, checks and commits them."""

    folder: ClassVar[str]  # under the run's directory
    suffixes: ClassVar[tuple[str, ...]]  # of the files of one shard, for example (".bin", ".idx")

    @abstractmethod
    def write(self, batches: Iterable[pa.RecordBatch], create: Callable[[str], BinaryIO]) -> None:
        """Write one shard: `create(suffix)` opens each file for writing, in any order. Memory: one batch."""
        raise NotImplementedError
