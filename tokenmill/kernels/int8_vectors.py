"""Vectors as signed bytes: their dot products are exact integers, the same on every machine and in any order.

Each vector is scaled so that its largest component is 127 and rounded, half to even. A cosine does not ask for the
length, so the scale is forgotten. What rounding does to a cosine c: with `peak` = largest component / root mean square
and d dimensions, the standard error is peak / 127 * sqrt((1 - c^2) / (6 d)), and it lowers c by up to
(peak / 127)^2 / 12. At 384 dimensions and c = .99 that is .00007 and .00005 for peak 3 (normal components), .0002 and
.0005 for peak 10. Equal vectors stay equal.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from tokenmill.kernels.compiled import compiled

Int8 = npt.NDArray[np.int8]
LARGEST = 127
DIMENSIONS_AT_MOST = (2**31 - 1) // LARGEST**2  # 133,144: a dot product fits int32


def quantised(vectors: npt.NDArray[np.floating[Any]]) -> Int8:
    """int8[n, d] of float[n, d], -127..127. A vector of zeros stays one. Raises ValueError for NaN and infinity."""
    if vectors.ndim != 2:
        raise ValueError(f"vectors are {vectors.shape}, want [n, d]")
    wide = vectors.astype(np.float64)
    largest = np.abs(wide).max(axis=1, initial=0.0)
    if not np.isfinite(largest).all():
        raise ValueError(f"vector {np.flatnonzero(~np.isfinite(largest))[0]} holds NaN or infinity")
    # Below 1e-300 127 / largest may be infinite: such a vector is as good as zero.
    scale = np.divide(float(LARGEST), largest, out=np.zeros_like(largest), where=largest > 1e-300)
    rounded: Int8 = np.rint(wide * scale[:, None]).astype(np.int8)
    return rounded


def squared_lengths(vectors: Int8) -> npt.NDArray[np.int64]:
    """int64[n]: the dot product of each vector with itself. Raises ValueError as `check_vectors` does."""
    check_vectors(vectors)
    squares = np.empty(len(vectors), np.int64)
    _squared_lengths(vectors, squares)
    return squares


def inverse_lengths(vectors: Int8) -> npt.NDArray[np.float64]:
    """float64[n]: 1 / length, 0 for a vector of zeros. Root and division round correctly on every machine."""
    squares = squared_lengths(vectors).astype(np.float64)
    inverse: npt.NDArray[np.float64] = np.divide(1.0, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)
    return inverse


def check_vectors(vectors: Int8) -> None:
    """Raises ValueError unless `vectors` is C-contiguous int8[n, d] whose dot products fit int32."""
    if vectors.dtype != np.int8 or vectors.ndim != 2 or not vectors.flags.c_contiguous:
        raise ValueError(f"vectors are {vectors.dtype}{list(vectors.shape)}, want C-contiguous int8 [n, d]")
    if vectors.shape[1] > DIMENSIONS_AT_MOST:
        raise ValueError(f"{vectors.shape[1]:,} dimensions, want at most {DIMENSIONS_AT_MOST:,}")


@njit(inline="always")
def dot(a: Any, b: Any) -> Any:
    """int32. The products in int16 are what lets the compiler use multiply-and-add over 64 bytes: see docs/log.md."""
    total = np.int32(0)
    for k in range(len(a)):
        total = np.int32(total + np.int32(np.int16(a[k]) * np.int16(b[k])))
    return total


@compiled
def _squared_lengths(vectors: Any, squares: Any) -> None:
    for i in range(len(vectors)):
        squares[i] = dot(vectors[i], vectors[i])
