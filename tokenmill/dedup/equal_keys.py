"""What the exact family shares: of the rows whose keys are equal, one stays, the most preferred.

A key has 128 bits: `key`, the half by which rows meet, and `rest`. Odds that any two of 10^11 different keys are
equal: 1e-17.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.core.barrier import Bounds, Meeting
from tokenmill.core.step import canonical_json
from tokenmill.dedup.narrow_rows import Integers, column, verdicts
from tokenmill.dedup.preference import check_policy, columns_of, preference, recalled, who, who_is

# The columns of a key. `rest` is null where a row is compared with nothing.
KEY = pa.schema([pa.field("key", pa.uint64(), nullable=False), pa.field("rest", pa.uint64())])

NOT_OF_THE_KEY = frozenset({"prefer", "lost_share_at_most", "cluster_at_most"})  # parameters of who stays


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOfEachKey(Meeting):
    """Documents with equal keys are duplicates of the most preferred of them.

    Emits 48 bytes and 8 a criterion per document, beside its address; `decide` needs 40 bytes per row beside its
    input, and 110 more per row that has a twin.
    """

    prefer: tuple[str, ...]
    lost_share_at_most: float | None = None  # of the documents of any one source, 0..1; None: no bound
    cluster_at_most: int | None = None  # documents removed for any one keeper; None: no bound

    def __post_init__(self) -> None:
        check_policy(self.prefer, self.name)
        self.bounds.check(self.name)

    @property
    def reads(self) -> pa.Schema:
        return columns_of(self.prefer)

    @property
    def emits(self) -> pa.Schema:  # its width follows from the policy
        return pa.schema([*KEY, *who(self.prefer)])

    @property
    def bounds(self) -> Bounds:
        return Bounds(lost_share_at_most=self.lost_share_at_most, cluster_at_most=self.cluster_at_most)

    @property
    def index_version(self) -> str:
        """Keys are the same whatever the bounds, and for any policy of as many criteria."""
        key = {name: value for name, value in self.parameters().items() if name not in NOT_OF_THE_KEY}
        return canonical_json([self.revision, len(self.prefer), key])

    def recalled(self, rows: pa.RecordBatch, priority: int) -> pa.RecordBatch:
        return recalled(rows, self.prefer, priority)

    @abstractmethod
    def hashes(self, batch: pa.RecordBatch, content: pa.FixedSizeBinaryArray) -> pa.FixedSizeBinaryArray:
        """The key of each row in 16 bytes; null: compared with nothing. `content` has the hashes of the texts."""
        raise NotImplementedError

    def emit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        prefer, ids, content = who_is(batch, self.prefer, self.name)
        hashes = self.hashes(batch, content)
        null = hashes.is_null().to_numpy(zero_copy_only=False)
        # What is compared with nothing is spread by its id, so that no range of keys gets all of it.
        key = np.where(null, _halves(ids)[:, 0], _halves(hashes)[:, 0])
        rest = pa.array(_halves(hashes)[:, 1], mask=null)
        return pa.record_batch([pa.array(key), rest, prefer, ids, content], schema=self.emits)

    def decide(self, rows: pa.Table) -> tuple[pa.Table, Mapping[str, int]]:
        """Counts: `sets` of equal documents of which some leave."""
        sets = equal_sets(rows)
        removed, number = sets.rows[sets.leave], sets.number[sets.leave]
        table = verdicts(rows, removed, sets.first[number], np.ones(len(removed), np.float32))
        return table, {"sets": len(np.unique(number))}


@dataclass(frozen=True, slots=True)
class Sets:
    """Rows with one key, two or more of them a set. Arrays run over the rows that are in any set."""

    rows: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]  # of the set that each is in: 0, 1, ..., ascending
    sizes: npt.NDArray[np.int64]  # by number
    first: npt.NDArray[np.int64]  # by number: the most preferred row
    leave: npt.NDArray[np.bool_]  # all but the first, and but those of an index


def equal_sets(rows: pa.Table, within: tuple[str, ...] = ()) -> Sets:
    """The sets among `rows`, which have the columns of KEY, of preference.who and of ADDRESS.

    Two rows of one document stand in the order of the columns `within`. Cost: one sort of all keys, another of those
    that have a twin, then linear, however many rows share one key.
    """
    rest = rows["rest"].combine_chunks()
    some = np.flatnonzero(rest.is_valid().to_numpy(zero_copy_only=False))
    some = some[_twins(column(rows, "key", some))]
    key, other = column(rows, "key", some), rest.fill_null(0).to_numpy()[some]
    order = np.lexsort((other, key))
    some, key, other = some[order], key[order], other[order]
    begins = np.ones(len(some), np.bool_)
    begins[1:] = (key[1:] != key[:-1]) | (other[1:] != other[:-1])
    sizes = np.bincount(np.cumsum(begins) - 1)
    several = np.repeat(sizes > 1, sizes)  # not all: rows may meet by `key` and differ in `rest`
    some, sizes = some[several], sizes[sizes > 1]
    number = np.repeat(np.arange(len(sizes)), sizes)
    criteria = [*(column(rows, name, some) for name in within[::-1]), *preference(rows, some)]
    first = some[_first_of_each(number, criteria)]
    leave = (some != first[number]) & (column(rows, "shard", some) >= 0)
    return Sets(some, number, sizes, first, leave)


def _twins(keys: Integers) -> npt.NDArray[np.int64]:
    """Places of the keys that are there more than once."""
    order = np.argsort(keys)
    keys = keys[order]
    same = keys[1:] == keys[:-1]
    twin = np.zeros(len(keys), np.bool_)
    twin[1:] |= same
    twin[:-1] |= same
    found: npt.NDArray[np.int64] = order[twin]
    return found


def _first_of_each(number: npt.NDArray[np.int64], criteria: list[Integers]) -> npt.NDArray[np.int64]:
    """The place that comes first in each set by `criteria`, as for numpy.lexsort: the last one decides first.

    Each criterion leaves the places with the least value of their set, and most sets are down to one place soon.
    """
    left = np.arange(len(number))
    for values in criteria[::-1]:
        begins = np.flatnonzero(np.diff(number[left], prepend=-1))
        if len(begins) == len(left):
            break
        here = values[left]
        left = left[here == np.minimum.reduceat(here, begins)[number[left]]]
    return left


def _halves(values: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint64]:
    """uint64[n, 2]; anything where null."""
    data = values.buffers()[1] if len(values) else b""
    numbers = np.frombuffer(data, ">u8").reshape(-1, 2)
    return numbers[values.offset : values.offset + len(values)].astype(np.uint64)
