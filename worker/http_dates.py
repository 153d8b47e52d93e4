"""HTTP dates: written as IMF-fixdate, read in all three forms of RFC 9110."""

from __future__ import annotations

import re
import time

__all__ = ["format_date", "parse_date"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_IMF = re.compile(r"\w{3}, (\d{2}) (\w{3}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT", re.ASCII)
_RFC850 = re.compile(r"\w{6,9}, (\d{2})-(\w{3})-(\d{2}) (\d{2}):(\d{2}):(\d{2}) GMT", re.ASCII)
_ASCTIME = re.compile(r"\w{3} (\w{3}) ([ \d]\d) (\d{2}):(\d{2}):(\d{2}) (\d{4})", re.ASCII)


def format_date(seconds: float) -> str:
    """Seconds since the epoch as an HTTP date; not the locale's names."""
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(seconds)
    return (
        f"{_DAYS[weekday]}, {day:02d} {_MONTHS[month - 1]} {year:04d} "
        f"{hour:02d}:{minute:02d}:{second:02d} GMT"
    )


def parse_date(text: str) -> int | None:
    """Seconds since the epoch, None for what is no HTTP date."""
    text = text.strip()
    if match := _IMF.fullmatch(text):
        day, month, year, hour, minute, second = match.groups()
    elif match := _RFC850.fullmatch(text):
        day, month, year, hour, minute, second = match.groups()
        # RFC 9110, 5.6.7: a year that seems more than 50 years ahead is in the past.
        now = time.gmtime().tm_year
        full = now // 100 * 100 + int(year)
        year = str(full - 100 if full > now + 50 else full)
    elif match := _ASCTIME.fullmatch(text):
        month, day, hour, minute, second, year = match.groups()
    else:
        return None
    if month not in _MONTHS or not 1 <= int(day) <= 31:
        return None
    if int(hour) > 23 or int(minute) > 59 or int(second) > 60:
        return None
    days = _days_since_epoch(int(year), _MONTHS.index(month) + 1, int(day))
    return ((days * 24 + int(hour)) * 60 + int(minute)) * 60 + int(second)


def _days_since_epoch(year: int, month: int, day: int) -> int:
    # Years from March: the leap day comes last, and months have a regular length.
    if month <= 2:
        year, month = year - 1, month + 12
    leap_days = year // 4 - year // 100 + year // 400
    return year * 365 + leap_days + (month * 306 - 914) // 10 + day - 1 - 719468
