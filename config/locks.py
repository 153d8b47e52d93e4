"""What a file may not say because a file above it has said so: pure.

Two kinds. A *section* is open or closed to deeper files (overrideModeDefault of its declaration,
overrideMode of location tags). *Within* a section, elements and items carry lockAttributes,
lockElements, their complements and lockItem. Either kind holds for files deeper than the one that
locked, never for that file itself; a file's depth counts from the server's, which is 0, as is the
built-in level below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = [
    "LOCKED",
    "LOCKED_SECTION",
    "LOCK_ATTRIBUTES",
    "LOCK_VIOLATION",
    "OPEN",
    "Declaration",
    "Lock",
    "Modes",
    "locks_of",
]

LOCK_ATTRIBUTES = frozenset(
    {
        "lockAttributes",
        "lockAllAttributesExcept",
        "lockElements",
        "lockAllElementsExcept",
        "lockItem",
    }
)
LOCKED = 0x80070021
LOCK_VIOLATION = "Lock violation"
LOCKED_SECTION = (
    "This configuration section cannot be used at this path. This happens when the section is "
    'locked at a parent level. Locking is either by default (overrideModeDefault="Deny"), or set '
    'explicitly by a location tag with overrideMode="Deny" or the legacy allowOverride="false".'
)

# The depth of a lock that nobody has set.
OPEN = 1 << 30


@dataclass(slots=True)
class Declaration:
    """A section declared in configSections: who may use it where."""

    path: str
    override_mode_default: str = "Allow"
    allow_definition: str = "Everywhere"
    allow_location: bool = True


@dataclass(frozen=True, slots=True)
class Lock:
    """Attributes or elements (directives of a collection too) closed to deeper files."""

    is_of_elements: bool
    names: frozenset[str]
    is_all_but: bool
    depth: int

    def covers(self, name: str, depth: int) -> bool:
        """Whether a file of this depth may not say `name`."""
        if depth <= self.depth:
            return False
        return "*" in self.names or (name in self.names) != self.is_all_but


def locks_of(written: Mapping[str, str], depth: int) -> tuple[Lock, ...]:
    """The locks that the lock attributes of one element spell, lockItem aside."""
    found: list[Lock] = []
    for name, text in written.items():
        if name == "lockItem":
            continue
        names = frozenset(part.strip() for part in text.split(",") if part.strip())
        is_all_but = name.startswith("lockAll")
        if is_all_but and "*" in names:  # all but everything
            continue
        found.append(Lock("Elements" in name, names, is_all_but, depth))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Modes:
    """Which sections are open to deeper files at one path. Never changed, only succeeded.

    `_set` holds, for sections that a location tag or a deeper file's declaration speaks of,
    whether deeper files are kept out and the depth of the file that said so.
    """

    declarations: Mapping[str, Declaration]
    _set: Mapping[str, tuple[bool, int]] = field(default_factory=dict[str, tuple[bool, int]])

    def of(self, section: str) -> tuple[bool, int]:
        """(is closed, depth of the file that decided it)."""
        known = self._set.get(section)
        if known is not None:
            return known
        declaration = self.declarations.get(section)
        return declaration is not None and declaration.override_mode_default == "Deny", 0

    def is_closed_to(self, section: str, depth: int) -> bool:
        """Whether a file of this depth may not use the section."""
        is_closed, by = self.of(section)
        return is_closed and by < depth

    def after(self, sections: Iterable[str], mode: str, depth: int) -> Modes:
        """Behind a location tag of a file of this depth with these sections."""
        if mode == "Inherit":
            return self
        changed = {s: (mode == "Deny", depth) for s in sections if not self.is_closed_to(s, depth)}
        return Modes(self.declarations, {**self._set, **changed}) if changed else self

    def declared(self, own: Mapping[str, Declaration], depth: int) -> Modes:
        """Behind a file that declares these sections itself."""
        if not own:
            return self
        changed = {p: (d.override_mode_default == "Deny", depth) for p, d in own.items()}
        return Modes({**self.declarations, **own}, {**self._set, **changed})
