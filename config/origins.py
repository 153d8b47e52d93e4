"""Where each value in force comes from: pure, and worked out only when somebody asks.

Folding levels keeps values, not who said them: ten thousand sites would pay for what an
administrator asks once a day. Here the same levels are gone through again, and whoever spoke last
about an attribute, or added an item, is remembered. The levels are known to be without faults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from was.config.merge import Element, Key, Merged, Operation, overlay
from was.config.model import SectionView
from was.config.schema import CollectionSchema, ElementSchema
from was.config.secret_form import written
from was.config.values import format_value

__all__ = ["BUILT_IN", "HIDDEN", "Origin", "Shown", "Value", "show", "trace"]

# The level below all files.
BUILT_IN = "built-in"
# In place of secrets: the form of an encrypted empty one, which loads and gives nothing away.
HIDDEN = written("")


@dataclass(frozen=True, slots=True)
class Origin:
    """Who said something: a path of IIS (MACHINE/WEBROOT/APPHOST/…), and where in which file."""

    level: str
    file: str
    line: int


@dataclass(slots=True)
class Trace:
    """Who said what is in force of one element; what nobody said is not in it."""

    attributes: dict[str, Origin] = field(default_factory=dict[str, Origin])
    elements: dict[str, Trace] = field(default_factory=dict[str, "Trace"])
    items: dict[Key, Trace] = field(default_factory=dict[Key, "Trace"])
    has_own_items: bool = False
    has_file_items: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """One attribute in force; `origin` None is the schema's default."""

    name: str
    text: str
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class Shown:
    """One element in force, with everything that the schema knows of it.

    `clear` is the tag without which a file with these items would add them to others;
    `has_file_items` tells that a file has added, removed or cleared items.
    """

    name: str
    attributes: tuple[Value, ...]
    elements: tuple[Shown, ...]
    items: tuple[Shown, ...]
    clear: str = ""
    has_file_items: bool = False

    @property
    def is_written(self) -> bool:
        """Whether anybody has said anything of it."""
        return (
            any(value.origin is not None for value in self.attributes)
            or bool(self.items or self.clear)
            or any(element.is_written for element in self.elements)
        )


def trace(said: Iterable[tuple[str, Element]]) -> Trace:
    """Who decides about a section; `said` is what each level says of it, outermost first."""
    found = Trace()
    for level, element in said:
        _fold(found, level, element)
    return found


def _fold(found: Trace, level: str, element: Element) -> None:
    origin = Origin(level, element.file, element.line)
    for name in element.values:
        found.attributes[name] = origin
    for name, child in element.elements.items():
        _fold(found.elements.setdefault(name, Trace()), level, child)
    for directive in element.directives:
        found.has_own_items = True
        found.has_file_items |= level != BUILT_IN
        if directive.operation is Operation.CLEAR:
            found.items.clear()
        elif directive.operation is Operation.REMOVE:
            found.items.pop(directive.key, None)
        else:
            item = found.items[directive.key] = Trace()
            _fold(item, level, directive.element)


def _overlay(default: Trace, item: Trace) -> Trace:
    elements = dict(default.elements)
    for name, child in item.elements.items():
        below = elements.get(name)
        elements[name] = child if below is None else _overlay(below, child)
    return Trace(
        {**default.attributes, **item.attributes},
        elements,
        item.items if item.has_own_items else default.items,
        item.has_own_items or default.has_own_items,
        item.has_file_items or default.has_file_items,
    )


_Defaults = Mapping[str, tuple[Merged, Trace]]


def show(
    view: SectionView,
    merged: Merged | None,
    schema: ElementSchema,
    found: Trace,
    defaults: _Defaults | None = None,
    *,
    is_in_item: bool = False,
) -> Shown:
    """`view`, which was made of `merged`, with the origin of each value."""
    known = dict(defaults or {})
    for name, child in () if merged is None else merged.elements.items():
        if child.schema.is_collection_default:
            own = child, found.elements.get(name, Trace())
            before = known.get(name)
            known[name] = (
                own if before is None else (overlay(before[0], own[0]), _overlay(before[1], own[1]))
            )
    return Shown(
        name=view.name.rpartition("/")[2],
        attributes=tuple(_values(view, schema, found)),
        elements=tuple(
            show(
                view.elements[name],
                None if merged is None else merged.elements.get(name),
                below,
                found.elements.get(name, Trace()),
                known,
                is_in_item=is_in_item,
            )
            for name, below in schema.elements.items()
        ),
        items=tuple(_items(view, merged, schema, found, known)),
        clear=_clear(schema.collection, found, is_in_item),
        has_file_items=found.has_file_items,
    )


def _clear(collection: CollectionSchema | None, found: Trace, is_in_item: bool) -> str:
    """An item has nothing above it but its default, whose items go as soon as it has its own."""
    is_needed = found.has_own_items and not (is_in_item and found.items)
    return collection.clear if collection is not None and is_needed else ""


def _values(view: SectionView, schema: ElementSchema, found: Trace) -> Iterable[Value]:
    for name, attribute in schema.attributes.items():
        value = view.attributes[name]
        text = HIDDEN if attribute.encrypted and value else format_value(attribute, value)
        yield Value(name, text, found.attributes.get(name))


def _items(
    view: SectionView,
    merged: Merged | None,
    schema: ElementSchema,
    found: Trace,
    defaults: _Defaults,
) -> Iterable[Shown]:
    collection = schema.collection
    if collection is None or merged is None:
        return
    default = defaults.get(collection.default_element)
    for (key, item), below in zip(merged.items.items(), view.items, strict=True):
        whole, who = item, found.items.get(key, Trace())
        if default is not None:
            whole, who = overlay(default[0], item), _overlay(default[1], who)
        yield show(below, whole, collection.item, who, defaults, is_in_item=True)
