"""One of the documents with the same words stays."""

import pytest
from equal_documents import documents, index_of, removed
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.core.barrier import Bounds
from tokenmill.core.errors import RecipeError
from tokenmill.dedup.normalised import NormalisedDedup
from tokenmill.kernels.normalised_hash_reference import normalised_hash

STEP = NormalisedDedup()


def test_case_punctuation_and_line_ends_do_not_count_and_the_longest_stays() -> None:
    texts = ["It was late.", "it was LATE", "It was\r\n\r\nlate!", "It was later."]
    assert removed(STEP, documents(texts)) == {0: 2, 1: 2}


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        pytest.param(["café", "cafe\u0301"], {0: 1}, id="composed and decomposed; five characters stay for four"),
        pytest.param(["Привет, мир", "привет мир"], {1: 0}, id="Cyrillic"),
        pytest.param(["今日は。", "今日は"], {1: 0}, id="Japanese"),
        pytest.param(["", ""], {1: 0}, id="empty texts"),
        pytest.param(["", " "], {}, id="texts without words are compared byte for byte"),
        pytest.param(["***", "***", "**"], {1: 0}, id="and may be equal"),
        pytest.param([None, None], {}, id="null texts are compared with nothing"),
        pytest.param(["a b", "b a"], {}, id="another order"),
    ],
)
def test_what_is_equal(texts: list[str | None], found: dict[int, int]) -> None:
    assert removed(STEP, documents(texts)) == found


def test_the_preferred_source_goes_before_length() -> None:
    assert removed(STEP, documents(["a, b", "a b"], priority=[1, 0])) == {0: 1}
    assert removed(NormalisedDedup(prefer=("-chars",)), documents(["a, b", "a b"], priority=[1, 0])) == {1: 0}


def test_documents_of_an_index_stay_and_go_first() -> None:
    index = index_of(STEP, documents(["x", "A"], priority=[5, 5]))
    assert removed(STEP, documents(["a!", "b", "B"]), index=index) == {0: -2, 2: 1}


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(
        st.lists(st.sampled_from(["a", "B", "b", "é", "É", " ", ".", "中"]), max_size=4).map("".join), max_size=12
    ),
    st.integers(0, 9),
)
def test_equals_a_dictionary_of_words(texts: list[str], seed: int) -> None:
    best: dict[bytes | None, int] = {}
    for i, text in enumerate(texts):
        words = normalised_hash(text)
        best[words] = min(best.get(words, i), i, key=lambda i: (-len(texts[i]), i))
    want = {i: keeper for i, t in enumerate(texts) if (keeper := best[normalised_hash(t)]) != i}
    assert removed(STEP, documents(texts), seed=seed) == want


def test_bounds_and_policy_are_fields() -> None:
    assert STEP.bounds == Bounds()
    assert NormalisedDedup(cluster_at_most=9).bounds == Bounds(cluster_at_most=9)
    with pytest.raises(RecipeError, match="normalised_dedup: prefer=chars,-chars"):
        NormalisedDedup(prefer=("chars", "-chars"))
