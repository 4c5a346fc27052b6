"""Parts of the week, by the clocks of a time zone: whether one is open, and when the next one opens. Pure.

What counts is what a clock on the wall shows: an hour that the change to summer time skips opens no window, and one
that it repeats opens it twice.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from modelops.api.v1alpha1.control import EVERY_DAY, Window

_AHEAD: Final = 15
"""Days: a weekly window that begins in a skipped hour opens a week later."""
_MINUTE: Final = timedelta(minutes=1)


def zone_problem(name: str) -> str:
    """Return what is wrong with the name of a time zone, or nothing."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"there is no time zone {name}; write UTC or an IANA name such as Europe/Zurich"
    return ""


def is_open(windows: Sequence[Window], now: datetime) -> bool:
    """Return whether any window is open; without windows, always."""
    return not windows or any(_is_open(window, now) for window in windows)


def opening(windows: Sequence[Window], now: datetime) -> tuple[datetime, Window] | None:
    """Return when the next window opens, and which; None while one is open."""
    if is_open(windows, now):
        return None
    found = [(at, window) for window in windows if (at := _opens_at(window, now)) is not None]
    return min(found, key=lambda one: one[0], default=None)


def window_words(window: Window) -> str:
    """Return a window as people say it: `Mon-Thu 09:00-16:00 Europe/Zurich`."""
    return f"{_days(window)} {window.from_}-{window.to} {window.time_zone}"


def _days(window: Window) -> str:
    chosen = [day for day in EVERY_DAY if day in window.days]
    first, last = EVERY_DAY.index(chosen[0]), EVERY_DAY.index(chosen[-1])
    if len(chosen) > 2 and last - first == len(chosen) - 1:
        return f"{chosen[0]}-{chosen[-1]}"
    return ",".join(chosen)


def _is_open(window: Window, now: datetime) -> bool:
    local = now.astimezone(ZoneInfo(window.time_zone))
    minute, begin, end = local.hour * 60 + local.minute, _minutes(window.from_), _minutes(window.to)
    today, yesterday = EVERY_DAY[local.weekday()] in window.days, EVERY_DAY[local.weekday() - 1] in window.days
    if begin < end:
        return today and begin <= minute < end
    return (today and minute >= begin) or (yesterday and minute < end)


def _opens_at(window: Window, now: datetime) -> datetime | None:
    today = now.astimezone(ZoneInfo(window.time_zone)).date()
    for ahead in range(-1, _AHEAD):
        day = today + timedelta(days=ahead)
        instants = sorted({*_edges(window, day, window.from_), *_edges(window, day, window.to)})
        found = next((at for at in instants if at > now and _is_open(window, at)), None)
        if found is not None:
            return found
    return None


def _edges(window: Window, day: date, clock: str) -> Iterator[datetime]:
    """Yield the instants at which the clock may show it: one, but every minute between two where an hour is changed."""
    naive = datetime(day.year, day.month, day.day) + timedelta(minutes=_minutes(clock))  # noqa: DTZ001 - given its zone below
    both = [naive.replace(tzinfo=ZoneInfo(window.time_zone), fold=fold).astimezone(UTC) for fold in (0, 1)]
    at = min(both)
    while at <= max(both):
        yield at
        at += _MINUTE


def _minutes(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)
