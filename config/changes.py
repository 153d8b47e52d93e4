"""What can be changed in a configuration file, in IIS's terms. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "AddItem",
    "Change",
    "Clear",
    "Item",
    "Place",
    "RemoveItem",
    "ResetAttribute",
    "Revert",
    "SetAttribute",
    "Step",
]


@dataclass(frozen=True, slots=True)
class Item:
    """The item of a collection whose attributes have these values (as text, as in the file)."""

    attributes: Mapping[str, str]


Step: TypeAlias = str | Item


@dataclass(frozen=True, slots=True)
class Place:
    """A section of the file or of the location tags for one path, or an element or item in it.

    Place("system.applicationHost/sites", "", (Item({"name": "S"}), "bindings")) are the bindings of
    site S.
    """

    section: str
    location: str = ""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class SetAttribute:
    """Give an attribute a value, which takes hold from here down."""

    place: Place
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ResetAttribute:
    """Say nothing of an attribute here any more: what is inherited holds again."""

    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class AddItem:
    """Add an item to the collection at `place`.

    It is the last of those that this file adds, or comes before the one with the number `at`. `tag`
    chooses among the tags that add (default: the first).
    """

    place: Place
    attributes: Mapping[str, str]
    at: int | None = None
    tag: str = ""


@dataclass(frozen=True, slots=True)
class RemoveItem:
    """Remove an item of the collection at `place`, wherever it comes from.

    An `add` of this file is deleted; for an inherited one a `remove` is written.
    """

    place: Place
    item: Item


@dataclass(frozen=True, slots=True)
class Clear:
    """Empty the collection at `place`: inherited items too."""

    place: Place


@dataclass(frozen=True, slots=True)
class Revert:
    """Say nothing at all any more: of a section, an element of it, or an item added here."""

    place: Place


Change: TypeAlias = SetAttribute | ResetAttribute | AddItem | RemoveItem | Clear | Revert
