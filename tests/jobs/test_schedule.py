"""Firings that are due are those of the cron expression between the last one and now, and no others."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.schedule import check, due_firings

START = date(2026, 11, 1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("last", "now", "catch_up", "due"),
    [
        pytest.param(None, "2026-11-01 02:59:59", "all", [], id="before the first"),
        pytest.param(None, "2026-11-01 03:00:00", "all", ["2026-11-01 03:00"], id="the first, to the second"),
        pytest.param(None, "2026-11-02 12:00", "all", ["2026-11-01 03:00", "2026-11-02 03:00"], id="all since start"),
        pytest.param("2026-11-01 03:00", "2026-11-02 02:00", "all", [], id="nothing since the last"),
        pytest.param(
            "2026-11-01 03:00",
            "2026-11-04 04:00",
            "all",
            ["2026-11-02 03:00", "2026-11-03 03:00", "2026-11-04 03:00"],
            id="three were missed",
        ),
        pytest.param("2026-11-01 03:00", "2026-11-04 04:00", "latest", ["2026-11-04 03:00"], id="the latest of three"),
        pytest.param("2026-11-04 03:00", "2026-11-04 04:00", "latest", [], id="the latest was fired"),
        pytest.param("2026-11-01 03:00", "2026-11-04 14:59", "none", ["2026-11-04 03:00"], id="late, not missed"),
        pytest.param("2026-11-01 03:00", "2026-11-04 15:01", "none", [], id="missed: the next one is nearer"),
        pytest.param("2026-12-01 05:00", "2026-11-04 04:00", "all", [], id="a last one in the future"),
    ],
)
def test_due_since_the_last_one(last, now, catch_up, due):
    found = due_firings("0 3 * * *", "UTC", START, last=at(last) if last else None, now=at(now), catch_up=catch_up)
    assert found == [at(d) for d in due]


def test_midnight_of_the_first_day_is_a_firing():
    assert due_firings("0 0 * * *", "UTC", START, last=None, now=at("2026-11-01 00:00")) == [at("2026-11-01 00:00")]


def test_a_named_time_zone_has_its_own_midnight_and_its_own_summer():
    """New York leaves summer time on 2026-11-01: 03:00 there is 07:00 UTC the day before, 08:00 UTC from then on."""
    found = due_firings("0 3 * * *", "America/New_York", date(2026, 10, 31), last=None, now=at("2026-11-02 12:00"))
    assert found == [at("2026-10-31 07:00"), at("2026-11-01 08:00"), at("2026-11-02 08:00")]


def test_the_hour_that_comes_twice_fires_once_and_the_one_that_is_skipped_fires_after_it():
    twice = due_firings("30 1 * * *", "America/New_York", START, last=None, now=at("2026-11-02 00:00"))
    assert twice == [at("2026-11-01 05:30")]
    skipped = due_firings("30 2 * * *", "America/New_York", date(2026, 3, 8), last=None, now=at("2026-03-09 00:00"))
    assert skipped == [at("2026-03-08 07:00")]  # 03:00 summer time


def test_going_on_from_each_firing_gives_them_all():
    """On time or caught up, the firings are the same: every half hour of three days, summer's end too."""
    start, end = date(2026, 10, 31), at("2026-11-03 00:00")
    whole = due_firings("*/30 * * * *", "America/New_York", start, last=None, now=end)
    apart, last, now = [], None, at("2026-10-31 00:00")
    while now <= end:
        fired = due_firings("*/30 * * * *", "America/New_York", start, last=last, now=now)
        apart += fired
        last = fired[-1] if fired else last
        now += timedelta(minutes=17)
    assert apart == whole[: len(apart)]
    assert len(whole) - len(apart) <= 1
    assert len({*whole}) == len(whole) == 2 * (24 * 3 - 4) + 1


@pytest.mark.parametrize(
    ("cron", "timezone", "complaint"),
    [
        pytest.param("0 25 * * *", "UTC", "schedule.cron: .*bad hour; want five fields", id="no such hour"),
        pytest.param("0 3 * *", "UTC", "wrong number of fields", id="four fields"),
        pytest.param("0 0 30 2 *", "UTC", "schedule.cron: .*bad day-of-month", id="a day that never comes"),
        pytest.param("0 3 * * *", "Europe/Olso", r"did you mean Europe/Oslo\?", id="no such zone"),
        pytest.param("0 3 * * *", "../etc/passwd", "is no time zone", id="a path as a zone"),
    ],
)
def test_a_schedule_that_cannot_be_read_is_refused(cron, timezone, complaint):
    with pytest.raises(RecipeError, match=complaint):
        check(cron, timezone, START)


def test_a_start_in_the_wrong_year_is_no_week_of_work():
    with pytest.raises(RecipeError, match=r"more than 10,000 firings .* set a later `start`, or `catch_up: latest`"):
        due_firings("* * * * *", "UTC", date(2016, 11, 1), last=None, now=at("2026-11-01 00:00"))
    newest = due_firings(
        "* * * * *", "UTC", date(2016, 11, 1), last=None, now=at("2026-11-01 00:00"), catch_up="latest"
    )
    assert newest == [at("2026-11-01 00:00")]


@pytest.mark.parametrize(
    ("cron", "out", "complaint"),
    [
        pytest.param("0 3 * * *", "runs/{date}", None, id="once a day"),
        pytest.param("0 3 * * 1", "runs/{date}", None, id="once a week"),
        pytest.param("0 3,15 * * *", "runs/{date}-{time}", None, id="twice, each apart"),
        pytest.param("0 3,15 1 * *", "runs/{date}", "03:00 and at 15:00 of one day", id="twice in a month"),
        pytest.param("*/5 0 * * *", "runs/{date}", "00:00 and at 00:05 of one day", id="from midnight on"),
        pytest.param("0 3 * * *", "runs/{time}", "put {date} into it too", id="every day at one time"),
    ],
)
def test_firings_that_would_share_a_directory_are_refused_before_the_first(cron, out, complaint):
    if complaint is None:
        check(cron, "Europe/Oslo", START, out)
        return
    with pytest.raises(RecipeError, match=complaint):
        check(cron, "Europe/Oslo", START, out)
