"""Sections declared as data: the schema that the *_schema.xml files of this folder spell out.

An ElementSchema says which attributes, child elements and items an element may have; sections
are elements with a slash path for a name. Several files may extend one section: what they
declare under the same names is merged, later files adding to earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from was.config.parse import Node

__all__ = ["AttributeSchema", "CollectionSchema", "ElementSchema", "build_schema"]

SchemaValue = bool | int | float | str | frozenset[str]


@dataclass(slots=True, eq=False)
class AttributeSchema:
    """One attribute: type, default, choices and the rule that its value must obey.

    `default` is raw (not yet typed) until the reader has typed it into `default_value`.
    """

    name: str
    type: str
    required: bool = False
    unique_key: bool = False
    combined_key: bool = False
    case_sensitive: bool = False
    default: str | None = None
    encrypted: bool = False
    expanded: bool = False
    is_path: bool = False
    no_effect: bool = False
    idle_choices: frozenset[str] = frozenset()  # those without an effect here
    allow_infinite: bool = False
    display_hex: bool = False
    time_format: str = "string"
    choices: dict[str, int] = field(default_factory=dict[str, int])
    validation: str = ""
    parameter: str = ""

    @property
    def is_key(self) -> bool:
        """Whether a `remove` names it."""
        return self.unique_key or self.combined_key


@dataclass(slots=True, eq=False)
class CollectionSchema:
    """The items of an element: the tags that add, remove and clear, and the item's own schema.

    Each of `unique_keys` is unique among the items on its own, `combined_keys` together.
    """

    add: tuple[str, ...]
    remove: str
    clear: str
    default_element: str
    merge_append: bool
    allow_duplicates: bool
    item: ElementSchema
    unique_keys: list[AttributeSchema] = field(default_factory=list[AttributeSchema])
    combined_keys: list[AttributeSchema] = field(default_factory=list[AttributeSchema])


@dataclass(slots=True, eq=False)
class ElementSchema:
    """A section, an element of one, or an item of a collection.

    `no_effect` holds for all that is in it; `allow_unrecognized` is True where attributes that are
    not declared are kept as text; `empty` is the view of one that nobody has written, where it is
    the same in all surroundings.
    """

    name: str
    attributes: dict[str, AttributeSchema] = field(default_factory=dict[str, AttributeSchema])
    elements: dict[str, ElementSchema] = field(default_factory=dict[str, "ElementSchema"])
    collection: CollectionSchema | None = None
    is_collection_default: bool = False
    no_effect: bool = False
    opaque: bool = False
    allow_unrecognized: bool = False
    empty: object = None
    defaults: dict[str, SchemaValue] = field(default_factory=dict[str, SchemaValue])


def build_schema(documents: Iterable[Node]) -> dict[str, ElementSchema]:
    """All sections of the schema documents, by slash path."""
    sections: dict[str, ElementSchema] = {}
    for document in documents:
        for node in document.children:
            name = node.attributes["name"]
            section = sections.setdefault(name, ElementSchema(name))
            _extend(section, node)
    for section in sections.values():
        _share_item_shapes(section)
        for collection in _collections_below(section):
            attributes = collection.item.attributes.values()
            collection.unique_keys = [a for a in attributes if a.unique_key]
            collection.combined_keys = [a for a in attributes if a.combined_key]
    return sections


def _is_true(node: Node, name: str, default: str = "false") -> bool:
    return node.attributes.get(name, default) == "true"


def _extend(element: ElementSchema, node: Node, *, is_idle: bool = False) -> None:
    element.no_effect |= is_idle or _is_true(node, "noEffect")
    element.opaque |= _is_true(node, "opaque")
    element.is_collection_default |= _is_true(node, "isCollectionDefault")
    for child in node.children:
        name = child.attributes.get("name", "")
        if child.name == "attribute":
            element.attributes[name] = _attribute(child)
        elif child.name == "element":
            below = element.elements.setdefault(name, ElementSchema(name))
            _extend(below, child, is_idle=element.no_effect)
        elif child.name == "collection":
            if element.collection is None:
                element.collection = _collection(child)
            _extend(element.collection.item, child, is_idle=element.no_effect)


def _attribute(node: Node) -> AttributeSchema:
    text = node.attributes
    return AttributeSchema(
        name=text["name"],
        type=text["type"],
        required=_is_true(node, "required"),
        unique_key=_is_true(node, "isUniqueKey"),
        combined_key=_is_true(node, "isCombinedKey"),
        case_sensitive=_is_true(node, "caseSensitive"),
        default=text.get("defaultValue"),
        encrypted=_is_true(node, "encrypted"),
        expanded=_is_true(node, "expanded"),
        is_path=_is_true(node, "isPath"),
        no_effect=_is_true(node, "noEffect"),
        idle_choices=frozenset(
            c.attributes["name"] for c in node.children if _is_true(c, "noEffect")
        ),
        allow_infinite=_is_true(node, "allowInfinite"),
        display_hex=_is_true(node, "displayHex"),
        time_format=text.get("timeSpanFormat", "string"),
        choices={c.attributes["name"]: int(c.attributes["value"]) for c in node.children},
        validation=text.get("validationType", ""),
        parameter=text.get("validationParameter", ""),
    )


def _collection(node: Node) -> CollectionSchema:
    text = node.attributes
    add = tuple(part.strip() for part in text["addElement"].split(","))
    return CollectionSchema(
        add=add,
        remove=text.get("removeElement", ""),
        clear=text.get("clearElement", ""),
        default_element=text.get("defaultElement", ""),
        merge_append=_is_true(node, "mergeAppend", "true"),
        allow_duplicates=_is_true(node, "allowDuplicates"),
        item=ElementSchema(
            add[0], allow_unrecognized=_is_true(node, "allowUnrecognizedAttributes")
        ),
    )


def _collections_below(element: ElementSchema) -> Iterator[CollectionSchema]:
    if element.collection is not None:
        yield element.collection
        yield from _collections_below(element.collection.item)
    for child in element.elements.values():
        yield from _collections_below(child)


def _share_item_shapes(section: ElementSchema) -> None:
    """Give default elements that declare nothing the attributes and elements of their items."""
    collections = list(_collections_below(section))
    holders = [section, *(c.item for c in collections)]
    for holder in holders:
        for name, element in holder.elements.items():
            if element.is_collection_default and not element.attributes:
                source = next(c.item for c in collections if c.default_element == name)
                element.attributes = {n: a for n, a in source.attributes.items() if not a.is_key}
                element.elements = source.elements
