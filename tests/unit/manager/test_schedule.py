"""Scheduled times of day, with clocks that are set and zones that shift."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from was.manager.schedule import JUMP_BACK_S, ScheduleWatch, latest_time

THREE = (3 * 3600.0,)


@pytest.fixture
def zone() -> Iterator[Callable[[str], None]]:
    before = os.environ.get("TZ")

    def use(name: str) -> None:
        os.environ["TZ"] = name
        time.tzset()

    yield use
    if before is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = before
    time.tzset()


def utc(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()


def looks(walls: list[float], schedule=THREE) -> list[bool]:
    watch = ScheduleWatch()
    return [watch.has_come(schedule, wall) for wall in walls]


def test_a_time_of_day_comes_once_a_day(zone):
    """Not at the first look, then at the first one at or after the time, each day."""
    zone("UTC0")
    day = utc(2026, 3, 10, 2, 59, 50)
    assert looks([day, day + 10, day + 20, day + 86400, day + 86410]) == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_a_manager_that_starts_after_the_time_recycles_nothing(zone):
    """What came before the first look does not count."""
    zone("UTC0")
    assert looks([utc(2026, 3, 10, 3, 0, 1), utc(2026, 3, 10, 3, 0, 11)]) == [False, False]


def test_times_are_local(zone):
    """Three o'clock is three o'clock here."""
    zone("XXX-05:30")
    assert latest_time(THREE, utc(2026, 3, 10, 12)) == utc(2026, 3, 9, 21, 30)


def test_of_several_times_each_counts(zone):
    """Every entry of the schedule has its turn."""
    zone("UTC0")
    day = utc(2026, 3, 10)
    at = [day, day + 3600, day + 7200, day + 10800]
    assert looks(at, (3600.0, 10800.0)) == [False, True, False, True]


def test_no_schedule_never_comes(zone):
    """An empty schedule is none."""
    zone("UTC0")
    assert latest_time((), utc(2026, 3, 10)) is None
    assert looks([0.0, 1e9], ()) == [False, False]


def test_a_clock_set_forward_past_the_time_counts_once(zone):
    """A skipped time counts when it is noticed, however many days were skipped."""
    zone("UTC0")
    day = utc(2026, 3, 10, 1)
    assert looks([day, day + 5 * 86400, day + 5 * 86400 + 10]) == [False, True, False]


def test_a_clock_set_back_a_little_repeats_nothing(zone):
    """The same three o'clock does not come twice."""
    zone("UTC0")
    three = utc(2026, 3, 10, 3)
    assert looks([three - 60, three, three - 600, three, three + 10]) == [
        False,
        True,
        False,
        False,
        False,
    ]


def test_a_clock_that_was_far_ahead_counts_anew(zone):
    """A correction of more than three hours back does not hold the schedule up until then."""
    zone("UTC0")
    three = utc(2026, 3, 10, 3)
    ahead = three + JUMP_BACK_S + 3600
    assert looks([ahead, three - 60, three]) == [False, False, True]


def test_daylight_saving_neither_loses_nor_repeats_a_time(zone):
    """02:30 on the day it is left out, and on the day it comes twice: once each."""
    zone("CET-1CEST,M3.5.0,M10.5.0/3")
    half_past_two = (2.5 * 3600,)
    for begin in (utc(2026, 3, 28, 12), utc(2026, 10, 24, 12)):
        walls = [begin + 600 * step for step in range(24 * 6)]
        assert looks(walls, half_past_two).count(True) == 1
