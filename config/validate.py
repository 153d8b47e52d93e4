"""A parsed file and the schema to a `Level`: typed, checked, all faults listed.

Nothing is inherited here and no default filled in; that is merge's and views' part. What the levels
say *together* (an application's pool, a handler's module) is checked in was.config.semantics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import count

from was.config.faults import INVALID_DATA, fault_at
from was.config.integrated import SECTION as SYSTEM_WEB
from was.config.integrated import not_integrated
from was.config.level import Level, Scope
from was.config.locks import LOCK_ATTRIBUTES, LOCKED, LOCKED_SECTION, Declaration
from was.config.merge import DUPLICATE, Directive, Element, Key, Operation
from was.config.nearest import WITH_HINTS, meant
from was.config.parse import Node
from was.config.schema import AttributeSchema, CollectionSchema, ElementSchema, SchemaValue
from was.config.secret_form import read_secret
from was.config.values import MAX_PATH, InvalidValueError, parse_value
from was.errors import ConfigError

__all__ = ["read_level"]

_TRANSPARENT = frozenset({"configProtectedData"})
_BAD_LOCATION = frozenset('*?:\\<>"|')
# The keys of items without one: never given twice, since items outlive the reading of a file.
_SERIAL = count()
_OF_LOCATION = ("path", "overrideMode", "allowOverride", "inheritInChildApplications")
_OVERRIDE_MODES = ("Allow", "Deny")
_TRUTHS = ("true", "false")
_DEFINITIONS = (
    "MachineOnly",
    "MachineToRootWeb",
    "AppHostOnly",
    "MachineToApplication",
    "Everywhere",
)
# Those that no file but the server's may use; the levels above it are not ours.
_SERVER_ONLY = _DEFINITIONS[:3]

# Gives a node what the attribute of this name says; its faults go to the list.
TakeIn = Callable[[Node, str, list[ConfigError]], None]


def read_level(
    root: Node,
    schema: Mapping[str, ElementSchema],
    inherited: Mapping[str, Declaration],
    errors: list[ConfigError],
    *,
    is_server: bool,
    decrypt: Callable[[str], str] | None = None,
    take_in: TakeIn | None = None,
) -> Level:
    """The level that `root` spells; every fault goes to `errors` and reading goes on.

    `decrypt` makes plain text of secrets, `take_in` gives a tag what its configSource or
    childSource names; where there is none, they are faults.
    """
    return _Reader(root, schema, inherited, errors, is_server, decrypt, take_in).read()


class _Reader:
    """One reading of one file: carries where the faults go and what may be used."""

    def __init__(
        self,
        root: Node,
        schema: Mapping[str, ElementSchema],
        inherited: Mapping[str, Declaration],
        errors: list[ConfigError],
        is_server: bool,
        decrypt: Callable[[str], str] | None,
        take_in: TakeIn | None,
    ) -> None:
        self.root = root
        self.take_in = take_in
        self.schema = schema
        self.errors = errors
        self.is_server = is_server
        self.decrypt = decrypt
        self.level = Level(root.file, dict(inherited), root=root)
        self.groups = _group_names(schema) | _group_names(inherited)
        self.section = ""
        self.faults = 0
        self.places: set[tuple[str, str]] = set()

    def read(self) -> Level:
        root = self.root
        if root.name != "configuration":
            self.fail_unknown(root, "element", root.name, ("configuration",))
            return self.level
        for name in root.attributes:
            if name not in LOCK_ATTRIBUTES and not name.startswith("xmlns"):
                self.fail(root, f"Unrecognized attribute '{name}'")
        self.refuse_text(root)
        own = Scope("")
        self.level.scopes[""] = [own]
        for index, child in enumerate(root.children):
            if child.name == "configSections":
                self.read_declarations(child, index)
            elif child.name == "location":
                self.read_location(child)
            elif child.name not in _TRANSPARENT:
                self.read_group(child, "", own)
        return self.level

    def fail(self, node: Node, message: str, hresult: int = INVALID_DATA) -> None:
        self.faults += 1
        self.errors.append(fault_at(node, message, self.section, hresult))

    def fail_unknown(self, node: Node, kind: str, name: str, known: Iterable[str]) -> None:
        """A name that is none of those known here; the first faults say which is near."""
        hint = meant(name, known) if self.faults < WITH_HINTS else ""
        self.fail(node, f"Unrecognized {kind} '{name}'{hint}")

    def refuse_text(self, node: Node) -> None:
        if node.text_line:
            self.faults += 1
            text = f"Unrecognized text in element '{node.name}'"
            self.errors.append(
                ConfigError(
                    text,
                    file=node.file,
                    line=node.text_line,
                    column=node.text_column,
                    section=self.section,
                )
            )

    def read_declarations(self, node: Node, index: int) -> None:
        if index:
            self.fail(
                node,
                "Only one <configSections> element allowed.  It must be the first child element "
                "of the root <configuration> element",
            )
            return
        self.declare(node, "")

    def declare(self, node: Node, prefix: str) -> None:
        for child in node.children:
            name = child.attributes.get("name", "")
            if child.name in ("clear", "remove"):
                continue
            if child.name not in ("section", "sectionGroup"):
                self.fail(child, f"Unrecognized element '{child.name}'")
            elif not name:
                self.fail(child, "Required attribute 'name' not found")
            elif not self.is_server and prefix + name in self.schema:
                # Or a web.config would open to itself what is closed to it.
                text = f"There is a duplicate '{prefix + name}' section defined"
                self.fail(child, text, DUPLICATE)
            elif child.name == "sectionGroup":
                self.groups.add(prefix + name)
                self.declare(child, f"{prefix}{name}/")
            else:
                declaration = Declaration(
                    prefix + name,
                    self.choice(child, "overrideModeDefault", "Allow", _OVERRIDE_MODES),
                    self.choice(child, "allowDefinition", "Everywhere", _DEFINITIONS),
                    self.choice(child, "allowLocation", "true", _TRUTHS) == "true",
                )
                self.level.declarations[prefix + name] = declaration
                self.level.declared[prefix + name] = declaration

    def choice(self, node: Node, name: str, default: str, choices: tuple[str, ...]) -> str:
        """The value of an attribute that no schema describes."""
        text = node.attributes.get(name, default)
        for known in choices:
            if known.lower() == text.lower():
                return known
        self.fail(
            node, f"The '{name}' attribute is invalid.  Enum must be one of {', '.join(choices)}"
        )
        return default

    def read_location(self, node: Node) -> None:
        text = node.attributes
        for name in text:
            if name not in _OF_LOCATION:
                self.fail_unknown(node, "attribute", name, _OF_LOCATION)
        if "overrideMode" in text and "allowOverride" in text:
            self.fail(node, "A location tag may have overrideMode or allowOverride, not both")
        path = text.get("path", "")
        if path == ".":
            path = ""
        if len(path) > MAX_PATH:
            self.fail(node, f"The location path is longer than {MAX_PATH} characters")
            return
        if path.startswith("/") or _BAD_LOCATION & set(path):
            self.fail(
                node,
                f"The location path '{path}' must not begin with '/' or contain any of "
                '* ? : \\ < > " |',
            )
            return
        path = path.rstrip("/")
        mode = self.choice(node, "overrideMode", "Inherit", ("Inherit", *_OVERRIDE_MODES))
        if "allowOverride" in text:
            may = self.choice(node, "allowOverride", "true", _TRUTHS)
            mode = "Allow" if may == "true" else "Deny"
        inherit = self.choice(node, "inheritInChildApplications", "true", _TRUTHS) == "true"
        scope = Scope(path, {}, mode, inherit, True, node.line, node.column)
        self.refuse_text(node)
        self.level.scopes.setdefault(path.lower(), []).append(scope)
        for child in node.children:
            self.read_group(child, "", scope)

    def read_group(self, node: Node, prefix: str, scope: Scope) -> None:
        path = prefix + node.name
        declaration = self.level.declarations.get(path)
        if declaration is not None:
            self.section = path
            self.read_section(node, declaration, scope)
            self.section = ""
        elif path in self.groups:
            for name in node.attributes:
                self.fail(node, f"Unrecognized attribute '{name}'")
            self.refuse_text(node)
            for child in node.children:
                self.read_group(child, path + "/", scope)
        elif path in self.schema:
            self.section = path
            self.fail(
                node,
                f"The configuration section '{path}' cannot be read because it is missing a "
                "section declaration",
            )
            self.section = ""
        else:
            self.section = prefix.rstrip("/")
            self.fail_no_section(node, prefix)
            self.section = ""

    def fail_no_section(self, node: Node, prefix: str) -> None:
        """Nothing of this name is here: it may be a section of another group."""
        known = [] if self.faults >= WITH_HINTS else [*self.level.declarations, *self.groups]
        elsewhere = [path for path in known if path.endswith(f"/{node.name}")]
        if elsewhere:
            self.fail(node, f"Unrecognized element '{node.name}'; its place is {elsewhere[0]}")
            return
        here = {p[len(prefix) :].partition("/")[0]: None for p in known if p.startswith(prefix)}
        self.fail_unknown(node, "element", node.name, here if prefix else (*here, "location"))

    def read_section(self, node: Node, declaration: Declaration, scope: Scope) -> None:
        path = declaration.path
        schema = self.schema.get(path)
        if schema is None:
            self.level.unread.append((path, node.line))
            if path == SYSTEM_WEB:
                scope.not_integrated += not_integrated(node)
            return
        definition = declaration.allow_definition
        place = (scope.path.lower(), path)
        faults = self.faults
        if definition in _SERVER_ONLY and (scope.path or not self.is_server):
            self.fail(node, LOCKED_SECTION, LOCKED)
        elif scope.is_location and not declaration.allow_location:
            self.fail(node, f"The configuration section '{path}' cannot be used in a location tag")
        elif place in self.places:
            self.fail(node, f"There is a duplicate '{path}' section defined")
        if "configSource" in node.attributes and self.take_in is not None:
            self.take_in(node, "configSource", self.errors)
        is_wanted = faults == self.faults
        element = self.element_of(node, schema)  # else for its faults, which are told all at once
        if is_wanted:
            self.places.add(place)
            scope.sections[path] = element

    def element_of(self, node: Node, schema: ElementSchema) -> Element:
        """What the tag says; it need not be read again in the next configuration."""
        known = node.reading
        if isinstance(known, Element) and known.schema is schema:
            return known
        faults = self.faults
        element = self.read_element(node, schema)
        if faults == self.faults:
            node.reading = element
        return element

    def read_element(self, node: Node, schema: ElementSchema) -> Element:
        if "childSource" in node.attributes and self.take_in is not None:
            self.take_in(node, "childSource", self.errors)
        element = Element(schema, node.name, {}, {}, [], {}, node.file, node.line, node.column)
        if schema.opaque:
            return element
        self.read_attributes(node, schema, element)
        if node.text_line:
            self.refuse_text(node)
        collection = schema.collection
        for child in node.children:
            name = child.name
            below = schema.elements.get(name)
            if below is not None:
                if name in element.elements:
                    self.fail(child, f"Element '{name}' may only appear once in this section")
                element.elements[name] = self.element_of(child, below)
            elif collection is not None and name in collection.add:
                self.read_item(child, collection, element)
            elif collection is not None and name == collection.clear:
                empty = self.read_directive(child, collection, {})
                element.directives.append(Directive(Operation.CLEAR, (), empty))
            elif collection is not None and name == collection.remove:
                self.read_remove(child, collection, element)
            else:
                of_items = () if collection is None else collection.add
                self.fail_unknown(child, "element", name, (*schema.elements, *of_items))
        return element

    def read_attributes(self, node: Node, schema: ElementSchema, element: Element) -> None:
        known = schema.attributes
        for name, text in node.attributes.items():
            attribute = known.get(name)
            if attribute is not None:
                if attribute.encrypted and text:
                    text = self.plain(node, name, text)
                try:
                    element.values[name] = parse_value(attribute, text)
                except InvalidValueError as error:
                    self.fail(node, f"The '{name}' attribute is invalid.  {error}")
            elif name in LOCK_ATTRIBUTES:
                if name == "lockItem" and text.lower() not in ("true", "false"):
                    self.fail(
                        node,
                        "The 'lockItem' attribute is invalid.  Boolean must be one of true, false",
                    )
                element.locks[name] = text
            elif schema.allow_unrecognized:
                element.values[name] = text
            else:
                self.fail_unknown(node, "attribute", name, known)

    def plain(self, node: Node, name: str, text: str) -> str:
        """The secret that `text` stands for; "" where nobody can tell."""
        reading = read_secret(text, self.decrypt)
        if reading.remark:
            where = f"{node.file}:{node.line}: {node.name}/@{name}"
            self.level.remarks.append(f"{where}: {reading.remark}")
        if reading.fault:
            self.fail(node, f"The '{name}' attribute cannot be decrypted: {reading.fault}")
        return reading.value

    def read_item(self, node: Node, collection: CollectionSchema, parent: Element) -> None:
        known = node.reading
        if isinstance(known, Directive) and known.element.schema is collection.item:
            parent.directives.append(known)
            return
        faults = self.faults
        item = self.read_element(node, collection.item)
        complete = True
        for attribute in collection.item.attributes.values():
            name = attribute.name
            if not (attribute.required or attribute.is_key):
                continue
            if name in node.attributes:
                complete &= name in item.values
            # What may come from a default element is checked once that is known (views).
            elif attribute.required and (attribute.is_key or not collection.default_element):
                self.fail(node, f"Required attribute '{name}' not found")
                complete = False
        if complete:
            key = self.key_of(item, collection)
            directive = Directive(Operation.ADD, key, item)
            parent.directives.append(directive)
            if faults == self.faults:
                node.reading = directive
        else:
            self.level.left_out.append(item)

    def read_remove(self, node: Node, collection: CollectionSchema, parent: Element) -> None:
        keys = {a.name: a for a in collection.item.attributes.values() if a.is_key}
        item = self.read_directive(node, collection, keys)
        missing = [a.name for a in keys.values() if a.required and a.name not in node.attributes]
        for name in missing[:1]:
            self.fail(node, f"Required attribute '{name}' not found")
        if not missing:
            key = self.key_of(item, collection)
            parent.directives.append(Directive(Operation.REMOVE, key, item))

    def read_directive(
        self, node: Node, collection: CollectionSchema, keys: dict[str, AttributeSchema]
    ) -> Element:
        """A tag that takes items away says which, and nothing else."""
        item = Element(
            collection.item, node.name, {}, {}, [], {}, node.file, node.line, node.column
        )
        self.read_attributes(node, ElementSchema(node.name, attributes=keys), item)
        self.refuse_text(node)
        for child in node.children:
            self.fail_unknown(child, "element", child.name, ())
        return item

    def key_of(self, item: Element, collection: CollectionSchema) -> Key:
        keys = collection.unique_keys[:1] or collection.combined_keys
        if not keys or collection.allow_duplicates:
            return (self.level.file, next(_SERIAL))
        return tuple(_normalised(a, item) for a in keys)


def _normalised(attribute: AttributeSchema, item: Element) -> SchemaValue:
    value = item.values.get(attribute.name)
    if value is None:
        value = item.schema.defaults.get(attribute.name, "")
    if isinstance(value, str) and not attribute.case_sensitive:
        return value.lower()
    return value


def _group_names(paths: Iterable[str]) -> set[str]:
    groups: set[str] = set()
    for path in paths:
        groups |= _groups_above(path)
    return groups


@lru_cache(maxsize=1024)
def _groups_above(path: str) -> frozenset[str]:
    parts = path.split("/")[:-1]
    return frozenset(["/".join(parts[: n + 1]) for n in range(len(parts))])
