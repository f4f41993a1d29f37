"""The kernel gives what the plain way gives: on random vocabularies, awkward text, whatever it has learnt before."""

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from tokenmill.kernels import bpe_merge
from tokenmill.kernels.bpe_reference import merged
from tokenmill.kernels.pretoken_table import MISSES, RESTARTS
from tokenmill.tokenize import byte_bpe
from tokenmill.tokenize.byte_bpe import ByteBpe, Rules
from tokenmill.tokenize.split_automaton import Automaton, compile_pattern
from tokenmill.tokenize.split_pattern import Unsupported, parse
from tokenmill.tokenize.tokenizer_json import GPT2

AWKWARD = [
    *(
        "",
        " ",
        "a",
        "\0",
        "\n\n\n",
        "aaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaa",
        "a" * 300,
        "ab" * 5_000,
    ),
    *(
        "日本語" * 7,
        "😀" * 40,
        "e\u0301" * 50,
        "x" * 8_191,
        "y" * 8_192,
        "z" * 8_193,
        "don't  we'll\t\tx \n y",
        "\u2028",
    ),
]


def vocabulary(
    rng: random.Random, alphabet: bytes, n: int
) -> tuple[dict[int, bytes], dict[tuple[int, int], tuple[int, int]]]:
    """(words, merges) of n random merges; several pairs may make one word."""
    words = {id: bytes([id]) for id in range(256)}
    ids = {word: id for id, word in words.items()}
    merges: dict[tuple[int, int], tuple[int, int]] = {}
    usable = list(alphabet)
    while len(merges) < n:
        left, right = rng.choice(usable), rng.choice(usable)
        word = words[left] + words[right]
        if (left, right) in merges or len(word) > 40:
            continue
        id = ids.setdefault(word, len(words))
        if id == len(words):
            words[id] = word
            usable.append(id)
        merges[left, right] = len(merges), id
    return words, merges


def plain(text: bytes, rules: Rules) -> list[int]:
    """Automaton.piece, one split inside the other, and merges by their definition."""

    def pieces(text: str, splits: Sequence[Automaton]) -> Iterator[str]:
        if not splits:
            yield text
            return
        points, ends = [ord(c) for c in text], [0]
        while ends[-1] < len(points):
            ends.append(splits[0].piece(points, ends[-1]))
        for start, stop in pairwise(ends):
            yield from pieces(text[start:stop], splits[1:])

    ids = {word: id for id, word in rules.words.items()}
    found: list[int] = []
    for piece in pieces(text.decode(), rules.splits):
        raw = piece.encode()
        found += [ids[raw]] if rules.whole and raw in ids else merged(raw, rules.byte_ids, rules.merges)
    return found


def rules_of(
    rng: random.Random, alphabet: str, n: int, *, whole: bool = False, patterns: Sequence[str] = (GPT2,)
) -> Rules:
    words, merges = vocabulary(rng, alphabet.encode(), n)
    splits = tuple(compile_pattern(parse(pattern)) for pattern in patterns)
    return Rules(splits=splits, byte_ids=tuple(range(256)), merges=merges, words=words, whole=whole)


def texts_of(rng: random.Random, alphabet: str, n: int, longest: int) -> list[str]:
    return ["".join(rng.choices(alphabet, k=rng.randrange(longest))) for _ in range(n)]


def check(kernel: ByteBpe, rules: Rules, texts: Sequence[str]) -> None:
    ids, lengths = kernel.encode(pa.array(texts, pa.large_string()))
    found = [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])]
    for text, here in zip(texts, found, strict=True):
        assert here == plain(text.encode(), rules), repr(text)[:200]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("alphabet", ["ab ", "abcdeé 日\n", "etaoin shrdlu.,\t\r\n'1٣"])
def test_random_vocabularies_on_random_and_awkward_texts(alphabet, whole):
    rng = random.Random(len(alphabet))
    for n in (0, 1, 40, 150):
        rules = rules_of(rng, alphabet, n, whole=whole)
        kernel = ByteBpe(rules)
        for _ in range(2):  # what was learnt changes nothing
            check(kernel, rules, [*AWKWARD, *texts_of(rng, alphabet, 60, 60)])


def test_splits_one_inside_the_other_and_what_they_leave_out():
    rng = random.Random(2)
    rules = rules_of(rng, "abc123 !", 60, patterns=[r"\p{N}{1,2}", r"[ab]+", r" ?[\p{L}]+|[\p{P}]+"])
    kernel = ByteBpe(rules)
    check(kernel, rules, [*AWKWARD, *texts_of(rng, "abcdé 1234!?\n\x01", 400, 40)])


@pytest.mark.parametrize("alphabet", ["a", "ab", "abcdefgh"])
def test_a_pretoken_longer_than_a_window_is_merged_as_a_whole(alphabet):
    """Windows are joined at seams: the same ids as by one heap over all of it, whose reference is the test above."""
    rng = random.Random(len(alphabet))
    words, merges = vocabulary(rng, alphabet.encode(), 60)
    rules = Rules(
        splits=(compile_pattern(parse(GPT2)),), byte_ids=tuple(range(256)), merges=merges, words=words, whole=False
    )
    kernel = ByteBpe(rules)
    text = "".join(rng.choices(alphabet, k=bpe_merge.WINDOW * 5 + 77))
    (ids, _) = kernel.encode(pa.array([text], pa.large_string()))
    raw = np.frombuffer(text.encode() + bytes(16), np.uint8)
    n = len(text)
    _, _, byte_ids, pairs, made, *_ = kernel._settled
    out, work = np.empty(n, np.int64), np.empty((6, n), np.int64)
    count = bpe_merge.merge_heap(raw, 0, n, byte_ids, pairs, np.uint64(bpe_merge.pair_shift(pairs)), made, out, work)
    assert ids.tolist() == out[:count].tolist()


def test_a_table_that_is_full_begins_again_and_gives_the_same(monkeypatch):
    monkeypatch.setattr(byte_bpe, "SLOTS", 1 << 10)
    rng = random.Random(9)
    rules = rules_of(rng, "abcdefgh ", 120)
    kernel = ByteBpe(rules)
    check(kernel, rules, texts_of(rng, "abcdefgh ", 600, 60))
    assert kernel.counts[RESTARTS] > 1


def test_a_vocabulary_that_the_table_has_no_room_for_is_not_taken(monkeypatch):
    rules = rules_of(random.Random(9), "abcdefgh ", 120, whole=True)
    monkeypatch.setattr(byte_bpe, "TEXTS", 1 << 8)
    with pytest.raises(Unsupported, match="words of more than 15 bytes"):
        ByteBpe(rules)
    monkeypatch.setattr(byte_bpe, "SLOTS", 1 << 9)
    with pytest.raises(Unsupported, match="ids"):
        ByteBpe(rules)


def test_words_that_there_is_no_room_for_are_learnt_when_they_are_read(monkeypatch):
    monkeypatch.setattr(byte_bpe, "LISTS", 1 << 9)
    monkeypatch.setattr(byte_bpe, "TEXTS", 1 << 9)
    rng = random.Random(10)
    rules = rules_of(rng, "abcdefgh ", 200)
    check(ByteBpe(rules), rules, texts_of(rng, "abcdefgh ", 300, 60))


def test_what_was_read_once_is_looked_up():
    rules = rules_of(random.Random(1), "ab ", 20)
    kernel = ByteBpe(rules)
    text = ["abba baab aabb bbaabba"]
    check(kernel, rules, text)
    before = int(kernel.counts[MISSES])
    assert before > 0
    check(kernel, rules, text * 3)
    assert kernel.counts[MISSES] == before


def test_bytes_that_are_no_utf8_are_read_and_nothing_beside_them():
    rules = rules_of(random.Random(3), "ab ", 20)
    kernel = ByteBpe(rules)
    rng = random.Random(4)
    for _ in range(300):
        raw = rng.randbytes(rng.randrange(1, 40))
        offsets = np.array([0, len(raw)], np.int64)
        texts = pa.LargeStringArray.from_buffers(1, pa.py_buffer(offsets), pa.py_buffer(raw))
        ids, lengths = kernel.encode(texts)
        assert b"".join(rules.words[id] for id in ids.tolist()) == raw
        assert lengths.tolist() == [len(ids)]


def test_slices_nulls_and_no_texts():
    rules = rules_of(random.Random(5), "ab ", 20)
    kernel = ByteBpe(rules)
    texts = pa.array(["ab ab", None, "ba", "", "aab"], pa.large_string())
    whole, lengths = kernel.encode(texts)
    assert lengths[1] == lengths[3] == 0
    ids, some = kernel.encode(texts.slice(2, 3))
    assert some.tolist() == lengths[2:].tolist()
    assert ids.tolist() == whole[lengths[:2].sum() :].tolist()
    assert kernel.encode(texts.slice(5))[0].size == 0
