"""Names that Kubernetes takes, and texts that it leaves as they are."""

import re

import pytest

from tokenmill.jobs.kubernetes_pod import dns_name, plain

TAKEN = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


@pytest.mark.parametrize("text", ["web", "web-daily", "Web_Daily", "1.5-web", "a" * 100, "x" * 51 + "-y", "_", "été"])
def test_a_name_is_one_that_kubernetes_takes(text):
    name = dns_name(text)
    assert TAKEN.fullmatch(name)
    assert len(name) <= 52


def test_a_name_stays_if_it_can_and_different_ones_stay_different():
    assert dns_name("web-daily") == "web-daily"
    assert len({dns_name(text) for text in ("web-daily", "web_daily", "Web-Daily", "web.daily")}) == 4
    assert dns_name("web", distinct="/a/web-1") != dns_name("web", distinct="/b/web-1")


def test_what_kubernetes_would_read_is_written_so_that_it_does_not():
    assert plain("$(HOME) costs $5, $$ and ${X}") == "$$(HOME) costs $$5, $$$$ and $${X}"
