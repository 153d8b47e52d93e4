"""How levels of configuration become one: pure, a level at a time.

A level says only what is written in it (`Element`, with its directives in file order); what is
in force after some levels is a `Merged`. `merge(base, level)` folds one more level in:

- an attribute: the deepest explicit value wins;
- a child element: merged attribute by attribute;
- what a level above has locked for deeper files is left as it is, and is a fault of the level;
- a collection: `clear` drops everything so far, `remove` one key, `add` appends, or comes before
  all inherited items where the schema says mergeAppend="false" (handlers, default documents); an
  `add` of a key that is there already is an error, except that an applicationHost.config
  may state again what the built-in level holds.

A Merged is never changed once made, and is shared wherever a level says nothing about it, so
that ten thousand sites that inherit everything cost one copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from was.config.faults import fault_at
from was.config.locks import LOCK_VIOLATION, LOCKED, OPEN, Lock, locks_of
from was.config.model import SectionView
from was.config.schema import CollectionSchema, ElementSchema, SchemaValue
from was.errors import ConfigError

__all__ = [
    "DUPLICATE",
    "Directive",
    "Element",
    "Key",
    "Merged",
    "Operation",
    "added_items",
    "key_text",
    "merge",
    "overlay",
]

Key = tuple[object, ...]
DUPLICATE = 0x800700B7


class Operation(Enum):
    """What a tag in a collection does."""

    ADD = "add"
    REMOVE = "remove"
    CLEAR = "clear"


@dataclass(slots=True, eq=False)
class Element:
    """What one place in one file says about a section, element or item.

    The next configuration may have the same element: then it is known what came of it, `merged`
    where no level above says anything, and `remarks` on what has no effect.
    """

    schema: ElementSchema
    name: str
    values: dict[str, SchemaValue]
    elements: dict[str, Element]
    directives: list[Directive]
    locks: dict[str, str]
    file: str = ""
    line: int = 0
    column: int = 0
    merged: Merged | None = None
    remarks: tuple[str, ...] | None = None


@dataclass(slots=True, eq=False)
class Directive:
    """One tag of a collection; `key` is empty for a clear."""

    operation: Operation
    key: Key
    element: Element


def added_items(collection: Element | None) -> list[Element]:
    """The items that one place in one file adds, in file order."""
    if collection is None:
        return []
    return [d.element for d in collection.directives if d.operation is Operation.ADD]


@dataclass(slots=True, eq=False)
class Merged:
    """What levels together say, before defaults: treat as frozen.

    `has_own_items` tells that some level touched the collection. `locked_by` is the depth of the
    file that locked the whole (lockItem).
    """

    schema: ElementSchema
    name: str
    values: dict[str, SchemaValue] = field(default_factory=dict[str, SchemaValue])
    elements: dict[str, Merged] = field(default_factory=dict[str, "Merged"])
    items: dict[Key, Merged] = field(default_factory=dict[Key, "Merged"])
    has_own_items: bool = False
    file: str = ""
    line: int = 0
    column: int = 0
    locks: tuple[Lock, ...] = ()
    locked_by: int = OPEN
    view: object = None
    made: tuple[object, tuple[Merged, ...], SectionView] | None = None


def merge(
    base: Merged | None,
    level: Element,
    section: str,
    errors: list[ConfigError],
    *,
    may_restate: bool = False,
    depth: int = 0,
) -> Merged:
    """`base` with `level` folded in; duplicate entries and lock violations go to `errors`.

    With `may_restate` an entry of `base` may be added again, and is replaced. `depth` is that of
    the level's file (was.config.locks).
    """
    return _Fold(section, errors, depth, may_restate=may_restate).fold(base, level)


class _Fold:
    """One section of one level, as it is folded into what was said above."""

    __slots__ = ("_depth", "_errors", "_may_restate", "_section")

    def __init__(
        self, section: str, errors: list[ConfigError], depth: int, *, may_restate: bool
    ) -> None:
        self._section = section
        self._errors = errors
        self._depth = depth
        self._may_restate = may_restate

    def fold(self, base: Merged | None, level: Element) -> Merged:
        """`base` with `level` folded in; `base` as it is where a lock forbids what it says."""
        if base is None:
            base = Merged(level.schema, level.name)
        elif base.locked_by < self._depth:
            self._errors.append(_violation(level, self._section))
            return base
        if base.locks and self._is_forbidden(base.locks, level):
            self._errors.append(_violation(level, self._section))
            return base
        locks, locked_by = base.locks, base.locked_by
        if level.locks:
            locks += locks_of(level.locks, self._depth)
            if level.locks.get("lockItem", "").lower() == "true":
                locked_by = min(locked_by, self._depth)
        return Merged(
            schema=level.schema,
            name=level.name,
            values={**base.values, **level.values} if level.values else base.values,
            elements=self._elements(base, level) if level.elements else base.elements,
            items=self._items(base, level),
            has_own_items=base.has_own_items or bool(level.directives),
            file=level.file,
            line=level.line,
            column=level.column,
            locks=locks,
            locked_by=locked_by,
        )

    def _is_forbidden(self, locks: tuple[Lock, ...], level: Element) -> bool:
        return any(
            lock.covers(name, self._depth) for lock in locks for name in _names_under(lock, level)
        )

    def _elements(self, base: Merged, level: Element) -> dict[str, Merged]:
        elements = dict(base.elements)
        for name, child in level.elements.items():
            below = elements.get(name)
            elements[name] = self._alone(child) if below is None else self.fold(below, child)
        return elements

    def _items(self, base: Merged, level: Element) -> dict[Key, Merged]:
        collection = level.schema.collection
        if collection is None or not level.directives:
            return base.items
        items = _Items(collection, base.items)
        for directive in level.directives:
            fault = self._do(directive, items)
            if fault is not None:
                self._errors.append(fault)
        return items.in_order()

    def _do(self, directive: Directive, items: _Items) -> ConfigError | None:
        """What one tag asks for, or its fault."""
        key, item = directive.key, directive.element
        match directive.operation:
            case Operation.CLEAR:
                if items.has_locked(self._depth):
                    return _violation(item, self._section)
                items.clear()
            case Operation.REMOVE:
                if items.is_locked(key, self._depth):
                    return _violation(item, self._section)
                items.remove(key)
            case Operation.ADD:
                if self._may_restate:
                    items.forget_inherited(key)
                taken = items.taken(key, item)
                if taken:
                    return _duplicate(item, taken, self._section)
                items.add(key, item, self._alone(item))
        return None

    def _alone(self, item: Element) -> Merged:
        """What is said where nothing was said before."""
        if item.merged is not None:
            return item.merged
        faults: list[ConfigError] = []
        merged = _Fold(self._section, faults, self._depth, may_restate=False).fold(None, item)
        self._errors.extend(faults)
        # A web.config may stand at several depths: those of the applications in its folder.
        if not self._depth and not faults:
            item.merged = merged
        return merged


def _names_under(lock: Lock, level: Element) -> Iterable[str]:
    """What the level says that a lock of this kind could forbid."""
    if not lock.is_of_elements:
        return level.values
    return [*level.elements, *(directive.element.name for directive in level.directives)]


def overlay(default: Merged, item: Merged) -> Merged:
    """`item` with what it does not say taken from `default` (siteDefaults and their like).

    A collection of the item replaces the default's as a whole.
    """
    elements = item.elements
    if default.elements:
        elements = dict(default.elements)
        for name, child in item.elements.items():
            below = elements.get(name)
            elements[name] = child if below is None else overlay(below, child)
    return Merged(
        schema=item.schema,
        name=item.name,
        values={**default.values, **item.values},
        elements=elements,
        items=item.items if item.has_own_items else default.items,
        has_own_items=item.has_own_items or default.has_own_items,
        file=item.file,
        line=item.line,
        column=item.column,
    )


class _Items:
    """The items of a collection, while the tags of one level are done to them in turn."""

    __slots__ = ("_collection", "_inherited", "_others", "_own")

    def __init__(self, collection: CollectionSchema, inherited: dict[Key, Merged]) -> None:
        self._collection = collection
        self._inherited = dict(inherited)
        self._own: dict[Key, Merged] = {}
        self._others = self._other_keys()

    def _other_keys(self) -> dict[str, set[SchemaValue | None]]:
        """The values of the second and further unique keys (a site's id beside its name)."""
        names = [attribute.name for attribute in self._collection.unique_keys[1:]]
        items = self._inherited.values()
        return {name: {item.values.get(name) for item in items} for name in names}

    def has_locked(self, depth: int) -> bool:
        """Whether an inherited item may not be removed at this depth."""
        return any(item.locked_by < depth for item in self._inherited.values())

    def is_locked(self, key: Key, depth: int) -> bool:
        """Whether this item is inherited and may not be removed at this depth."""
        return key in self._inherited and self._inherited[key].locked_by < depth

    def clear(self) -> None:
        """Drop everything so far."""
        self._inherited.clear()
        self._own.clear()
        self._others = self._other_keys()

    def remove(self, key: Key) -> None:
        """Drop one, if it is there."""
        gone = self._own.pop(key, None) or self._inherited.pop(key, None)
        if gone is not None:
            for name, values in self._others.items():
                values.discard(gone.values.get(name))

    def forget_inherited(self, key: Key) -> None:
        """It is about to be said again."""
        self._inherited.pop(key, None)

    def taken(self, key: Key, item: Element) -> list[str]:
        """The names of the key whose value another item has, [] where there is none."""
        if key in self._own or key in self._inherited:
            return _key_names(self._collection)
        return [n for n, values in self._others.items() if item.values.get(n) in values][:1]

    def add(self, key: Key, item: Element, merged: Merged) -> None:
        """Add one whose keys are not taken."""
        for name, values in self._others.items():
            values.add(item.values.get(name))
        self._own[key] = merged

    def in_order(self) -> dict[Key, Merged]:
        """All, as they are in force."""
        if self._collection.merge_append:
            return {**self._inherited, **self._own}
        return {**self._own, **self._inherited}


def _key_names(collection: CollectionSchema) -> list[str]:
    unique = collection.unique_keys[:1] or collection.combined_keys
    return [a.name for a in unique]


def key_text(value: SchemaValue) -> str:
    """A key's value as IIS shows it in its messages."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        seconds = int(value)
        days, rest = divmod(seconds, 86400)
        text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
        return f"{days}.{text}" if days else text
    return ",".join(sorted(value)) if isinstance(value, frozenset) else str(value)


def _violation(element: Element, section: str) -> ConfigError:
    return fault_at(element, LOCK_VIOLATION, section, LOCKED)


def _duplicate(item: Element, names: list[str], section: str) -> ConfigError:
    values = [key_text(item.values.get(n, item.schema.defaults.get(n, ""))) for n in names]
    collection = f"Cannot add duplicate collection entry of type '{item.name}'"
    if len(names) == 1:
        text = f"{collection} with unique key attribute '{names[0]}' set to '{values[0]}'"
    else:
        text = (
            f"{collection} with combined key attributes '{', '.join(names)}' "
            f"respectively set to '{', '.join(values)}'"
        )
    return fault_at(item, text, section, DUPLICATE)
