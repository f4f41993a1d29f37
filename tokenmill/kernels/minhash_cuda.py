"""MinHash signatures on a GPU through CUDA: the same, bit for bit, as minhash.py gives.

Everything is done on the device: one block of threads per text finds its words or characters, then one block per
1,024 shingles hashes them and takes the minima, a thread per hash function (minhash_cuda_kernels.py). Bytes go there
once; signatures and counts come back. Broken UTF-8, which Arrow's text never has, stays within bounds but may give
another signature than on a CPU.

numba.cuda is imported on the first call, never by importing this module.
"""

import warnings
from importlib import import_module
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import NumbaPerformanceWarning

from tokenmill.kernels.hashing import data_and_offsets
from tokenmill.kernels.minhash import NOTHING, Unit, check, coefficients, signatures
from tokenmill.kernels.unicode_classes import CLASSES, LOWER

_THREADS_AT_MOST = 1024  # of a block, on every device so far
_BLOCKS_AT_MOST = 65_536  # of `find_units`: more texts than that share a block


def signatures_on(
    device: Literal["cpu", "cuda"],
    texts: pa.LargeStringArray,
    hashes: int,
    length: int,
    seed: int,
    unit: Unit = "words",
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """`signatures` (minhash.py) on this device. Raises ValueError for "cuda" where there is none."""
    if device == "cpu":
        return signatures(texts, hashes, length, seed, unit)
    if device == "cuda":
        return signatures_on_cuda(texts, hashes, length, seed, unit)
    raise ValueError(f"device={device!r}; want cpu or cuda")


def signatures_on_cuda(
    texts: pa.LargeStringArray, hashes: int, length: int, seed: int, unit: Unit = "words", threads: int = 256
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """(uint32[n, hashes], shingles per text with repeats), as `signatures` gives them.

    `threads` of a block find units, a power of two. Memory on the device: 9 bytes per byte of text, and the
    signatures. Raises ValueError as `signatures` does, and where there is no CUDA device.
    """
    check(hashes, length, unit)
    if threads & (threads - 1) or not 1 <= threads <= _THREADS_AT_MOST:
        raise ValueError(f"threads={threads}; want a power of two up to {_THREADS_AT_MOST}")
    data, offsets = data_and_offsets(texts)
    cuda = cuda_or_refuse()
    result = np.full((len(texts), hashes), NOTHING, np.uint32)
    base = int(offsets[0])
    data, starts = data[base : int(offsets[-1])].copy(), offsets.astype(np.int64) - base
    if len(data) == 0:
        return result, np.zeros(len(texts), np.int64)
    kernels = import_module("tokenmill.kernels.minhash_cuda_kernels")
    places, found = cuda.to_device(starts), cuda.to_device(np.zeros(len(texts), np.int64))
    units = cuda.device_array(len(data), np.uint64)
    minima = cuda.to_device(result)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaPerformanceWarning)  # a few texts make few blocks, and no harm
        kernels.find_units[min(len(texts), _BLOCKS_AT_MOST), threads, 0, 4 * threads](
            cuda.to_device(data), places, cuda.to_device(_null(texts)), unit == "words",
            cuda.to_device(CLASSES.copy()), cuda.to_device(LOWER.copy()), units, found,
        )  # fmt: skip
        counts = np.maximum(found.copy_to_host() - length + 1, 0)
        of_text, firsts = _parts(counts, kernels.SHINGLES)
        if len(of_text):
            kernels.fold_in[len(of_text), min(-(-hashes // 32) * 32, _THREADS_AT_MOST)](
                units, places, found, cuda.to_device(of_text), cuda.to_device(firsts), length,
                *map(cuda.to_device, coefficients(hashes, seed)), minima,
            )  # fmt: skip
    return minima.copy_to_host(), counts


def cuda_or_refuse() -> Any:
    """The module numba.cuda. Raises ValueError, with the reason where numba has one, if it finds no device."""
    try:
        cuda = import_module("numba.cuda")
        if cuda.is_available():
            return cuda
        reason = getattr(cuda, "cuda_error", lambda: None)() or "no device found"
    except ImportError as error:
        reason = error
    raise ValueError(f"no CUDA: {reason}; run on a machine with an NVIDIA GPU, or with device='cpu'")


def _parts(counts: npt.NDArray[np.int64], size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(text, its first shingle) of every part of `size` shingles or, the last one of a text, fewer."""
    parts = -(-counts // size)
    of_text = np.repeat(np.arange(len(counts)), parts)
    return of_text, (np.arange(len(of_text)) - np.repeat(np.cumsum(parts) - parts, parts)) * size


def _null(texts: pa.LargeStringArray) -> npt.NDArray[np.bool_]:
    return np.ascontiguousarray(texts.is_null().to_numpy(zero_copy_only=False))
