"""A filter of first owners is the same in any order, misses nothing, and errs as often as its formula says."""

import math
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.bloom_ngrams import NOBODY, Uint64s, cells_of, fill, paragraphs
from tokenmill.kernels.bloom_ngrams_reference import filled, seen_in

TEXT = st.none() | st.text(max_size=20) | st.lists(st.sampled_from("abé中.\n"), max_size=40).map(" ".join)
RANKED = st.lists(st.tuples(TEXT, st.integers(0, 5)), max_size=5)


def filter_of(
    texts: list[str | None], ranks: list[int], tokens: int, hashes: int, bits: int, one_in: int = 1
) -> Uint64s:
    owners = np.full(1 << bits, NOBODY, np.uint64)
    given = pa.array(texts, pa.large_string()), np.array(ranks, np.uint64)
    fill(owners, *cells_of(*given, tokens, hashes, bits, one_in))
    return owners


@settings(deadline=None, max_examples=200)  # the first call compiles
@given(RANKED, st.integers(1, 4), st.integers(1, 4), st.integers(1, 8), st.sampled_from([1, 2, 4]))
def test_equals_the_plain_definition(
    documents: list[tuple[str | None, int]], tokens: int, hashes: int, bits: int, one_in: int
) -> None:
    texts, ranks = [text for text, _ in documents], [rank for _, rank in documents]
    owners = filter_of(texts, ranks, tokens, hashes, bits, one_in)
    assert owners.tolist() == filled(texts, ranks, tokens, hashes, bits, one_in)
    found = paragraphs(pa.array(texts, pa.large_string()), np.array(ranks, np.uint64), tokens, hashes, owners, one_in)
    cells = owners.tolist()
    want = [(i, *p) for i, t in enumerate(texts) for p in seen_in(t or "", ranks[i], tokens, hashes, cells, one_in)]
    assert list(zip(*(column.tolist() for column in found), strict=True)) == want


def test_parts_merge_in_any_order_and_twice() -> None:
    texts: list[str | None] = [f"{i % 7} {i % 5} a b c {i}" for i in range(100)]
    whole = filter_of(texts, list(range(100)), 3, 3, 10)
    parts = [filter_of(texts[i : i + 30], list(range(i, min(i + 30, 100))), 3, 3, 10) for i in (60, 0, 90, 30, 0)]
    assert np.minimum.reduce(parts).tolist() == whole.tolist()


def test_what_an_earlier_text_has_is_always_seen() -> None:
    rng = random.Random(1)
    lines = [" ".join(rng.choice("abcdefgh") for _ in range(20)) for _ in range(200)]
    owners = filter_of([*lines], list(range(200)), 5, 3, 8)  # far too full
    copies = paragraphs(pa.array(lines, pa.large_string()), np.full(200, 1000, np.uint64), 5, 3, owners)
    assert copies.seen.tolist() == copies.ngrams.tolist()


def test_errs_as_often_as_the_formula_says() -> None:
    """2,000 texts of one n-gram of 13 in 2^14 cells, then 20,000 others that none of them has; five standard errors."""
    rng, hashes, cells = random.Random(2), 3, 1 << 14

    def fresh(n: int) -> list[str | None]:
        return [" ".join(f"w{rng.getrandbits(40)}" for _ in range(13)) for _ in range(n)]

    owners = filter_of(fresh(2_000), list(range(2_000)), 13, hashes, 14)
    others = pa.array(fresh(20_000), pa.large_string())
    filled_share = np.count_nonzero(owners != NOBODY) / cells
    assert abs(filled_share - (1 - math.exp(-hashes * 2_000 / cells))) < 5 * math.sqrt(0.25 / cells)
    for rank, before in ((5_000, 2_000), (1_000, 1_000)):  # after all of them; after the first half
        odds = (1 - math.exp(-hashes * before / cells)) ** hashes
        found = paragraphs(others, np.full(20_000, rank, np.uint64), 13, hashes, owners)
        assert abs(found.seen.sum() / 20_000 - odds) < 5 * math.sqrt(odds / 20_000) + odds * 0.1
        assert odds <= filled_share**hashes * 1.05


def test_a_sixteenth_of_the_ngrams_takes_a_sixteenth_of_the_cells_and_tells_shares_as_well() -> None:
    """Lines of 400 words of which the first half is copied: 188 of 388 n-grams were seen."""
    rng = random.Random(3)
    lines = [" ".join(f"w{rng.getrandbits(30)}" for _ in range(400)) for _ in range(300)]
    halves = [line[: len(line) // 2] + " " + " ".join(f"v{rng.getrandbits(30)}" for _ in range(200)) for line in lines]
    for one_in in (1, 16):
        filled_share = np.count_nonzero(filter_of([*lines], list(range(300)), 13, 3, 20, one_in) != NOBODY) / (1 << 20)
        assert filled_share == pytest.approx(1 - math.exp(-3 * 300 * 388 / one_in / (1 << 20)), rel=0.05)
    owners = filter_of([*lines], list(range(300)), 13, 3, 20, 16)
    found = paragraphs(pa.array(halves, pa.large_string()), np.full(300, 999, np.uint64), 13, 3, owners, 16)
    assert abs(found.seen.sum() / found.ngrams.sum() - 188 / 388) < 0.02
    assert 20 < found.ngrams.mean() < 29
