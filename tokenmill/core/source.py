"""Where documents come from. A source says how to split and read its files; the engine opens them."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow as pa

Open = Callable[[str], BinaryIO]  # uri -> a seekable binary stream; the engine supplies it


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One input file. `name` (relative to the source's root, "/" between parts) fixes the order of shards."""

    name: str
    uri: str
    size: int  # bytes
    modified_ns: int = 0  # with `size`, tells a resumed run that the file is still the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A part of one file, cut by the input alone: what one shard reads.

    `start` and `stop` count bytes, or row groups where the format has them. A range of bytes owns the records
    that begin inside it. Where the first record of a range must be searched for and could be mistaken
    (a WARC inside a WARC), `searched` is True and the engine compares where the neighbour ended.
    """

    file: File
    start: int
    stop: int
    bytes: int  # how much there is to read, for progress
    searched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some records of a split, in order, and what was passed over between them.

    `records` has the schema RECORD. `passed_over` counts, by kind, what is no document (requests, images, ...).
    `position` is how far into the split reading has come, in bytes, for progress. On the last chunk of a range,
    `began` and `ended` are the offsets of its first record and of the first one that belongs to the next range.
    """

    records: pa.RecordBatch
    passed_over: Mapping[str, int] = field(default_factory=dict)
    position: int = 0
    began: int | None = None
    ended: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A named origin. `name` is what documents carry as `source`; it is never a path.

    `priority` decides between equal documents of different sources: the lower one is kept.
    """

    name: str
    licence: str = "unknown"
    date: str | None = None  # ISO 8601, of the crawl or the release
    priority: int = 0
    files: tuple[File, ...] = ()

    @abstractmethod
    def splits(self, open: Open) -> list[Split]:
        """The shards-to-be, ordered by (file name, start). Reads headers and footers at most.

        Raises DataError, naming the file, for one that can never be read as what its name says.
        """
        raise NotImplementedError

    @abstractmethod
    def read(self, split: Split, open: Open, batch_bytes: int) -> Iterator[Chunk]:
        """The records of `split`, in order, in batches of about `batch_bytes`, at least one chunk.

        A record that cannot be read is a row with `error` set, and costs no other record.
        """
        raise NotImplementedError
