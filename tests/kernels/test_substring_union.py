"""Stretches that overlap become spans that do not, each with the text that has it first."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.substring_union import union
from tokenmill.kernels.substring_union_reference import union_reference

Stretch = tuple[int, int, int, int]  # first text, start, stop, occurrences
STRETCHES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 20), st.integers(1, 9), st.integers(2, 9)).map(
        lambda s: (s[0], s[1], s[1] + s[2], s[3])
    ),
    max_size=8,
    unique_by=lambda s: s[1:3],
)


def spans_of(texts: list[list[Stretch]]) -> list[list[Stretch]]:
    flat = [(number, *s) for number, some in enumerate(texts) for s in sorted(some, key=lambda s: s[1:3])]
    text, first, start, stop, times = np.array(flat, np.int64).reshape(-1, 5).T.copy()
    found = union(text, first, start, stop, times)
    spans: list[list[Stretch]] = [[] for _ in texts]
    for taken, begin, end, most in zip(*(column.tolist() for column in found), strict=True):
        spans[text[taken]].append((int(first[taken]), begin, end, most))
    return spans


@settings(deadline=None, max_examples=300)  # the first call compiles
@given(st.lists(STRETCHES, max_size=4))
def test_equals_the_plain_definition(texts: list[list[Stretch]]) -> None:
    assert spans_of(texts) == [union_reference(some) for some in texts]


def test_a_stretch_goes_on_with_its_own_first_text_and_beside_another() -> None:
    assert spans_of([[(0, 0, 10, 2), (0, 5, 12, 7), (1, 8, 20, 3), (1, 30, 40, 2)]]) == [
        [(0, 0, 12, 7), (1, 12, 20, 3), (1, 30, 40, 2)]
    ]
