"""One of the documents from the same URL stays."""

import pytest
from equal_documents import documents, index_of, removed
from hypothesis import given, settings
from hypothesis import strategies as st
from verdict_runs import run_verdict

from tokenmill.core.barrier import Bounds
from tokenmill.core.errors import RecipeError
from tokenmill.dedup.url import UrlDedup
from tokenmill.kernels.normalised_urls_reference import normalised_url

STEP = UrlDedup()
MARCH, MAY = '{"date":"2024-03-01T12:00:00Z","lang":"en"}', '{"date":"2024-05-01T12:00:00Z"}'


def test_the_same_page_under_other_names_leaves_one() -> None:
    urls = [
        "https://example.org/page",
        "http://www.example.org/page/?utm_source=mail#top",
        "https://example.org/Page",
        "HTTP://EXAMPLE.ORG:80/p%61ge?fbclid=1",
    ]
    assert removed(STEP, documents(["a", "b", "c", "d"], url=urls)) == {1: 0, 3: 0}


@pytest.mark.parametrize("url", [None, "", " "])
def test_documents_without_a_url_are_compared_with_nothing(url: str | None) -> None:
    assert removed(STEP, documents(["a", "a"], url=[url, url])) == {}


@pytest.mark.parametrize(
    ("columns", "stays"),
    [
        pytest.param({"meta": [MAY, MARCH]}, 1, id="the earlier crawl, not the longer text"),
        pytest.param({"meta": [MAY, MARCH], "priority": [0, 1]}, 0, id="the preferred source before that"),
        pytest.param({"meta": [None, MAY]}, 1, id="a date before none"),
        pytest.param({}, 0, id="without dates the longer text"),
    ],
)
def test_who_stays(columns: dict[str, list[object]], stays: int) -> None:
    batch = documents(["a long text", "a text"], url=["http://a.org/"] * 2, **columns)
    assert removed(STEP, batch) == {1 - stays: stays}


def test_a_document_without_text_is_compared_with_nothing() -> None:
    """Though it is of the earlier crawl, it is not kept for one that has a text."""
    batch = documents([None, "a", None, "b"], url=["http://a.org"] * 4, meta=[MARCH, MAY, MARCH, MAY])
    assert removed(STEP, batch) == {3: 1}


def test_documents_of_an_index_stay_and_go_first() -> None:
    index = index_of(STEP, documents(["x", "y"], url=["http://a.org/1", None], priority=[9, 9]))
    assert removed(STEP, documents(["a", "b"], url=["https://www.a.org/1", None]), index=index) == {0: -1}


def test_the_similarity_is_that_of_the_key() -> None:
    table, counts = run_verdict(STEP, documents(["a", "quite another"], url=["http://a.org"] * 2), parts=2)
    assert table["similarity"].to_pylist() == [1.0]
    assert counts == {"sets": 1}


def test_which_parameters_count_visits_is_a_parameter() -> None:
    batch = documents(["aa", "b"], url=["http://a.org/?ref=x", "http://a.org/"])
    assert removed(STEP, batch) == {}
    assert removed(UrlDedup(ignored_parameters=("ref",)), batch) == {1: 0}


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(
        st.none()
        | st.tuples(
            st.sampled_from(["http://", "https://www.", ""]),
            st.sampled_from(["a.b", "A.b"]),
            st.sampled_from(["", "/", "/?"]),
        ).map("".join),
        max_size=12,
    ),
    st.integers(0, 9),
)
def test_equals_a_dictionary_of_normal_forms(urls: list[str | None], seed: int) -> None:
    normal = [normalised_url(url, STEP.ignored_parameters) for url in urls]
    want = {i: normal.index(n) for i, n in enumerate(normal) if n is not None and normal.index(n) != i}
    assert removed(STEP, documents(["x"] * len(urls), url=urls), seed=seed) == want


def test_bounds_are_fields() -> None:
    assert STEP.bounds == Bounds(cluster_at_most=1000)
    assert UrlDedup(cluster_at_most=None, lost_share_at_most=0.9).bounds == Bounds(lost_share_at_most=0.9)


def test_refuses_names_that_are_none() -> None:
    with pytest.raises(RecipeError, match=r"url_dedup: ignored_parameters has '\*'"):
        UrlDedup(ignored_parameters=("*",))
