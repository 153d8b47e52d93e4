"""What a system.web section says that IIS's integrated pipeline does not do. Pure.

Its modules, handlers and impersonation belong to ASP.NET's own pipeline, which classic mode had.
ConfigurationValidationModule refuses requests below such a file, so that nobody takes what the file
says for being in force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from was.config.parse import Node

__all__ = ["SECTION", "NotIntegrated", "not_integrated"]

SECTION = "system.web"


class NotIntegrated(NamedTuple):
    """One setting: the sub-status of the 500 it is answered with, and where it stands."""

    sub_status: int
    what: str
    file: str
    line: int


def not_integrated(node: Node) -> tuple[NotIntegrated, ...]:
    """The settings of a system.web tag that do not apply, in the order of their sub-status."""
    found: list[NotIntegrated] = []
    for child in node.children:
        if child.name == "httpModules" and _adds(child):
            found.append(NotIntegrated(22, "system.web/httpModules", child.file, child.line))
        elif child.name == "httpHandlers" and _adds(child):
            found.append(NotIntegrated(23, "system.web/httpHandlers", child.file, child.line))
        elif child.name == "identity" and child.attributes.get("impersonate", "").lower() == "true":
            what = 'system.web/identity impersonate="true"'
            found.append(NotIntegrated(24, what, child.file, child.line))
    return tuple(sorted(found))


def _adds(node: Node) -> bool:
    return any(child.name == "add" for child in node.children)
