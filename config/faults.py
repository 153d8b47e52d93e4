"""Faults of configuration files: one at its place, and a list of them that stops growing.

A file of nothing but faults must not fill the memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from was.errors import ConfigError

__all__ = ["INVALID_DATA", "MAX_FAULTS", "Faults", "fault_at"]

MAX_FAULTS = 1000

INVALID_DATA = 0x8007000D


class _Placed(Protocol):
    """What stands somewhere in a file: a tag, an element, a view of one."""

    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


def fault_at(
    place: _Placed, message: str, section: str, hresult: int = INVALID_DATA
) -> ConfigError:
    """The fault that `message` tells of a place in a file."""
    return ConfigError(
        message,
        file=place.file,
        line=place.line,
        column=place.column,
        section=section,
        hresult=hresult,
    )


class Faults(list[ConfigError]):
    """The first MAX_FAULTS that are added, and then one that says so."""

    def in_order(self) -> list[ConfigError]:
        """As a person goes through them: file by file, line by line."""
        files = {fault.file: number for number, fault in reversed([*enumerate(self)])}
        listed = sorted(self[:MAX_FAULTS], key=lambda f: (files[f.file], f.line, f.column))
        return [*listed, *self[MAX_FAULTS:]]

    def append(self, fault: ConfigError, /) -> None:
        """Add a fault unless the list is full."""
        if len(self) < MAX_FAULTS:
            super().append(fault)
        elif len(self) == MAX_FAULTS:
            text = f"There are more faults than the {MAX_FAULTS} that are listed"
            super().append(ConfigError(text, file=fault.file, line=fault.line, column=fault.column))

    def __iadd__(self, faults: Iterable[ConfigError], /) -> Faults:  # type: ignore[override, misc]
        """As extend."""
        self.extend(faults)
        return self

    def extend(self, faults: Iterable[ConfigError], /) -> None:
        """Add each fault unless the list is full."""
        for fault in faults:
            self.append(fault)
