"""A byte-level BPE tokenizer as the arrays that the kernel works with: each process has its own, which learns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tokenmill.kernels.bpe_encode import ROOM, encode
from tokenmill.kernels.bpe_merge import LONGEST, MOST, pair_table
from tokenmill.kernels.pretoken_table import COUNTS, ID_BITS, INLINE, SLOT
from tokenmill.kernels.split_scan import COLUMNS, PADDING, POINTS
from tokenmill.tokenize.split_automaton import Automaton
from tokenmill.tokenize.split_pattern import Unsupported

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Bytes = NDArray[np.uint8]

SLOTS = 1 << 20  # 32 MB
LISTS, TEXTS = 1 << 24, 1 << 24  # bytes
AT_ONCE = 1 << 24  # bytes of text: their ids have room for one a byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a tokenizer does, after its normaliser and its added tokens."""

    splits: tuple[Automaton, ...]  # one inside the other
    byte_ids: tuple[int, ...]  # of each byte
    merges: Mapping[tuple[int, int], tuple[int, int]]  # (left, right) -> (rank, id)
    words: Mapping[int, bytes]  # the bytes of each id
    whole: bool  # a pretoken that is a word is that id, whatever the merges say


class ByteBpe:
    """Memory: 66 MB of what it learns, 16 bytes a merge; 5 bytes a byte of AT_ONCE for its ids.

    `counts`: what it has seen, as `kernels/pretoken_table.py` numbers it.
    """

    def __init__(self, rules: Rules) -> None:
        """Raises Unsupported for a vocabulary with more or longer words than the kernel has room for."""
        size = max(rules.words) + 1
        longest = max(map(len, rules.words.values()))
        if size > 1 << ID_BITS or 2 * len(rules.merges) > MOST or longest > LONGEST or 2 * len(rules.words) > SLOTS:
            raise Unsupported(f"{size:,} ids, {len(rules.merges):,} merges, a word of {longest:,} bytes")
        long = [len(word) for word in rules.words.values() if len(word) > INLINE]
        if rules.whole and (4 * sum(long) > TEXTS or 32 * len(long) > LISTS):  # they are kept whatever else is learnt
            raise Unsupported(f"{len(long):,} words of more than {INLINE} bytes, {sum(long):,} bytes in all")
        self._settled: tuple[Any, ...] = (
            *scan_tables(rules.splits),
            *_merge_tables(rules, size),
            *_word_tables(rules, size),
            rules.whole,
        )
        self.counts = np.zeros(COUNTS, np.int64)
        self._learnt: tuple[Any, ...] = (
            np.zeros(SLOTS * SLOT, np.uint8),
            np.zeros(LISTS, np.uint8),
            np.zeros(TEXTS, np.uint8),
            self.counts,
        )

    def encode(self, texts: pa.LargeStringArray) -> tuple[Int32, Int64]:
        """The ids of all texts, one behind the other, and the number of ids of each.

        For no nulls. A text longer than AT_ONCE is taken whole.
        """
        offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
        held = texts.buffers()[2]
        whole = np.frombuffer(held, np.uint8) if held is not None else np.zeros(0, np.uint8)
        lengths = np.zeros(len(texts), np.int64)
        ids: list[Int32] = [np.zeros(0, np.int32)]
        start = 0
        while start < len(texts):
            stop = int(np.searchsorted(offsets, offsets[start] + AT_ONCE, "right")) - 1
            stop = min(max(stop, start + 1), len(texts))
            some = offsets[start : stop + 1]
            found, ends = self._encoded(whole[some[0] : some[-1]], some - some[0])
            lengths[start:stop] = np.diff(ends, prepend=0)
            ids.append(found)
            start = stop
        return np.concatenate(ids), lengths

    def _encoded(self, text: Bytes, offsets: Int64) -> tuple[Int32, Int64]:
        padded = np.zeros(len(text) + PADDING, np.uint8)
        padded[: len(text)] = text
        out, ends = np.empty(len(text) + ROOM, np.int32), np.zeros(len(offsets) - 1, np.int64)
        arguments: tuple[Any, ...] = (padded, offsets, *self._settled, *self._learnt, out, ends)
        n = encode(*arguments)
        return out[:n].copy(), ends


def scan_tables(splits: Sequence[Automaton]) -> tuple[Bytes, Bytes]:
    """class_of and tables as the kernel reads them, a row for each split."""
    states = max(len(split.table) for split in splits)
    class_of = np.zeros((len(splits), POINTS), np.uint8)
    tables = np.zeros((len(splits), states, COLUMNS), np.uint16)
    for level, split in enumerate(splits):
        class_of[level, : len(split.class_of)] = split.class_of
        tables[level, : len(split.table), : split.table.shape[1] - 1] = split.table[:, :-1]
        tables[level, : len(split.table), -1] = split.table[:, -1]
    return class_of, tables.reshape(len(splits), -1).view(np.uint8)


def _merge_tables(rules: Rules, size: int) -> tuple[Int64, NDArray[np.uint64], Int64, Int64]:
    """byte_ids, pairs, made, lengths."""
    found = np.array([(*pair, *made) for pair, made in rules.merges.items()], np.int64).reshape(-1, 4)
    pairs = pair_table(*(np.ascontiguousarray(found[:, column]) for column in range(3)))
    made = np.zeros(int(found[:, 2].max(initial=0)) + 1, np.int64)
    made[found[:, 2]] = found[:, 3]
    lengths = np.zeros(size, np.int64)
    for id, word in rules.words.items():
        lengths[id] = len(word)
    return np.array(rules.byte_ids, np.int64), pairs, made, lengths


def _word_tables(rules: Rules, size: int) -> tuple[Bytes, Int64]:
    """words, padded, and word_ends."""
    words = [rules.words.get(id, b"") for id in range(size)]
    return np.frombuffer(b"".join(words) + bytes(PADDING), np.uint8), np.cumsum([len(w) for w in words], dtype=np.int64)
