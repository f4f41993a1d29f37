"""Which firings of a job are due: the times of its cron expression since the last one.

An expression is read as Debian's cron reads it, by cronsim, changes of summer time included: a firing in the hour that
is skipped comes right after it, one in the hour that comes twice comes once.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from difflib import get_close_matches
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from tokenmill.core.errors import RecipeError

MOST = 10_000  # firings made up for at one time: above that, someone wrote the wrong year
SECOND = timedelta(seconds=1)

CatchUp = Literal["all", "latest", "none"]


def zone(name: str) -> tzinfo:
    """Raises RecipeError for a name that the IANA database does not have, with the nearest one."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        near = get_close_matches(name, available_timezones(), n=1)
        hint = f"did you mean {near[0]}?" if near else "want a name such as UTC or Europe/Oslo"
        raise RecipeError(f"schedule.timezone: {name} is no time zone; {hint}") from error


def check(cron: str, timezone: str, start: date, out: str = "{date}{time}") -> None:
    """Raises RecipeError for an expression or a time zone that gives no firing, or an `out` that two firings share.

    Every day on which there are firings has the same ones: the first two tell whether `out` needs {time}.
    """
    times = _times(cron, _midnight(start, zone(timezone)) - SECOND)
    if "{date}" not in out:
        raise RecipeError(f"out: {out}: {{time}} comes again every day; put {{date}} into it too")
    if "{time}" in out:
        return
    first, second = next(times), next(times, None)
    if second is not None and first.date() == second.date():
        raise RecipeError(
            f'out: {out}: "{cron}" fires at {first:%H:%M} and at {second:%H:%M} of one day, and both would write '
            "there; put {time} into it too"
        )


def due_firings(
    cron: str, timezone: str, start: date, *, last: datetime | None, now: datetime, catch_up: CatchUp = "all"
) -> list[datetime]:
    """The firings after `last` (from `start` on, where there was none) up to `now`, in order, in UTC.

    `all`: each of them. `latest`: the newest. `none`: the newest, unless the one after it is nearer to `now`: it was
    missed. Raises RecipeError for a schedule that cannot be read, or with more than MOST firings due.
    """
    where = zone(timezone)
    # What is searched lies behind `begin`, and midnight itself may be a firing. In UTC, because Python compares two
    # times of one zone by their clocks, which summer time turns back.
    begin = _midnight(start, where).astimezone(UTC) - SECOND
    if last is not None:
        begin = max(begin, last.astimezone(UTC))
    times = _times(cron, begin.astimezone(where))
    if catch_up == "all":
        due: list[datetime] = []
        for firing in times:
            if firing.astimezone(UTC) > now:
                break
            if len(due) == MOST:
                raise RecipeError(
                    f"schedule: more than {MOST:,} firings of {cron} are due since {begin.isoformat()}; "
                    "set a later `start`, or `catch_up: latest`"
                )
            due.append(firing.astimezone(UTC))
        return due
    found = next(CronSim(cron, now.astimezone(where) + SECOND, reverse=True), None)
    newest = found.astimezone(UTC) if found is not None else None
    if newest is None or newest <= begin:
        return []
    if catch_up == "none":
        following = next(CronSim(cron, now.astimezone(where))).astimezone(UTC)
        if following - now < now - newest:
            return []
    return [newest]


def _times(cron: str, begin: datetime) -> CronSim:
    try:
        times = CronSim(cron, begin)
        next(CronSim(cron, begin))
    except CronSimError as error:
        raise RecipeError(
            f'schedule.cron: "{cron}": {str(error).lower()}; want five fields: minute, hour, day of the month, month, '
            "day of the week"
        ) from error
    except StopIteration as error:
        raise RecipeError(f'schedule.cron: "{cron}" never comes; give a day that is in the calendar') from error
    return times


def _midnight(day: date, where: tzinfo) -> datetime:
    return datetime.combine(day, time(), where)
