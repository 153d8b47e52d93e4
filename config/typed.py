"""From SectionViews to the dataclasses of the model, field by field.

A field's name and type say what it is: `idle_timeout_s` is the timeSpan idleTimeout, a dataclass
is the child element of that name, a tuple or mapping the items of one. Metadata says the rest:
`xml` is another name or a path of elements (`.` = the element itself, a number = the attribute
at that position), `separator` splits a text, `lower` puts the keys of a mapping in lower case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, fields, is_dataclass
from enum import StrEnum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from was.config.bindings import (
    ADDRESSED_PROTOCOLS,
    InvalidBindingError,
    parse_binding_information,
)
from was.config.model import Binding, SectionView

__all__ = ["Typer", "camel_case"]

T = TypeVar("T")
_Maker = Callable[["Typer", SectionView], object]

# What a class's fields ask for follows from the class alone: worked out once a process.
_plans: dict[type, list[tuple[str, _Maker]]] = {}


class Typer:
    """Makes typed views."""

    def make(self, kind: type[T], view: SectionView, **more: object) -> T:
        """`view` as a `kind`, with the fields of `more` as given there."""
        plan = _plans.get(kind)
        if plan is None:
            plan = _plans[kind] = _plan(kind)
        arguments: dict[str, Any] = {
            name: more[name] if name in more else maker(self, view) for name, maker in plan
        }
        return kind(**arguments)

    def shared(self, kind: type[T], view: SectionView) -> T:
        """Like make; the same object each time the same view is given."""
        return self.once(view, kind, lambda: self.make(kind, view))

    def once(self, view: SectionView, key: object, make: Callable[[], T]) -> T:
        """What `make` gives, made once for a view and kept with it under a key.

        So what is inherited is shared, and what is the same for every configuration (a view that
        belongs to the built-in level) is made once a process.
        """
        typed = view.typed
        if typed is None:
            typed = {}
            object.__setattr__(view, "typed", typed)
        if key not in typed:
            typed[key] = make()
        made: T = typed[key]
        return made


def camel_case(name: str) -> str:
    """The attribute name that a field's name stands for: `idle_timeout_s` is idleTimeout."""
    first, *rest = name.removesuffix("_s").split("_")
    return first + "".join(part.capitalize() for part in rest)


def _plan(kind: type) -> list[tuple[str, _Maker]]:
    if kind is Binding:
        return _binding_plan()
    hints = get_type_hints(kind)
    declared: tuple[Field[Any], ...] = fields(kind)
    return [(f.name, _maker(f, hints[f.name])) for f in declared]


def _maker(declared: Field[Any], hint: Any) -> _Maker:  # noqa: ANN401 - hints have no common type
    if declared.name == "file" and declared.compare is False:
        return lambda typer, view: view.file
    if declared.name == "line" and declared.compare is False:
        return lambda typer, view: view.line
    path = str(declared.metadata.get("xml", camel_case(declared.name)))
    separator = declared.metadata.get("separator")
    if separator is not None:
        return _split_maker(path, str(separator))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return _items_maker(path, arguments[0])
    if origin is Mapping:
        return _mapping_maker(path, bool(declared.metadata.get("lower")))
    if origin is frozenset:
        return _flags_maker(path, arguments[0])
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda typer, view: typer.shared(hint, _walk(view, path))
    return _attribute_maker(path, hint)


def _walk(view: SectionView, path: str) -> SectionView:
    if path not in (".", ""):
        for part in path.split("/"):
            view = view.elements[part]
    return view


def _attribute_maker(path: str, hint: Any) -> _Maker:  # noqa: ANN401
    above, _, name = path.rpartition("/")
    if name.isdigit():
        position = int(name)
        return lambda typer, view: list(view.attributes.values())[position]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        members = {member.value: member for member in hint}
        return lambda typer, view: members[str(_walk(view, above).attributes[name])]
    if above:
        return lambda typer, view: _walk(view, above).attributes[name]
    return lambda typer, view: view.attributes[name]


def _flags_maker(path: str, member: type) -> _Maker:
    def make(typer: Typer, view: SectionView) -> object:
        value = view.attributes[path]
        names = value if isinstance(value, frozenset) else frozenset[str]()
        return frozenset([member(name) for name in names])

    return make


def _split_maker(path: str, separator: str) -> _Maker:
    def make(typer: Typer, view: SectionView) -> object:
        parts = str(view.attributes[path]).split(separator)
        return tuple([part.strip() for part in parts if part.strip()])

    return make


def _items_maker(path: str, member: type) -> _Maker:
    def make(typer: Typer, view: SectionView) -> object:
        items = _walk(view, path).items
        if member is Binding:
            return tuple([_make_binding(typer, item) for item in items])
        if is_dataclass(member):
            return tuple([typer.make(member, item) for item in items])
        return tuple([next(iter(item.attributes.values())) for item in items])

    return make


def _mapping_maker(path: str, lower: bool) -> _Maker:
    def make(typer: Typer, view: SectionView) -> object:
        pairs = [list(item.attributes.values())[:2] for item in _walk(view, path).items]
        return {str(k).lower() if lower else str(k): str(v) for k, v in pairs}

    return make


def _make_binding(typer: Typer, view: SectionView) -> Binding:
    ip, port, host = _binding_parts(view)
    return typer.make(Binding, view, ip=ip, port=port, host=host)


def _binding_plan() -> list[tuple[str, _Maker]]:
    def derived(typer: Typer, view: SectionView) -> object:
        raise TypeError("ip, port and host of a Binding come from _make_binding")

    return [
        ("protocol", lambda typer, view: str(view.attributes["protocol"]).lower()),
        ("binding_information", lambda typer, view: view.attributes["bindingInformation"]),
        ("file", lambda typer, view: view.file),
        ("line", lambda typer, view: view.line),
        ("ip", derived),
        ("port", derived),
        ("host", derived),
    ]


def _binding_parts(view: SectionView) -> tuple[str, int, str]:
    if str(view.attributes["protocol"]).lower() not in ADDRESSED_PROTOCOLS:
        return "", 0, ""
    try:
        return parse_binding_information(str(view.attributes["bindingInformation"]))
    except InvalidBindingError:
        # Semantics has reported it; the view exists so that the other faults are found too.
        return "", 0, ""
