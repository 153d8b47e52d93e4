"""The part of an applicationHost.config that one pool's worker may see: pure.

Only this pool, only sites with an application of it, and of those sites only its applications.
Variables are expanded and paths made absolute, since the worker has another environment. What an
application inherits from the web.config of one above it, of another pool, must still be found:
such an application is kept, marked inheritOnly, and no reader serves it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from was.config.parse import Node
from was.config.schema import ElementSchema
from was.config.semantics import HOME, POOLS, SITES
from was.config.views import Viewer

__all__ = ["reduce_server"]

_ESCAPES = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        "\n": "&#10;",
        "\r": "&#13;",
        "\t": "&#9;",
    }
)


def reduce_server(
    root: Node,
    schema: Mapping[str, ElementSchema],
    viewer: Viewer,
    pool: str,
    kept: Mapping[str, Collection[str]],
) -> bytes:
    """The reduced file. `kept`: the paths of the pool's applications by site, in lower case."""
    writer = _Writer(schema, viewer, pool.lower(), kept)
    home = Node("home", {"path": viewer.home}, "", 0, 0, 0)
    rest = list(root.children)
    # configSections must stay first.
    if rest and rest[0].name == "configSections":
        writer.plain(rest.pop(0), 1)
    writer.open("system.applicationHost", {}, 1)
    writer.plain(home, 2)
    writer.close("system.applicationHost", 1)
    for child in rest:
        if child.name == "location":
            writer.location(child)
        elif child.name != "configProtectedData":
            writer.group(child, "", 1)
    body = "\n".join(writer.lines)
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<configuration>\n{body}\n</configuration>\n'
    return text.encode()


class _Writer:
    """Writes tags line by line, leaving out what is another pool's."""

    def __init__(
        self,
        schema: Mapping[str, ElementSchema],
        viewer: Viewer,
        pool: str,
        kept: Mapping[str, Collection[str]],
    ) -> None:
        self.schema = schema
        self.viewer = viewer
        self.pool = pool
        self.kept = kept
        self.lines: list[str] = []

    def open(self, name: str, attributes: Mapping[str, str], depth: int, end: str = "") -> None:
        text = "".join(f' {k}="{v.translate(_ESCAPES)}"' for k, v in attributes.items())
        self.lines.append(f"{'  ' * depth}<{name}{text}{end}>")

    def close(self, name: str, depth: int) -> None:
        self.lines.append(f"{'  ' * depth}</{name}>")

    def plain(self, node: Node, depth: int) -> None:
        self.element(node, None, node.attributes, node.children, depth)

    def location(self, node: Node) -> None:
        site = node.attributes.get("path", "").partition("/")[0].lower()
        if site not in ("", ".") and site not in self.kept:
            return
        self.open("location", node.attributes, 1)
        for child in node.children:
            self.group(child, "", 2)
        self.close("location", 1)

    def group(self, node: Node, prefix: str, depth: int) -> None:
        path = prefix + node.name
        schema = self.schema.get(path)
        if path == HOME:
            # Written already, first of all.
            return
        if path == POOLS:
            wanted = [n for n in node.children if n.name != "add" or self.is_ours(n)]
            self.element(node, schema, node.attributes, wanted, depth)
        elif path == SITES:
            wanted = [n for n in node.children if n.name != "site" or _key(n) in self.kept]
            self.element(node, schema, node.attributes, wanted, depth)
        elif schema is not None:
            self.element(node, schema, node.attributes, node.children, depth)
        elif any(section.startswith(path + "/") for section in self.schema):
            self.open(node.name, node.attributes, depth)
            for child in node.children:
                self.group(child, path + "/", depth + 1)
            self.close(node.name, depth)

    def is_ours(self, node: Node) -> bool:
        return node.attributes.get("name", "").lower() == self.pool

    def element(
        self,
        node: Node,
        schema: ElementSchema | None,
        attributes: Mapping[str, str],
        children: list[Node],
        depth: int,
    ) -> None:
        if schema is not None:
            attributes = self.resolved(schema, attributes)
        if not children:
            self.open(node.name, attributes, depth, " /")
            return
        self.open(node.name, attributes, depth)
        for child in children:
            self.child(node, child, _below(schema, child.name), depth + 1)
        self.close(node.name, depth)

    def child(self, parent: Node, node: Node, schema: ElementSchema | None, depth: int) -> None:
        attributes = node.attributes
        if parent.name == "site" and node.name == "application":
            ours = self.kept[_key(parent)]
            path = attributes.get("path", "").lower()
            if path not in ours:
                above = path.rstrip("/") + "/"
                if not any(p.startswith(above) for p in ours):
                    return
                attributes = {**attributes, "inheritOnly": "true"}
        self.element(node, schema, attributes, node.children, depth)

    def resolved(self, schema: ElementSchema, attributes: Mapping[str, str]) -> dict[str, str]:
        result = dict(attributes)
        for name, text in attributes.items():
            attribute = schema.attributes.get(name)
            if attribute is not None:
                result[name] = str(self.viewer.resolve(attribute, text))
        return result


def _key(site: Node) -> str:
    return site.attributes.get("name", "").lower()


def _below(schema: ElementSchema | None, name: str) -> ElementSchema | None:
    if schema is None:
        return None
    found = schema.elements.get(name)
    if found is None and schema.collection is not None:
        return schema.collection.item
    return found
