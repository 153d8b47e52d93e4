"""The part of an applicationHost.config that one pool's worker may see: pure.

Only this pool, only sites with an application of it, and of those sites only its applications.
Variables are expanded and paths made absolute, since the worker has another environment. What an
application inherits from the web.config of one above it, of another pool, must still be found:
such an application is kept, marked inheritOnly, and no reader serves it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from was.config.parse import Node
from was.config.schema import ElementSchema
from was.config.secret_form import read_secret
from was.config.semantics import HOME, POOLS, SITES
from was.config.views import Viewer

__all__ = ["SiteIndex", "reduce_server"]

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


class SiteIndex:
    """The sites of a file by their names in lower case, made once for all pools.

    `around` is what else a pool's part is made of: as long as it is the same, tag by tag, and the
    pool's sites are, the part is the same too.
    """

    def __init__(self, root: Node) -> None:
        groups = [group for group in root.children if group.name == "system.applicationHost"]
        sections = [s for group in groups for s in group.children if s.name == "sites"]
        nodes = [node for section in sections for node in section.children]
        self.sites = {_key(node): node for node in nodes if node.name == "site"}
        self.others = [node for node in nodes if node.name != "site"]
        inside = [s for group in groups for s in group.children if s.name != "sites"]
        outside = [child for child in root.children if child.name != "system.applicationHost"]
        heads = [node.attributes for node in (root, *groups, *sections)]
        self.around = (heads, inside, outside, self.others)
        self.applications = {
            name: [
                application.attributes.get("path", "").lower()
                for application in site.children
                if application.name == "application"
            ]
            for name, site in self.sites.items()
        }


def reduce_server(
    root: Node,
    index: SiteIndex,
    schema: Mapping[str, ElementSchema],
    viewer: Viewer,
    pool: str,
    kept: Mapping[str, Collection[str]],
    decrypt: Callable[[str], str],
) -> bytes:
    """The reduced file. `kept`: the paths of the pool's applications by site, in lower case."""
    writer = _Writer(schema, viewer, pool.lower(), kept, index, decrypt)
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
        index: SiteIndex,
        decrypt: Callable[[str], str],
    ) -> None:
        self.schema = schema
        self.viewer = viewer
        self.pool = pool
        self.kept = kept
        self.index = index
        self.decrypt = decrypt
        self.needs_secrets = True
        self.lines: list[str] = []

    def open(self, name: str, attributes: Mapping[str, str], depth: int, end: str = "") -> None:
        text = "".join(f' {k}="{v.translate(_ESCAPES)}"' for k, v in attributes.items())
        self.lines.append(f"{'  ' * depth}<{name}{text}{end}>")

    def close(self, name: str, depth: int) -> None:
        self.lines.append(f"{'  ' * depth}</{name}>")

    def plain(self, node: Node, depth: int) -> None:
        self.element(node, None, node.attributes, node.children, depth)

    def location(self, node: Node) -> None:
        if not self.is_needed(node.attributes.get("path", "").lower()):
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
            # Whose identity a worker has is the manager's business.
            self.without_secrets(node, schema, node.attributes, wanted, depth)
        elif path == SITES:
            wanted = [*(self.index.sites[name] for name in self.kept), *self.index.others]
            self.element(node, schema, node.attributes, wanted, depth)
        elif schema is not None:
            self.element(node, schema, node.attributes, node.children, depth)
        elif any(section.startswith(path + "/") for section in self.schema):
            self.open(node.name, node.attributes, depth)
            for child in node.children:
                self.group(child, path + "/", depth + 1)
            self.close(node.name, depth)

    def is_needed(self, location: str) -> bool:
        """Whether an application of ours is at, above or below the path, and nobody between."""
        site, _, rest = location.rstrip("/").partition("/")
        if site in ("", "."):
            return True
        ours, path = self.kept.get(site, ()), f"/{rest}"
        if any(_is_below(application, path) for application in ours):
            return True
        owners = [a for a in self.index.applications.get(site, ()) if _is_below(path, a)]
        return max(owners, key=len, default="") in ours

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

    def without_secrets(
        self,
        node: Node,
        schema: ElementSchema | None,
        attributes: Mapping[str, str],
        children: list[Node],
        depth: int,
    ) -> None:
        self.needs_secrets = False
        self.element(node, schema, attributes, children, depth)
        self.needs_secrets = True

    def child(self, parent: Node, node: Node, schema: ElementSchema | None, depth: int) -> None:
        attributes = node.attributes
        if parent.name == "sites" and node.name == "site":
            key = _key(node)
            others = [p for p in self.index.applications.get(key, ()) if p not in self.kept[key]]
            if others:
                attributes = {**attributes, "otherApplications": ";".join(others)}
        if parent.name == "site" and node.name == "application":
            ours = self.kept[_key(parent)]
            path = attributes.get("path", "").lower()
            if path not in ours:
                above = path.rstrip("/") + "/"
                if not any(p.startswith(above) for p in ours):
                    return
                attributes = {**attributes, "inheritOnly": "true"}
                self.without_secrets(node, schema, attributes, node.children, depth)
                return
        self.element(node, schema, attributes, node.children, depth)

    def resolved(self, schema: ElementSchema, attributes: Mapping[str, str]) -> dict[str, str]:
        result = dict(attributes)
        for name, text in attributes.items():
            attribute = schema.attributes.get(name)
            if attribute is None:
                continue
            if attribute.encrypted:
                # There is nobody in a worker to use what has no effect.
                if self.needs_secrets and not (attribute.no_effect or schema.no_effect):
                    result[name] = read_secret(text, self.decrypt).value
                else:
                    del result[name]
            else:
                result[name] = str(self.viewer.resolve(attribute, text))
        return result


def _is_below(path: str, other: str) -> bool:
    return path == other or path.startswith(other.rstrip("/") + "/")


def _key(site: Node) -> str:
    return site.attributes.get("name", "").lower()


def _below(schema: ElementSchema | None, name: str) -> ElementSchema | None:
    if schema is None:
        return None
    found = schema.elements.get(name)
    if found is None and schema.collection is not None:
        return schema.collection.item
    return found
