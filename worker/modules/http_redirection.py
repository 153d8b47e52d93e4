"""HttpRedirectionModule: `httpRedirect` sends what is asked of a folder to another place.

A wildcard's destination comes before the section's own. Variables of a destination: $V the path,
$S what of it follows the folder that the redirection was written for, $Q the query with its "?",
$P without, $0 to $9 what the stars have taken. Unless exactDestination, what follows the folder and
the query are appended. A destination "!" is an exception: no redirection.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from was.config.rule_folders import REDIRECTION
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.notifications import (
    CONTINUE,
    FINISH_REQUEST,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.url_text import quote_path, tidy_url

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

_STATUSES = {"Permanent": 301, "Found": 302, "Temporary": 307, "PermRedirect": 308}
_VARIABLE = re.compile(r"\$([VSQP0-9])")
_NONE = "!"


class HttpRedirection(HttpModule):
    """The redirection in force at some paths of one application."""

    def __init__(self, application: HttpApplication) -> None:
        settings = application.settings
        section = settings.section("system.webServer/httpRedirect")
        folders = settings.rule_folders
        self._destination = str(section["destination"])
        self._folder_length = len(folders.get(REDIRECTION, ""))
        self._is_exact = bool(section["exactDestination"])
        self._children_only = bool(section["childOnly"])
        self._status = _STATUSES[str(section["httpResponseStatus"])]
        self._wildcards = [
            (
                re.compile(_expression(str(item["wildcard"])), re.IGNORECASE | re.DOTALL),
                str(item["destination"]),
                len(folders.get((item.file, item.line), "")),
            )
            for item in section.items
        ]

    def on_map_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Answer with a Location, if the path is to be redirected."""
        path = context.path
        destination, length = self._destination, self._folder_length
        stars: tuple[str, ...] = ()
        for pattern, other, other_length in self._wildcards:
            match = pattern.fullmatch(path)
            if match is not None:
                destination, length = other, other_length
                stars = match.groups()
                break
        if destination in ("", _NONE):
            return CONTINUE
        suffix = path[length:]
        if self._children_only and "/" in suffix[1:]:
            return CONTINUE
        query = f"?{context.query}" if context.query else ""
        location = _fill(destination, path, suffix, query, stars)
        if not self._is_exact:
            location = location.removesuffix("/") + quote_path(suffix)
            location += query.replace("?", "&", 1) if "?" in location else query
        context.response.redirect(tidy_url(location), self._status)
        return FINISH_REQUEST


def _expression(wildcard: str) -> str:
    """Stars and question marks; one without "/" in front fits the end of a path."""
    source = "".join("(.*)" if c == "*" else "." if c == "?" else re.escape(c) for c in wildcard)
    return source if wildcard.startswith(("/", "*")) else f".*/{source}"


def _fill(destination: str, path: str, suffix: str, query: str, stars: tuple[str, ...]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name.isdigit():
            number = int(name)
            return quote_path(stars[number]) if number < len(stars) else ""
        if name in "VS":
            return quote_path(path if name == "V" else suffix)
        return query if name == "Q" else query[1:]

    return _VARIABLE.sub(value, destination)


def _make(application: HttpApplication) -> HttpModule:
    settings = application.settings
    if not settings.sections:  # the application's configuration cannot be read
        return HttpModule()
    section = settings.section("system.webServer/httpRedirect")
    if section["enabled"] and (section["destination"] or section.items):
        return HttpRedirection(application)
    return HttpModule()


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to MAP_REQUEST_HANDLER."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make), RequestNotification.MAP_REQUEST_HANDLER, 0
    )
