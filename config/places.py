"""Finding what a change means: items by their attributes, places among directives. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from was.config.changes import Item
from was.config.document import Tag
from was.config.merge import Merged
from was.config.schema import AttributeSchema, CollectionSchema, SchemaValue
from was.config.values import InvalidValueError, format_value, parse_value

__all__ = [
    "child_made",
    "descend",
    "index_for",
    "is_meant",
    "live",
    "location_key",
    "own_item",
    "restate",
    "takes_away",
    "texts_of",
]


def location_key(location: str) -> str:
    """What a location path is found by."""
    path = location.rstrip("/").lower()
    return "" if path == "." else path


def descend(tag: Tag, names: list[str]) -> Tag | None:
    """The element at the end of a path of names, in whichever group of that name it is."""
    first, *rest = names
    for child in tag.children:
        if child.name == first:
            found = descend(child, rest) if rest else child
            if found is not None:
                return found
    return None


def child_made(tag: Tag, name: str) -> Tag:
    """The child element of that name, made where there is none."""
    for child in tag.children:
        if child.name == name:
            return child
    new = tag.insert(name, {})
    new.is_created = True
    return new


def live(children: list[Tag], collection: CollectionSchema) -> tuple[list[Tag], bool]:
    """The children after the last `clear`, and whether there is one."""
    clears = [n for n, c in enumerate(children) if collection.clear and c.name == collection.clear]
    return (children[clears[-1] + 1 :], True) if clears else (children, False)


def own_item(tag: Tag, item: Item, collection: CollectionSchema) -> Tag | None:
    """The item that this file adds, if it does."""
    for child in live(tag.children, collection)[0]:
        if child.name in collection.add and is_meant(child.attributes, item, collection):
            return child
    return None


def takes_away(tag: Tag | None, item: Item, collection: CollectionSchema) -> bool:
    """Whether the file clears the collection or removes the item."""
    if tag is None:
        return False
    children, has_clear = live(tag.children, collection)
    return has_clear or any(
        child.name == collection.remove and is_meant(child.attributes, item, collection)
        for child in children
    )


def index_for(
    children: list[Tag], collection: CollectionSchema, new: Mapping[str, str], at: int | None
) -> int | None:
    """Before which child a new item goes; None: after all."""
    directives = {*collection.add, collection.remove, collection.clear}
    places = [n for n, child in enumerate(children) if child.name in directives]
    if not places:
        return None
    earliest = len(children) - len(live(children, collection)[0])
    keys = collection.unique_keys[:1] or collection.combined_keys
    mine = Item({a.name: new.get(a.name, a.default or "") for a in keys})
    for number in range(earliest, len(children)):
        child = children[number]
        if child.name == collection.remove and is_meant(child.attributes, mine, collection):
            earliest = number + 1
    adds = [n for n in places if n >= earliest and children[n].name in collection.add]
    if at is None or at >= len(adds):
        return places[-1] + 1
    return adds[max(at, 0)]


def is_meant(texts: Mapping[str, str], item: Item, collection: CollectionSchema) -> bool:
    """Whether attributes as in a file are those of the item that is meant."""
    return bool(item.attributes) and all(
        _same(collection.item.attributes.get(name), texts.get(name), wanted)
        for name, wanted in item.attributes.items()
    )


def _same(schema: AttributeSchema | None, text: str | None, wanted: str) -> bool:
    if schema is None:
        return text == wanted
    return _comparable(schema, schema.default or "" if text is None else text) == _comparable(
        schema, wanted
    )


def _comparable(schema: AttributeSchema, text: str) -> SchemaValue:
    try:
        value = parse_value(schema, text)
    except InvalidValueError:
        return text
    return value.lower() if isinstance(value, str) and not schema.case_sensitive else value


def texts_of(merged: Merged) -> dict[str, str]:
    """The explicit attributes of what is inherited, as a file says them."""
    known = merged.schema.attributes
    return {
        name: format_value(known[name], value) if name in known else str(value)
        for name, value in merged.values.items()
    }


def restate(tag: Tag, inherited: Merged, protect: Callable[[str], str]) -> None:
    """Give a new tag all that `inherited` says."""
    known = inherited.schema.attributes
    for name, text in texts_of(inherited).items():
        is_secret = name in known and known[name].encrypted and text
        tag.set(name, protect(text) if is_secret else text)
    for name, element in inherited.elements.items():
        if element.values or element.elements or element.items:
            restate(tag.insert(name, {}), element, protect)
    for item in inherited.items.values():
        restate(tag.insert(item.name, {}), item, protect)
