"""isapiCgiRestriction: which programs and extensions may run at all, whatever handlers name them.

Paths are compared without regard to letter case, a CGI's with its whole command line (its file
where it has none). An entry that is not allowed wins over notListed…Allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.config.model import PathSettings

__all__ = ["make_restriction"]

SECTION = "system.webServer/security/isapiCgiRestriction"


def make_restriction(settings: PathSettings, not_listed: str) -> Callable[[str], bool]:
    """Whether a path may run; `not_listed` is notListedCgisAllowed or notListedIsapisAllowed."""
    section = settings.section(SECTION)
    listed = {str(item["path"]).lower(): bool(item["allowed"]) for item in section.items}
    others = bool(section[not_listed])
    return lambda path: listed.get(path.lower(), others)
