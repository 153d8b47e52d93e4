"""Durations as people type them, 10, 10s, 500ms, 2m, 1h, and how many a second."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["for_option", "parse_duration", "parse_rate"]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TEXT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)?")


def parse_duration(text: str) -> float:
    """Seconds; a usage error for what is no time above zero."""
    found = _TEXT.fullmatch(text.strip().lower())
    seconds = float(found[1]) * _UNITS[found[2] or "s"] if found else 0.0
    if seconds <= 0:
        raise click.BadParameter(f"{text!r} is no time: write 10, 10s, 500ms, 2m or 1h")
    return seconds


def parse_rate(text: str) -> float:
    """So many a second; a usage error for what is no number, or below zero."""
    found = _TEXT.fullmatch(text.strip())
    if found is None or found[2]:
        raise click.BadParameter(f"{text!r} is no number of times a second")
    return float(found[1])


def for_option(function: Decorated) -> Decorated:
    """`--for TIME`, as the argument `duration_s`."""
    return click.option(
        "--for",
        "duration_s",
        type=parse_duration,
        default="10s",
        metavar="TIME",
        help="How long (10s).",
    )(function)
