"""Aligned text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

__all__ = ["aligned", "cell", "fitted", "shortened"]


def cell(value: object) -> str:
    """One value on one line: lists with commas, objects as name=value, nothing as "-"."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.2f}"
        case list():
            return ", ".join(cell(v) for v in cast("list[object]", value)) or "-"
        case dict():
            items = cast("dict[str, object]", value).items()
            return " ".join(f"{k}={cell(v)}" for k, v in items) or "-"
        case _:
            return str(value).replace("\n", " ")


def aligned(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Lines of a table, its head first: the rows' keys in capitals, numbers to the right."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    numeric = {n for n in names if all(_is_number(row.get(n)) for row in rows)}
    lines = [[name.replace("_", " ").upper() for name in names]]
    lines += [[cell(row.get(name)) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    return [
        "  ".join(
            text.rjust(width) if name in numeric else text.ljust(width)
            for text, width, name in zip(line, widths, names, strict=True)
        ).rstrip()
        for line in lines
    ]


def fitted(
    rows: Sequence[Mapping[str, object]], width: int, first_to_go: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The same in so many columns of a terminal, and the names left out for it.

    Where that is not enough the lines are cut.
    """
    gone: list[str] = []
    while True:
        lines = aligned([{k: v for k, v in row.items() if k not in gone} for row in rows])
        if len(gone) == len(first_to_go) or max(map(len, lines), default=0) <= width:
            return [shortened(line, width) for line in lines], gone
        gone.append(first_to_go[len(gone)])


def shortened(text: str, width: int) -> str:
    """Text in so many columns at most; what was cut is marked."""
    return text if len(text) <= width else text[: width - 1] + "…"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
