"""For which URL path a rewrite rule or a redirection was written: pure.

Rules are inherited, and still speak of the folder whose web.config, or location tag, they come
from: their patterns see the path below it, their relative URLs start there. What is in force at a
path does not tell where each item comes from; the walk up from there does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from was.config.level import Scope
from was.config.paths import PathNode

__all__ = ["REDIRECTION", "rule_folders"]

_RULES = "system.webServer/rewrite/rules"
_REDIRECT = "system.webServer/httpRedirect"

# The key of the folder for which the `destination` in force was written.
REDIRECTION = (_REDIRECT, 0)

_NOTHING: Mapping[tuple[str, int], str] = {}


def rule_folders(node: PathNode) -> Mapping[tuple[str, int], str]:
    """URL paths in lower case, without "/" at the end, by file and line of each item.

    Items of the server's own level are not among them: they are written for "", a site's root.
    """
    found: dict[tuple[str, int], str] = {}
    for url, scope in _scopes(node):
        for section in (_RULES, _REDIRECT):
            element = scope.sections.get(section)
            if element is None:
                continue
            for directive in element.directives:
                item = directive.element
                found.setdefault((item.file, item.line), url)
            if section == _REDIRECT and "destination" in element.values:
                found.setdefault(REDIRECTION, url)
    return found or _NOTHING


def _scopes(node: PathNode | None) -> Iterator[tuple[str, Scope]]:
    """Deepest first; of one path the last that was said first."""
    while node is not None:
        for scope, _ in reversed(node.scopes):
            yield node.url, scope
        node = node.parent
