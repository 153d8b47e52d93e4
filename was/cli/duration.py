"""Durations as people type them on the command line: 10, 10s, 500ms, 2m, 1h."""

from __future__ import annotations

import re

import click

__all__ = ["parse_duration"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TEXT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)?")


def parse_duration(text: str) -> float:
    """Seconds; a usage error for what is no time above zero."""
    found = _TEXT.fullmatch(text.strip().lower())
    seconds = float(found[1]) * _UNITS[found[2] or "s"] if found else 0.0
    if seconds <= 0:
        raise click.BadParameter(f"{text!r} is no time: write 10, 10s, 500ms, 2m or 1h")
    return seconds
