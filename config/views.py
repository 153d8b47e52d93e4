"""From merged levels to complete sections: collection defaults, schema defaults, expansion.

The result is a SectionView, made the same way for every section; was.config.typed makes typed
views of it. A part that several places inherit is one object for all of them.
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping

from was.config.faults import Faults, fault_at
from was.config.merge import Merged, overlay
from was.config.model import SectionView
from was.config.schema import AttributeSchema, ElementSchema, SchemaValue
from was.config.values import expand
from was.errors import ConfigError

__all__ = ["Viewer"]

_NOTHING: Mapping[str, Merged] = {}


class Viewer:
    """Completes sections for one home and one set of variables; faults go to `errors`."""

    def __init__(
        self, home: str, variables: Mapping[str, str], before: Viewer | None = None
    ) -> None:
        """`before` is the viewer of an earlier configuration, whose views of items may serve."""
        self.home = home
        self.variables = {**variables, "WAS_HOME": home}
        self.surroundings = object()
        if before is not None and (before.home, before.variables) == (home, self.variables):
            self.surroundings = before.surroundings
        self.errors: list[ConfigError] = Faults()
        # Goes up with everything that another home, other variables or other defaults would have
        # made different: where it has not moved the result holds for all configurations.
        self._differences = 0
        # Keyed by id: the entry holds the object, so that its id cannot be given to another.
        self._views: dict[int, tuple[object, SectionView]] = {}
        self._special: dict[int, tuple[ElementSchema, list[AttributeSchema]]] = {}

    def fork(self) -> Viewer:
        """A viewer that shares what this one has made, and keeps what it makes to itself."""
        other = Viewer(self.home, self.variables)
        other._views, other._special = dict(self._views), self._special
        return other

    def resolve(self, attribute: AttributeSchema, value: SchemaValue) -> SchemaValue:
        """The value in force: expanded, and absolute if it is a path."""
        if isinstance(value, str) and value:
            if attribute.expanded and "%" in value:
                self._differences += 1
                value = expand(value, self.variables)
            if attribute.is_path:
                self._differences += 1
                value = os.path.normpath(os.path.join(self.home, value))
        return value

    def section(self, merged: Merged | None, schema: ElementSchema) -> SectionView:
        """The complete view of a section; of its defaults alone if nobody wrote it."""
        if merged is None:
            return self._empty(schema, _NOTHING)
        return self._view(merged, _NOTHING, schema.name)

    def _empty(self, schema: ElementSchema, defaults: Mapping[str, Merged]) -> SectionView:
        if isinstance(schema.empty, SectionView):
            return schema.empty
        known = self._views.get(id(schema))
        if known is None:
            before = self._differences
            merged = Merged(schema, schema.name.rpartition("/")[2])
            known = (schema, self._build(merged, defaults, ""))
            if before == self._differences:
                schema.empty = known[1]
                return known[1]
            self._views[id(schema)] = known
        self._differences += 1
        return known[1]

    def _view(self, merged: Merged, defaults: Mapping[str, Merged], section: str) -> SectionView:
        if isinstance(merged.view, SectionView):
            return merged.view
        known = self._views.get(id(merged))
        if known is None:
            before = self._differences
            known = (merged, self._build(merged, defaults, section))
            if before == self._differences:
                merged.view = known[1]
                return known[1]
            self._views[id(merged)] = known
        self._differences += 1
        return known[1]

    def _build(self, merged: Merged, defaults: Mapping[str, Merged], section: str) -> SectionView:
        schema = merged.schema
        given = {n: e for n, e in merged.elements.items() if e.schema.is_collection_default}
        if given:
            nearest = dict(defaults)
            for name, element in given.items():
                below = nearest.get(name)
                nearest[name] = element if below is None else overlay(below, element)
            defaults = nearest
        elements: dict[str, SectionView] = {}
        for name, below_schema in schema.elements.items():
            child = merged.elements.get(name)
            if child is None:
                elements[name] = self._empty(below_schema, defaults)
            else:
                elements[name] = self._view(child, defaults, section)
        return SectionView(
            name=merged.name,
            attributes=self._attributes(merged),
            elements=elements,
            items=self._items(merged, defaults, section),
            file=merged.file,
            line=merged.line,
            column=merged.column,
        )

    def _attributes(self, merged: Merged) -> dict[str, SchemaValue]:
        schema = merged.schema
        known = self._special.get(id(schema))
        if known is None:
            special = [a for a in schema.attributes.values() if a.expanded or a.is_path]
            known = self._special[id(schema)] = (schema, special)
        values = {**schema.defaults, **merged.values}
        for attribute in known[1]:
            values[attribute.name] = self.resolve(attribute, values[attribute.name])
        return values

    def _items(
        self, merged: Merged, defaults: Mapping[str, Merged], section: str
    ) -> tuple[SectionView, ...]:
        collection = merged.schema.collection
        if collection is None or not merged.items:
            return ()
        if not collection.default_element:
            return tuple([self._view(item, defaults, section) for item in merged.items.values()])
        self._differences += 1
        default = defaults.get(collection.default_element)
        views: list[SectionView] = []
        surroundings, given = self.surroundings, tuple(defaults.values())
        for item in merged.items.values():
            made = item.made
            if made is not None and made[0] is surroundings and made[1] == given:
                views.append(made[2])
                continue
            faults = len(self.errors)
            whole = item if default is None else overlay(default, item)
            for attribute in collection.item.attributes.values():
                if attribute.required and attribute.name not in whole.values:
                    text = f"Required attribute '{attribute.name}' not found"
                    self.errors.append(fault_at(item, text, section))
            view = self._build(whole, defaults, section)
            views.append(view)
            if faults == len(self.errors) == 0:
                item.made = (surroundings, given, view)
        return tuple(views)
