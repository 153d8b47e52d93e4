"""Changes of one configuration file, in IIS's terms: attributes, items, sections, locations. Pure.

An Editor holds one document and applies changes to it, one after the other. It goes by the
schema: what is a key, which tags add and remove, where an item may stand. Whether the result is a
good configuration is asked afterwards, of the reader that reads every other file
(was.config.writing).

An element, group or location tag that an edit had to create goes again when it is empty, in the
same Editor; what was in the file before stays, empty or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias, assert_never

from was.config.changes import (
    AddItem,
    Change,
    Clear,
    Item,
    Place,
    RemoveItem,
    ResetAttribute,
    Revert,
    SetAttribute,
    Step,
)
from was.config.document import Document, Tag, is_writable
from was.config.faults import INVALID_DATA
from was.config.merge import Merged
from was.config.places import (
    child_made,
    descend,
    index_for,
    is_meant,
    location_key,
    own_item,
    restate,
    takes_away,
    texts_of,
)
from was.config.schema import AttributeSchema, CollectionSchema, ElementSchema
from was.errors import ConfigError, ConfigErrors

__all__ = ["Editor"]


_NOT_FOUND = 0x80070490


Inherited: TypeAlias = Callable[[str, str], Merged | None]


@dataclass(slots=True)
class _Spot:
    """Where a walk has got to: the tag (None: not in the file), its schema, what is inherited.

    The last is worked out when it is asked for: most changes have no need of it.
    """

    tag: Tag | None
    schema: ElementSchema
    inherited: Callable[[], Merged | None]


def _nothing(location: str, section: str) -> Merged | None:
    return None


def _inherited_element(above: Callable[[], Merged | None], name: str) -> Merged | None:
    merged = above()
    return None if merged is None else merged.elements.get(name)


def _as_it_is(text: str) -> str:
    return text


@dataclass(slots=True)
class Editor:
    """One file that is being edited.

    `inherited` answers what holds for a location and section before this file says anything; where
    nothing is known of it an item that is not in the file counts as inherited. `protect` makes the
    text that a secret is kept as.
    """

    document: Document
    schema: Mapping[str, ElementSchema]
    inherited: Inherited | None = None
    protect: Callable[[str], str] = field(default=_as_it_is)

    def apply(self, change: Change) -> None:
        """Change the document; ConfigErrors if what is meant is not there or cannot be changed.

        The document is then not fit to be written.
        """
        match change:
            case SetAttribute(place, name, value):
                self._set(place, name, value)
            case ResetAttribute(place, name):
                tag = self._find(place).tag
                if tag is not None and tag.reset(name):
                    tag.prune()
            case AddItem(place, attributes, at, tag_name):
                self._add(place, attributes, at, tag_name)
            case RemoveItem(place, item):
                self._remove(place, item)
            case Clear(place):
                self._clear(place)
            case Revert(place):
                self._revert(place)
            case _:
                assert_never(change)

    def to_bytes(self) -> bytes:
        """The file as it is to be."""
        return self.document.to_bytes()

    # ── changes ──────────────────────────────────────────────────────────────────────────────

    def _set(self, place: Place, name: str, value: str) -> None:
        schema = self._find(place).schema
        text = self._text(schema.attributes.get(name), name, value, place)
        self._made(place).set(name, text)

    def _add(
        self, place: Place, attributes: Mapping[str, str], at: int | None, tag_name: str
    ) -> None:
        collection = self._collection(place)
        name = tag_name or collection.add[0]
        if name not in collection.add:
            raise self._fault(place, f"Unrecognized element '{name}'")
        known = collection.item.attributes
        texts = {n: self._text(known.get(n), n, v, place) for n, v in attributes.items()}
        index = None
        tag = self._find(place).tag
        if tag is not None:
            index = index_for(tag.children, collection, texts, at)
        self._made(place).insert(name, texts, index)

    def _remove(self, place: Place, item: Item) -> None:
        collection = self._collection(place)
        spot = self._find(place)
        own = None if spot.tag is None else own_item(spot.tag, item, collection)
        if spot.tag is not None and own is not None:
            spot.tag.remove(own)
            spot.tag.prune()
            return
        is_gone = takes_away(spot.tag, item, collection)
        inherited = None if is_gone else self._inherited_item(spot, item, collection)
        if is_gone or (inherited is None and self.inherited is not None) or not collection.remove:
            raise self._fault(place, "Cannot find requested collection element.", _NOT_FOUND)
        keys = self._keys(place, collection, item, inherited)
        self._write_remove(self._made(place), collection, keys)

    def _write_remove(self, tag: Tag, collection: CollectionSchema, keys: Mapping[str, str]) -> Tag:
        children = tag.children
        directives = {collection.clear, collection.remove}
        after = [n for n, child in enumerate(children) if child.name in directives]
        return tag.insert(collection.remove, keys, after[-1] + 1 if after else 0)

    def _clear(self, place: Place) -> None:
        collection = self._collection(place)
        if not collection.clear:
            raise self._fault(place, "Unrecognized element 'clear'")
        tag = self._made(place)
        children = tag.children
        clears = [child for child in children if child.name == collection.clear][:1]
        directives = {*collection.add, collection.remove, collection.clear}
        for child in children:
            if child.name in directives and child not in clears:
                tag.remove(child)
        if not clears:
            tag.insert(collection.clear, {}, 0)

    def _revert(self, place: Place) -> None:
        tag = self._find(place).tag
        if tag is None or tag.parent is None:
            return
        above = tag.parent
        above.remove(tag)
        above.prune()

    # ── finding ─────────────────────────────────────────────────────────────────────────────────

    def _find(self, place: Place) -> _Spot:
        """The place, which may not be in the file; ConfigErrors if there can be no such place."""
        schema = self.schema.get(place.section)
        if schema is None:
            raise self._fault(place, f"Unrecognized element '{place.section}'")
        ask = self.inherited or _nothing
        spot = _Spot(self._section(place), schema, lambda: ask(place.location, place.section))
        self._refuse_sources(place, spot)
        for step in place.steps:
            spot = self._below(place, spot, step)
            self._refuse_sources(place, spot)
        return spot

    def _refuse_sources(self, place: Place, spot: _Spot) -> None:
        for name in ("configSource", "childSource"):
            if spot.tag is not None and name in spot.tag.attributes:
                source = spot.tag.attributes[name]
                raise self._fault(place, f"This is kept in another file: '{source}'")

    def _below(self, place: Place, spot: _Spot, step: Step) -> _Spot:
        tag = spot.tag
        if isinstance(step, str):
            schema = spot.schema.elements.get(step)
            if schema is None:
                raise self._fault(place, f"Unrecognized element '{step}'")
            found = [] if tag is None else [c for c in tag.children if c.name == step]
            inherited = partial(_inherited_element, spot.inherited, step)
            return _Spot(found[0] if found else None, schema, inherited)
        collection = spot.schema.collection
        if collection is None:
            raise self._fault(place, f"Element '{spot.schema.name}' has no collection")
        item = None if tag is None else own_item(tag, step, collection)
        below = None if item is not None else self._inherited_item(spot, step, collection)
        if item is None and below is None:
            raise self._fault(place, "Cannot find requested collection element.", _NOT_FOUND)
        return _Spot(item, collection.item, lambda: below)

    def _inherited_item(
        self, spot: _Spot, item: Item, collection: CollectionSchema
    ) -> Merged | None:
        merged = spot.inherited()
        for candidate in () if merged is None else merged.items.values():
            texts = texts_of(candidate)
            if is_meant(texts, item, collection):
                keys = {a.name for a in collection.item.attributes.values() if a.is_key}
                known = Item({name: text for name, text in texts.items() if name in keys})
                is_gone = takes_away(spot.tag, known, collection)
                return None if is_gone else candidate
        return None

    def _section(self, place: Place) -> Tag | None:
        for scope in self._scopes(place.location):
            found = descend(scope, place.section.split("/"))
            if found is not None:
                return found
        return None

    def _scopes(self, location: str) -> list[Tag]:
        root, wanted = self.document.root, location_key(location)
        tags = [
            child
            for child in root.children
            if child.name == "location" and location_key(child.attributes.get("path", "")) == wanted
        ]
        return tags if wanted else [root, *tags]

    def _collection(self, place: Place) -> CollectionSchema:
        collection = self._find(place).schema.collection
        if collection is None:
            raise self._fault(place, f"'{place.section}' has no collection here")
        return collection

    # ── making ──────────────────────────────────────────────────────────────────────────────────

    def _made(self, place: Place) -> Tag:
        """The tag of a place that _find has accepted, made where it is not in the file."""
        tag = self._section(place)
        if tag is None:
            tag = self._scope(place.location)
            for name in place.section.split("/"):
                tag = child_made(tag, name)
        for number, step in enumerate(place.steps):
            if isinstance(step, str):
                tag = child_made(tag, step)
            else:
                above = Place(place.section, place.location, place.steps[:number])
                tag = self._own(tag, above, step)
        return tag

    def _own(self, tag: Tag, place: Place, item: Item) -> Tag:
        """The item as this file says it: an inherited one is removed and added again, whole."""
        collection = self._collection(place)
        own = own_item(tag, item, collection)
        if own is not None:
            return own
        inherited = self._inherited_item(self._find(place), item, collection)
        if inherited is None:
            raise self._fault(place, "Cannot find requested collection element.", _NOT_FOUND)
        if not collection.remove:
            raise self._fault(place, f"An inherited '{inherited.name}' cannot be changed here")
        keys = self._keys(place, collection, item, inherited)
        remove = self._write_remove(tag, collection, keys)
        new = tag.insert(inherited.name, {}, tag.children.index(remove) + 1)
        restate(new, inherited, self.protect)
        return new

    def _keys(
        self, place: Place, collection: CollectionSchema, item: Item, inherited: Merged | None
    ) -> dict[str, str]:
        known = {**({} if inherited is None else texts_of(inherited)), **item.attributes}
        keys = collection.unique_keys[:1] or collection.combined_keys
        missing = [a.name for a in keys if a.required and a.name not in known]
        if missing:
            raise self._fault(place, f"Required attribute '{missing[0]}' not found")
        return {a.name: known[a.name] for a in keys if a.name in known}

    def _scope(self, location: str) -> Tag:
        """The element that a new section for `location` goes into."""
        root = self.document.root
        if not location_key(location):
            return root
        for tag in self._scopes(location):
            # Others say something about all that is in them.
            if tag.attributes.keys() == {"path"}:
                return tag
        tag = root.insert("location", {"path": location})
        tag.is_created = True
        return tag

    def _text(self, schema: AttributeSchema | None, name: str, value: str, place: Place) -> str:
        if not is_writable(value):
            raise self._fault(
                place, f"The '{name}' attribute is invalid.  It has a character that XML has not"
            )
        if schema is not None and schema.encrypted and value:
            return self.protect(value)
        return value

    def _fault(self, place: Place, message: str, hresult: int = INVALID_DATA) -> ConfigErrors:
        file, section = self.document.file, place.section
        return ConfigErrors([ConfigError(message, file=file, section=section, hresult=hresult)])
