"""What is the same for every configuration: the schema, and the built-in level below all files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from was.config.faults import Faults
from was.config.level import Scope
from was.config.locks import Declaration, Modes
from was.config.merge import Merged, merge
from was.config.parse import parse
from was.config.schema import ElementSchema, build_schema
from was.config.semantics import GLOBAL_MODULES
from was.config.validate import read_level
from was.config.values import fill_defaults
from was.errors import ConfigErrors

__all__ = ["Foundation", "foundation"]

_SCHEMA_FOLDER = Path(__file__).resolve().parent / "schema"


@dataclass(frozen=True, slots=True)
class Foundation:
    """`images`: what our own modules are loaded from, by name; `scopes`: the level as written."""

    schema: dict[str, ElementSchema]
    declarations: Mapping[str, Declaration]
    sections: Mapping[str, Merged]
    modes: Modes
    images: Mapping[str, str]
    scopes: tuple[Scope, ...]


@cache
def foundation() -> Foundation:
    """Read once a process, and never again."""
    # IIS_schema.xml comes first: the others extend what it declares.
    files = sorted(_SCHEMA_FOLDER.glob("*_schema.xml"))
    documents = [parse(file.read_bytes(), file.name) for file in files]
    schema = build_schema(documents)
    fill_defaults(schema.values())
    errors = Faults()
    root = parse((_SCHEMA_FOLDER / "builtin.xml").read_bytes(), "builtin.xml")
    level = read_level(root, schema, {}, errors, is_server=True)
    sections: dict[str, Merged] = {}
    modes = Modes(level.declarations)
    for scope in level.scopes_at(""):
        for path, element in scope.sections.items():
            sections[path] = merge(None, element, path, errors)
        modes = modes.after(scope.sections, scope.override_mode, 0)
    if errors:
        raise ConfigErrors(errors)
    modules = sections[GLOBAL_MODULES].items.values()
    named = {str(m.values["name"]): str(m.values["image"]) for m in modules}
    images = {n: image for n, image in named.items() if not image.lower().endswith(".dll")}
    scopes = tuple(level.scopes_at(""))
    return Foundation(schema, level.declarations, sections, modes, images, scopes)
