"""URLs that lead to one page become equal, others do not."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.normalised_urls import normalised_urls
from tokenmill.kernels.normalised_urls_reference import normalised_url

IGNORED = ("utm_*", "gclid")


def normalised(*urls: str | None) -> list[str | None]:
    result = normalised_urls(pa.array(urls, pa.string()), IGNORED)
    result.validate(full=True)
    return result.to_pylist()


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        pytest.param("HTTPS://Example.ORG/Path", "//example.org/Path", id="case of scheme and host, not of the path"),
        pytest.param("http://example.org/a", "//example.org/a", id="http is https"),
        pytest.param("//example.org/a", "//example.org/a", id="and so is no scheme"),
        pytest.param("ftp://example.org/a", "ftp://example.org/a", id="other schemes are others"),
        pytest.param("http://example.org:80/", "//example.org", id="the port of http"),
        pytest.param("https://example.org:443", "//example.org", id="the port of https"),
        pytest.param("https://example.org:80/", "//example.org:80", id="another port"),
        pytest.param("ftp://example.org:/a", "ftp://example.org/a", id="an empty port"),
        pytest.param("http://[2001:DB8::1]:80/a", "//[2001:db8::1]/a", id="an address of version 6"),
        pytest.param("http://[2001:db8::1]", "//[2001:db8::1]", id="whose end is no port"),
        pytest.param("http://www.example.org", "//example.org", id="www goes"),
        pytest.param("http://www.com/", "//www.com", id="unless it is the name"),
        pytest.param("http://www.com:8080/", "//www.com:8080", id="whatever the port"),
        pytest.param("http://user:Pw@WWW.example.org/", "//user:Pw@example.org", id="a user keeps their name"),
        pytest.param("http://a.org/%7euser/%c3%a9/%2f", "//a.org/~user/%C3%A9/%2F", id="percent-encodings"),
        pytest.param("http://a.org/é b", "//a.org/%C3%A9%20b", id="what must be encoded is"),
        pytest.param("http://a.org/100%/%zz%4", "//a.org/100%/%zz%4", id="no encodings"),
        pytest.param("http://a.org/a/./b/../c/%2e%2E/d", "//a.org/a/d", id="dot segments"),
        pytest.param("http://a.org/../..", "//a.org", id="above the root is the root"),
        pytest.param("http://a.org/...", "//a.org/...", id="three dots are a name"),
        pytest.param("http://a.org/a/", "//a.org/a", id="a slash at the end"),
        pytest.param("http://a.org/a//b", "//a.org/a//b", id="not within"),
        pytest.param("http://a.org/a#b?c", "//a.org/a", id="the fragment goes"),
        pytest.param("http://a.org?", "//a.org", id="an empty query goes"),
        pytest.param("http://a.org/?b=2&a=1", "//a.org?b=2&a=1", id="parameters keep their order"),
        pytest.param("http://a.org/?&a=1&&utm_source=x&b&UTM_ID=2&gclid=3&gclid2=4", "//a.org?a=1&b&gclid2=4", id="go"),
        pytest.param("http://a.org/?q=utm_source", "//a.org?q=utm_source", id="a value is no name"),
        pytest.param("http://a.org/?a=%2B+%20", "//a.org?a=%2B+%20", id="a plus is no space"),
        pytest.param("http://a.org/?u=http://b.org/", "//a.org?u=http://b.org/", id="a URL within"),
        pytest.param(" http://a.org/\n", "//a.org", id="white space around"),
        pytest.param("example.org/A#b", "example.org/A#b", id="no URL: as it is"),
        pytest.param("doi:10.1/X", "doi:10.1/X", id="no authority: as it is"),
        pytest.param("1http://a.org/", "1http://a.org/", id="no scheme begins with a digit"),
        pytest.param("http://", "//", id="nothing behind the scheme"),
        pytest.param("http://Bücher.example/", "//bücher.example", id="names in other scripts"),
        pytest.param(" ", None, id="blank"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="null"),
    ],
)
def test_normal_form(url: str | None, normal: str | None) -> None:
    assert normalised_url(url, IGNORED) == normal
    assert normalised(url) == [normal]


PIECES = [
    *(
        "http:",
        "HTTPS:",
        "ftp:",
        "/",
        "//",
        "//",
        ":",
        "@",
        "?",
        "&",
        "#",
        "=",
        "%",
        "%2e",
        "%E9",
        "%2F",
        ".",
        "..",
        "www.",
    ),
    *("a", "B.org", ":80", ":443", "utm_", "gclid", " ", "é", "😀", "[", "]", "\0", "4", "+"),
]
URL = st.text(max_size=20) | st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
URLS = st.lists(st.none() | URL | URL.map("http://".__add__) | URL.map("https://www.a.b/".__add__), max_size=4)


@settings(deadline=None, max_examples=1000)  # the first call compiles
@given(URLS, st.sampled_from([pa.string(), pa.large_string()]), st.booleans())
def test_equals_the_plain_definition(urls: list[str | None], type_: pa.DataType, sliced: bool) -> None:
    array = pa.array(["http://before.org/", *urls], type_)[1:] if sliced else pa.array(urls, type_)
    result = normalised_urls(array, IGNORED)
    result.validate(full=True)
    assert result.to_pylist() == [normalised_url(url, IGNORED) for url in urls]


@settings(deadline=None)
@given(URL.map(lambda rest: "http://a.org/" + rest.replace("%", "")))
def test_a_normal_form_is_its_own(url: str) -> None:
    once = normalised(url)
    assert normalised(*once) == once


def test_a_url_of_100_kb() -> None:
    url = "http://a.org/" + "é/../b/" * 15_000
    assert normalised(url) == ["//a.org" + "/b" * 15_000] == [normalised_url(url, IGNORED)]


@pytest.mark.parametrize("name", ["", "*", "größe"])
def test_refuses_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a parameter"):
        normalised_urls(pa.array(["a"]), (name,))
