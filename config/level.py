"""What one file says, as data: its own sections, and those of its location tags by path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from was.config.integrated import NotIntegrated
from was.config.locks import Declaration
from was.config.merge import Element
from was.config.parse import Node

__all__ = ["Level", "Scope"]


@dataclass(slots=True)
class Scope:
    """The sections of one file for one path; `path` is "" for the file's own level."""

    path: str
    sections: dict[str, Element] = field(default_factory=dict[str, Element])
    override_mode: str = "Inherit"
    inherit_in_child_applications: bool = True
    is_location: bool = False
    line: int = 0
    column: int = 0
    not_integrated: tuple[NotIntegrated, ...] = ()


@dataclass(slots=True)
class Level:
    """What one file says. `scopes` is by path in lower case, in file order.

    `declarations` are those that hold in it, `declared` those among them that it makes itself.
    """

    file: str
    declarations: dict[str, Declaration] = field(default_factory=dict[str, Declaration])
    declared: dict[str, Declaration] = field(default_factory=dict[str, Declaration])
    scopes: dict[str, list[Scope]] = field(default_factory=dict[str, list[Scope]])
    unread: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    root: Node | None = None
    remarks: list[str] = field(default_factory=list[str])
    left_out: list[Element] = field(default_factory=list[Element])  # items without a key
    _prefixes: set[str] | None = None

    def all_scopes(self) -> Iterator[Scope]:
        """Every scope of the file, path by path."""
        return chain.from_iterable(self.scopes.values())

    def scopes_at(self, path: str) -> list[Scope]:
        """The scopes that address exactly `path` (lower case, relative to the file's level)."""
        return self.scopes.get(path, [])

    def leads_to(self, path: str) -> bool:
        """Whether a location tag addresses `path` or something below it."""
        if self._prefixes is None:
            self._prefixes = {
                scope[:end] for scope in self.scopes for end in _ends_of_segments(scope)
            }
        return path in self._prefixes


def _ends_of_segments(path: str) -> Iterator[int]:
    end = path.find("/")
    while end >= 0:
        yield end
        end = path.find("/", end + 1)
    yield len(path)
