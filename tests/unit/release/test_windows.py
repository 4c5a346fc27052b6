"""Windows by the clocks on the wall: open or not, and when the next one opens, over midnight and changed hours."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelops.api.v1alpha1.control import EVERY_DAY, Window
from modelops.domain.release.windows import is_open, opening, window_words, zone_problem

WEEKDAYS = {"days": ["Mon", "Tue", "Wed", "Thu"], "from": "09:00", "to": "16:00", "timeZone": "Europe/Zurich"}
NIGHT = {"days": ["Fri"], "from": "22:00", "to": "02:00", "timeZone": "America/New_York"}
SKIPPED = {"days": ["Sun"], "from": "02:15", "to": "02:45", "timeZone": "Europe/Zurich"}
INTO_IT = {**SKIPPED, "to": "05:00"}


def window(fields: dict[str, Any]) -> Window:
    return Window.model_validate(fields)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "now", "opens"),
    [
        pytest.param(WEEKDAYS, "2026-01-05T08:00", None, id="open from 9 in winter"),
        pytest.param(WEEKDAYS, "2026-01-05T07:59", "2026-01-05T08:00", id="a minute before"),
        pytest.param(WEEKDAYS, "2026-07-06T07:00", None, id="an hour earlier in summer"),
        pytest.param(WEEKDAYS, "2026-01-05T15:00", "2026-01-06T08:00", id="shut at its end"),
        pytest.param(WEEKDAYS, "2026-01-08T15:00", "2026-01-12T08:00", id="over the weekend"),
        pytest.param(WEEKDAYS, "2026-03-26T16:00", "2026-03-30T07:00", id="over the change to summer time"),
        pytest.param(NIGHT, "2026-01-10T06:59", None, id="still open after midnight"),
        pytest.param(NIGHT, "2026-01-10T07:00", "2026-01-17T03:00", id="not on the evening after"),
        pytest.param(SKIPPED, "2026-03-29T00:30", "2026-04-05T00:15", id="an hour that is skipped opens nothing"),
        pytest.param(INTO_IT, "2026-03-29T00:30", "2026-03-29T01:00", id="opens as soon as the hour is over"),
        pytest.param(SKIPPED, "2026-10-25T00:50", "2026-10-25T01:15", id="an hour that is repeated opens it twice"),
        pytest.param({"from": "00:00", "to": "24:00"}, "2026-03-29T23:59", None, id="the whole day"),
    ],
)
def test_window_opens_by_the_clocks_of_its_zone(fields: dict[str, Any], now: str, opens: str | None) -> None:
    """When the next one opens, or None while it is open."""
    found = opening([window(fields)], at(now))
    assert (found and found[0]) == (opens and at(opens))


_WINDOW = st.builds(
    lambda days, begin, end, zone: window({"days": sorted(days), "from": begin, "to": end, "timeZone": zone}),
    st.sets(st.sampled_from(EVERY_DAY), min_size=1),
    st.sampled_from(["00:00", "01:30", "02:00", "02:30", "09:00", "23:30"]),
    st.sampled_from(["00:30", "02:15", "02:45", "03:00", "16:00", "24:00"]),
    st.sampled_from(["UTC", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
_CHANGES = st.sampled_from(["2026-03-28", "2026-10-24", "2026-11-01", "2026-03-08", "2026-04-04", "2026-06-01"])


@settings(max_examples=60, deadline=None)
@given(st.lists(_WINDOW, min_size=1, max_size=3), _CHANGES, st.integers(0, 3000))
def test_nothing_opens_before_it_is_said_to(windows: list[Window], day: str, minutes: int) -> None:
    """The time told is open, and no minute before it is, whatever the zones do that night."""
    now = at(day) + timedelta(minutes=minutes)
    found = opening(windows, now)
    assert (found is None) == is_open(windows, now)
    if found is None:
        return
    opens, which = found
    assert is_open([which], opens)
    step, before = timedelta(minutes=5), opens - timedelta(minutes=5)
    assert not any(is_open(windows, now + n * step) for n in range(1 + max(-1, (before - now) // step)))


@pytest.mark.parametrize("name", ["Europe/Zurich", "UTC", "America/Argentina/Buenos_Aires"])
def test_time_zones_are_known_by_their_names(name: str) -> None:
    """As the tz database has them."""
    assert zone_problem(name) == ""


@pytest.mark.parametrize("name", ["Mars/Phobos", "Europe/../Zurich", "America/Argentina"])
def test_unknown_time_zone_says_what_to_write(name: str) -> None:
    """A place that does not exist, a path, and a directory."""
    assert zone_problem(name) == f"there is no time zone {name}; write UTC or an IANA name such as Europe/Zurich"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (WEEKDAYS, "Mon-Thu 09:00-16:00 Europe/Zurich"),
        (NIGHT, "Fri 22:00-02:00 America/New_York"),
        ({**NIGHT, "days": ["Mon", "Fri"]}, "Mon,Fri 22:00-02:00 America/New_York"),
    ],
)
def test_window_is_told_as_people_say_it(fields: dict[str, Any], words: str) -> None:
    """Days, hours, zone."""
    assert window_words(window(fields)) == words
