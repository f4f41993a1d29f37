"""Vectors of bytes keep their direction, to a stated error, and refuse what has none."""

import numpy as np
import numpy.typing as npt
import pytest

from tokenmill.kernels.int8_vectors import check_vectors, inverse_lengths, quantised, squared_lengths


@pytest.mark.parametrize(
    ("vector", "bytes_"),
    [
        pytest.param([1.0, -0.5, 0.0], [127, -64, 0], id="63.5 rounds to the even 64"),
        pytest.param([2e30, 1e30, 0.0], [127, 64, 0], id="the length does not matter"),
        pytest.param([1e-40, 0.0, -1e-40], [127, 0, -127], id="however short"),
        pytest.param([0.0, 0.0, -0.0], [0, 0, 0], id="nothing stays nothing"),
        pytest.param([1e-310, 0.0, 0.0], [0, 0, 0], id="what has no finite scale is nothing"),
        pytest.param([-3.0, 1.0, 2.0], [-127, 42, 85], id="the largest component may be negative"),
    ],
)
def test_the_largest_component_becomes_127(vector: list[float], bytes_: list[int]) -> None:
    assert quantised(np.array([vector])).tolist() == [bytes_]


@pytest.mark.parametrize("noise", [0.1, 0.3])
@pytest.mark.parametrize(("dimensions", "peak"), [(384, 3.0), (384, 10.0), (768, 4.0)])
def test_the_error_of_a_cosine_is_what_the_docstring_says(dimensions: int, peak: float, noise: float) -> None:
    """4,000 pairs near cosine .995 or .96, whose first component is `peak` times the root mean square of the others."""
    rng = np.random.default_rng(1)
    a = rng.standard_normal((4000, dimensions)).clip(-3, 3)
    b = a + noise * rng.standard_normal(a.shape)
    for vectors in (a, b):
        vectors[:, 0] = peak * np.sqrt(np.square(vectors[:, 1:]).mean(axis=1))
    true = cosines(a, b)
    errors = cosines(quantised(a), quantised(b)) - true
    step = peak / 127
    assert errors.std() == pytest.approx(step * np.sqrt((1 - true.mean() ** 2) / (6 * dimensions)), rel=0.25)
    assert -(step**2) / 12 <= errors.mean() <= 0


def cosines(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    x, y = a.astype(np.float64), b.astype(np.float64)
    found: npt.NDArray[np.float64] = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    return found


def test_lengths_are_exact_and_nothing_has_no_inverse() -> None:
    vectors = np.array([[3, -4, 0], [0, 0, 0], [127, 127, -128]], np.int8)
    assert squared_lengths(vectors).tolist() == [25, 0, 127 * 127 * 2 + 128 * 128]
    assert inverse_lengths(vectors)[:2].tolist() == [0.2, 0.0]


def test_the_longest_vectors_do_not_overflow() -> None:
    assert squared_lengths(np.full((1, 100_000), -127, np.int8)).tolist() == [127 * 127 * 100_000]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_by_its_row(value: float) -> None:
    with pytest.raises(ValueError, match="vector 1 holds NaN or infinity"):
        quantised(np.array([[1.0, 2.0], [3.0, value]]))


@pytest.mark.parametrize(
    "vectors",
    [np.zeros((2, 3), np.int16), np.zeros(3, np.int8), np.zeros((3, 4), np.int8).T, np.zeros((0, 200_000), np.int8)],
    ids=["another type", "one dimension", "not contiguous", "too many dimensions"],
)
def test_what_is_no_matrix_of_bytes_is_refused(vectors: npt.NDArray[np.int8]) -> None:
    with pytest.raises(ValueError, match="want"):
        check_vectors(vectors)


def test_no_vectors_are_fine() -> None:
    assert quantised(np.zeros((0, 5))).shape == (0, 5)
    assert quantised(np.zeros((2, 0))).shape == (2, 0)
    assert squared_lengths(np.zeros((0, 5), np.int8)).tolist() == []


def test_one_dimensional_floats_are_refused() -> None:
    with pytest.raises(ValueError, match="n, d"):
        quantised(np.zeros(3))
