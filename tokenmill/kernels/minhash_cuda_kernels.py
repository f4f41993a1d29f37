"""What minhash_cuda.py runs on the device. Import it only where numba.cuda may be imported: on first use.

Reading a code point, hashing a word and finishing a shingle are the very functions of the CPU, which numba compiles
for the device: there is one definition of each. Signatures are therefore the same bit for bit.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar, cast

import numpy as np
from numba import int32, uint32

from tokenmill.kernels.minhash_characters import BROKEN, spread
from tokenmill.kernels.minhash_shingles import BASE, code_point, finish, rest_of_word
from tokenmill.kernels.unicode_classes import SPACE, WORD

SHINGLES = 1024  # of one text for one block of `fold_in`: 4 kB of shared memory
_BASE = np.uint64(BASE)
_NOTHING = np.uint32(0xFFFFFFFF)

Function = TypeVar("Function", bound=Callable[..., Any])
cuda: Any = import_module("numba.cuda")


def kernel(function: Function) -> Function:
    """What the host launches: function[blocks, threads, 0, bytes of shared memory](...)."""
    return cast(Function, cuda.jit(function))


def on_device(function: Function) -> Function:
    return cast(Function, cuda.jit(device=True)(function))


@kernel
def find_units(
    data: Any, offsets: Any, null: Any, by_words: Any, classes: Any, lower: Any, units: Any, counts: Any
) -> None:
    """Hashes of the words or characters of text i into units[offsets[i]:], how many into counts[i].

    A block takes a text at a time. Each of its threads looks at one byte: does a unit begin here, and which? Their
    ranks are a running sum in shared memory: launch with 4 bytes of it per thread, threads a power of two.
    """
    ranks = cuda.shared.array(0, int32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    for i in range(cuda.blockIdx.x, len(counts), cuda.gridDim.x):
        start, stop = offsets[i], offsets[i + 1]
        if null[i]:
            stop = start
        found = 0
        for tile in range(start, stop, threads):
            at = tile + thread
            begins, unit = False, np.uint64(0)
            if at < stop:
                if by_words:
                    begins, unit = _word_at(data, start, at, stop, classes, lower)
                else:
                    begins, unit = _character_at(data, start, at, stop, classes, lower)
            ranks[thread] = 1 if begins else 0
            cuda.syncthreads()
            reach = 1
            while reach < threads:
                before = ranks[thread - reach] if thread >= reach else 0
                cuda.syncthreads()
                ranks[thread] += before
                cuda.syncthreads()
                reach *= 2
            if begins:
                units[start + found + ranks[thread] - 1] = unit
            found += ranks[threads - 1]
            cuda.syncthreads()
        if thread == 0:
            if not by_words and found and _ends_in_space(data, start, stop, classes):
                found -= 1  # of a run of white space the first code point stands for all, but none at the end
            counts[i] = found


@kernel
def fold_in(
    units: Any, offsets: Any, counts: Any, texts: Any, firsts: Any, length: Any, a: Any, b: Any, result: Any
) -> None:
    """Minima over SHINGLES shingles of text texts[block] from its shingle firsts[block] on, into its row of `result`.

    The threads of a block first hash the shingles, each from its own `length` units, then take a hash function each
    and read all shingles, at the same time as their neighbours: shared memory gives one value to all.
    """
    halves = cuda.shared.array(SHINGLES, uint32)
    text, first = texts[cuda.blockIdx.x], firsts[cuda.blockIdx.x]
    n = counts[text] - length + 1 - first
    if n > SHINGLES:  # not min(): numba 0.68 does not compile it for CUDA
        n = SHINGLES
    for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        begin = offsets[text] + first + i
        shingle = np.uint64(0)
        for k in range(length):
            shingle = shingle * _BASE + units[begin + k]
        halves[i] = np.uint32(finish(shingle) & np.uint64(0xFFFFFFFF))
    cuda.syncthreads()
    end = np.uint64(n)
    for j in range(cuda.threadIdx.x, len(a), cuda.blockDim.x):
        multiplier, increment, smallest = a[j], b[j], _NOTHING
        at = np.uint64(0)  # numba tests whether a signed index counts from the end: five times the work of the hash
        while at < end:
            value = np.uint32(multiplier * halves[at] + increment)
            if value < smallest:
                smallest = value
            at += np.uint64(1)
        cuda.atomic.min(result, (text, j), smallest)


@on_device
def _word_at(data: Any, start: Any, at: Any, stop: Any, classes: Any, lower: Any) -> Any:
    """(whether a word begins at this byte, its hash)."""
    if data[at] & 0xC0 == 0x80:
        return False, np.uint64(0)
    point, _ = code_point(data, at, stop)
    if point < 0 or not classes[point] & WORD:
        return False, np.uint64(0)
    if at > start and _class_before(data, start, at, classes) & WORD:
        return False, np.uint64(0)
    unit, _ = rest_of_word(data, at, stop, classes, lower, np.uint64(0), np.uint64(0), 0)
    return True, unit


@on_device
def _character_at(data: Any, start: Any, at: Any, stop: Any, classes: Any, lower: Any) -> Any:
    """(whether a character begins at this byte, its hash). White space begins one unless more of it comes before."""
    if data[at] & 0xC0 == 0x80:
        return False, np.uint64(0)
    point, _ = code_point(data, at, stop)
    if point < 0:
        point = BROKEN
    if not classes[point] & SPACE:
        return True, spread(lower[point])
    return at > start and not _class_before(data, start, at, classes) & SPACE, spread(0x20)


@on_device
def _class_before(data: Any, start: Any, at: Any, classes: Any) -> Any:
    """Of the code point that ends where `at` > start begins; 0 of broken UTF-8."""
    before = at - 1
    while before > start and data[before] & 0xC0 == 0x80:
        before -= 1
    point, _ = code_point(data, before, at)
    return np.int64(classes[point]) if point >= 0 else np.int64(0)


@on_device
def _ends_in_space(data: Any, start: Any, stop: Any, classes: Any) -> Any:
    return stop > start and _class_before(data, start, stop, classes) & SPACE != 0
