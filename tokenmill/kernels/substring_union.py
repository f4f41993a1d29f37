"""From stretches that overlap to spans that do not: what leaves each text, and for whose copy.

Stretches are taken by start. What an earlier one has covered is its own; the rest of a later one goes on with it
where both have the same first text, else it is a span beside it.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tokenmill.kernels.compiled import compiled

Int64s = npt.NDArray[np.int64]


class Spans(NamedTuple):
    """Spans in order, those of one text apart (they may touch)."""

    stretches: Int64s  # the stretch that a span begins with: it says of which text, and whose copy stays
    starts: Int64s
    stops: Int64s
    occurrences: Int64s  # the largest among the stretches that overlap it


def union(texts: Int64s, firsts: Int64s, starts: Int64s, stops: Int64s, occurrences: Int64s) -> Spans:
    """Spans of stretches, which are ordered by (text, start, stop). `firsts`: which text has them first."""
    count = len(texts)
    columns = tuple(np.empty(count, np.int64) for _ in range(4))
    kept = _union(texts, firsts, starts, stops, occurrences, *columns)
    return Spans(*(column[:kept] for column in columns))


@compiled
def _union(
    texts: Any, firsts: Any, starts: Any, stops: Any, occurrences: Any, taken: Any, begins: Any, ends: Any, most: Any
) -> int:
    count, first_of_text, reached = 0, 0, np.int64(0)
    for i in range(len(texts)):
        if i == 0 or texts[i] != texts[i - 1]:
            first_of_text, reached = count, np.int64(-1)
        start = max(starts[i], reached)
        if start < stops[i]:
            last = count - 1
            if last >= first_of_text and firsts[taken[last]] == firsts[i] and start == reached:
                ends[last] = stops[i]
            else:
                taken[count], begins[count], ends[count], most[count] = i, start, stops[i], occurrences[i]
                count += 1
            reached = stops[i]
        k = count - 1
        while k >= first_of_text and ends[k] > starts[i]:
            if begins[k] < stops[i]:
                most[k] = max(most[k], occurrences[i])
            k -= 1
    return count
