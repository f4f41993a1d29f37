"""Signatures: the minimum of each hash function, and an estimate as good as independent hashes give."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.minhash import NOTHING, UNITS, Unit, coefficients, signatures
from tokenmill.kernels.minhash_reference import signature_of

TEXTS = st.none() | st.text() | st.lists(st.sampled_from(["the", "cat", "Sat", "größer", "1", "中"])).map(" ".join)


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(TEXTS, max_size=6),
    st.integers(0, 3),
    st.integers(1, 20),
    st.integers(1, 5),
    st.integers(0, 2**64),
    st.sampled_from(UNITS),
)
def test_equals_the_plain_definition(
    texts: list[str | None], start: int, hashes: int, length: int, seed: int, unit: Unit
) -> None:
    found, counts = signatures(pa.array(texts, pa.large_string()).slice(start), hashes, length, seed, unit)
    want = [signature_of(text, hashes, length, seed, unit) for text in texts[start:]]
    assert found.tolist() == [signature for signature, _ in want]
    assert counts.tolist() == [count for _, count in want]


@pytest.mark.parametrize("n", [2047, 2048, 2049, 5000])
def test_a_text_longer_than_a_block_is_read_to_its_end(n: int) -> None:
    text = " ".join(f"w{i}" for i in range(n))
    found, counts = signatures(pa.array([text], pa.large_string()), 9, 1, 1)
    assert (found[0].tolist(), counts[0]) == signature_of(text, 9, 1, 1)
    assert counts[0] == n


@pytest.mark.parametrize("n", [1023, 1024, 1025, 3000])
def test_a_text_of_more_characters_than_a_block_is_read_to_its_end(n: int) -> None:
    text = "".join(chr(0x4E00 + i) for i in range(n + 23))
    found, counts = signatures(pa.array([text], pa.large_string()), 9, 24, 1, "characters")
    assert (found[0].tolist(), counts[0]) == signature_of(text, 9, 24, 1, "characters")
    assert counts[0] == n


def test_signatures_of_words_are_what_they_were() -> None:
    """Worked out with the plain definition on 2026-11-24: files of signatures outlive a release."""
    found, counts = signatures(pa.array(["The cat sat on the mat."], pa.large_string()), 3, 5, 1)
    assert (found.tolist(), counts.tolist()) == ([[1629128316, 2418864699, 1969065674]], [2])


def test_text_without_shingles_has_an_empty_signature() -> None:
    found, counts = signatures(pa.array(["one two three four", "", None], pa.large_string()), 3, 5, 1)
    assert counts.tolist() == [0, 0, 0]
    assert found.tolist() == [[NOTHING] * 3] * 3


def test_a_text_shorter_than_a_shingle_of_characters_has_an_empty_signature() -> None:
    texts = pa.array(["abcd", " abc\n\n", "", None], pa.large_string())
    found, counts = signatures(texts, 3, 4, 1, "characters")
    assert counts.tolist() == [1, 0, 0, 0]
    assert found[1:].tolist() == [[NOTHING] * 3] * 3


def test_case_and_white_space_do_not_count_among_characters_but_punctuation_does() -> None:
    texts = pa.array(
        ["if (a  == b)\n\treturn B;", " IF (A == B) return b;", "if (a != b) return b;"], pa.large_string()
    )
    found, _ = signatures(texts, 16, 4, 1, "characters")
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()


def test_repeats_and_order_of_shingles_do_not_count() -> None:
    found, _ = signatures(pa.array(["a b c", "c b a a a b"], pa.large_string()), 16, 1, 1)
    assert (found[0] == found[1]).all()


def test_coefficients_follow_splitmix64() -> None:
    """First outputs of the published generator for seed 0: 0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4."""
    a, b = coefficients(2, 0)
    assert [hex(x) for x in a] == ["0xe220a839", "0x6e789e6b"]  # made odd
    assert [hex(x) for x in b] == ["0x7b1dcdaf", "0xa1b965f4"]


@pytest.mark.parametrize(("hashes", "words"), [(0, 5), (112, 0)])
def test_numbers_below_one_are_refused(hashes: int, words: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        signatures(pa.array(["a"], pa.large_string()), hashes, words, 1)


def test_another_unit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unit='lines'; want one of \('words', 'characters'\)"):
        signatures(pa.array(["a"], pa.large_string()), 1, 1, 1, "lines")  # type: ignore[arg-type]


@pytest.mark.parametrize("shared", [30, 90])
def test_the_estimate_is_unbiased_and_no_wider_than_of_independent_hashes(shared: int) -> None:
    """2,000 pairs of 100 words each, `shared` of them common; bounds are five standard errors."""
    pairs, k = 2000, 112
    jaccard = shared / (200 - shared)
    texts = []
    for pair in range(pairs):
        common = [f"{pair}c{i}" for i in range(shared)]
        texts += [" ".join(common + [f"{pair}{side}{i}" for i in range(100 - shared)]) for side in "ab"]
    found, _ = signatures(pa.array(texts, pa.large_string()), k, 1, 1)
    equal = (found[::2] == found[1::2]).reshape(pairs, 14, 8)
    estimates = equal.mean(axis=(1, 2))
    variance = jaccard * (1 - jaccard) / k
    assert abs(estimates.mean() - jaccard) < 5 * np.sqrt(variance / pairs)
    assert abs(estimates.var() / variance - 1) < 5 * np.sqrt(2 / pairs)
    candidates = equal.all(axis=2).any(axis=1).mean()
    odds = 1 - (1 - jaccard**8) ** 14
    assert abs(candidates - odds) < 5 * np.sqrt(odds * (1 - odds) / pairs) + 1 / pairs
