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
    if base is None:
        base = Merged(level.schema, level.name)
    elif base.locked_by < depth:
        errors.append(_violation(level, section))
        return base
    values, elements, locks = base.values, base.elements, base.locks
    written = level.elements
    if locks:
        for lock in locks:
            if any(lock.covers(name, depth) for name in _names_under(lock, level)):
                errors.append(_violation(level, section))
                return base
    if level.values:
        values = {**values, **level.values}
    if written:
        elements = dict(elements)
        for name, child in written.items():
            below = elements.get(name)
            if below is None:
                elements[name] = child.merged or _alone(child, section, errors, depth)
            else:
                elements[name] = merge(
                    below, child, section, errors, may_restate=may_restate, depth=depth
                )
    items = _fold_items(base, level, section, errors, may_restate, depth)
    locked_by = base.locked_by
    if level.locks:
        locks += locks_of(level.locks, depth)
        if level.locks.get("lockItem", "").lower() == "true":
            locked_by = min(locked_by, depth)
    return Merged(
        schema=level.schema,
        name=level.name,
        values=values,
        elements=elements,
        items=items,
        has_own_items=base.has_own_items or bool(level.directives),
        file=level.file,
        line=level.line,
        column=level.column,
        locks=locks,
        locked_by=locked_by,
    )


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


def _fold_items(
    base: Merged,
    level: Element,
    section: str,
    errors: list[ConfigError],
    may_restate: bool,
    depth: int,
) -> dict[Key, Merged]:
    collection = level.schema.collection
    if collection is None or not level.directives:
        return base.items
    inherited = dict(base.items)
    own: dict[Key, Merged] = {}
    names = [a.name for a in collection.unique_keys[1:]]
    others = _OtherKeys(names, inherited)
    for directive in level.directives:
        key, item = directive.key, directive.element
        if directive.operation is Operation.CLEAR:
            if any(item.locked_by < depth for item in inherited.values()):
                errors.append(_violation(directive.element, section))
                continue
            inherited.clear()
            own.clear()
            others = _OtherKeys(names, inherited)
        elif directive.operation is Operation.REMOVE:
            if key in inherited and inherited[key].locked_by < depth:
                errors.append(_violation(item, section))
                continue
            gone = own.pop(key, None) or inherited.pop(key, None)
            if gone is not None:
                others.discard(gone)
        else:
            if may_restate:
                inherited.pop(key, None)
            taken = others.taken(item)
            if key in own or key in inherited:
                taken = _key_names(collection)
            if taken:
                errors.append(_duplicate(item, taken, section))
                continue
            others.add(item)
            own[key] = item.merged or _alone(item, section, errors, depth)
    return {**inherited, **own} if collection.merge_append else {**own, **inherited}


def _alone(item: Element, section: str, errors: list[ConfigError], depth: int) -> Merged:
    """What is said where nothing was said before."""
    faults: list[ConfigError] = []
    merged = merge(None, item, section, faults, depth=depth)
    errors.extend(faults)
    # A web.config may stand at several depths: those of the applications in its folder.
    if not depth and not faults:
        item.merged = merged
    return merged


class _OtherKeys:
    """The second and further unique keys of a collection (a site's id beside its name)."""

    __slots__ = ("names", "seen")

    def __init__(self, names: list[str], items: dict[Key, Merged]) -> None:
        self.names = names
        self.seen = {name: {item.values.get(name) for item in items.values()} for name in names}

    def taken(self, item: Element) -> list[str]:
        """The name of the key whose value another item has, if there is one."""
        return [n for n in self.names if item.values.get(n) in self.seen[n]][:1]

    def add(self, item: Element) -> None:
        for name in self.names:
            self.seen[name].add(item.values.get(name))

    def discard(self, item: Merged) -> None:
        for name in self.names:
            self.seen[name].discard(item.values.get(name))


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
