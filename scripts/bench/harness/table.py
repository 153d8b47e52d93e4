"""Plain tables for a terminal, and bars that a run must clear."""

from __future__ import annotations

import sys

__all__ = ["Report"]


class Report:
    """Prints tables and judges bars; `exit_code` is 1 once a bar was missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def title(self, text: str) -> None:
        """A heading."""
        print(f"\n{text}\n{'-' * len(text)}", flush=True)

    def line(self, text: str) -> None:
        """A line of prose."""
        print(text, flush=True)

    def table(self, heads: list[str], rows: list[list[str]]) -> None:
        """Columns: the first to the left, the rest to the right."""
        widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
        for row in [heads, *rows]:
            cells = [row[0].ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            print("  ".join(cells).rstrip(), flush=True)

    def bar(self, text: str, is_met: bool, *, goal_only: bool = False) -> None:
        """One thing that must hold; a goal is told but does not fail the run."""
        word = "ok" if is_met else ("goal missed" if goal_only else "MISSED")
        print(f"[{word}] {text}", flush=True)
        if not is_met and not goal_only:
            self.missed.append(text)

    @property
    def exit_code(self) -> int:
        """What the script exits with."""
        if self.missed:
            print(f"{len(self.missed)} bar(s) missed", file=sys.stderr)
        return 1 if self.missed else 0
