"""DirectoryListingModule: the listing of a folder, or 403.14 where `directoryBrowse` is off.

Left out: what the static file handler would not serve (dot names, hiddenSegments, what is neither
file nor folder). A name that no URL can have is shown without a link.
"""

from __future__ import annotations

import os
import re
import stat
import time
from html import escape
from typing import TYPE_CHECKING

from was.config.model import ShowFlag
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.interfaces.hresult import E_ACCESSDENIED
from was.worker.notifications import (
    CONTINUE,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse, refuse_method
from was.worker.url_text import quote_path

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext


_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
# No UTF-8, no character of a URL, or a slash in one.
_UNREACHABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\\]")


class DirectoryListing(HttpModule):
    """The listings of one application."""

    def __init__(self, application: HttpApplication) -> None:
        settings = application.settings.directory_browse
        self._is_enabled = settings.enabled
        self._flags = settings.show_flags
        filtering = application.settings.request_filtering
        self._hidden = frozenset(segment.lower() for segment in filtering.hidden_segments)
        self._allows_double_escaping = filtering.allow_double_escaping

    def on_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Answer for a folder."""
        if not context.is_directory:
            return CONTINUE
        response = context.response
        if not self._is_enabled:
            return refuse(context, 403, 14, E_ACCESSDENIED)
        if context.method not in ("GET", "HEAD"):
            return refuse_method(context, "GET, HEAD, OPTIONS, TRACE")
        try:
            page = self._page(context)
        except PermissionError:
            return refuse(context, 401, 3, E_ACCESSDENIED)
        response.set_header("Content-Type", "text/html; charset=UTF-8")
        # A name that is no UTF-8 shows a question mark for each such byte.
        response.set_body(page.encode("utf-8", "replace"))
        context.is_handled = True
        return CONTINUE

    def _page(self, context: HttpContext) -> str:
        host = context.get_server_variable("SERVER_NAME") or ""
        title = escape(f"{host} - {context.path}")
        lines = [f"<html><head><title>{title}</title></head><body><H1>{title}</H1><hr>\n\n<pre>"]
        folder = context.path.rstrip("/")
        if len(folder) > context.application.prefix_length:
            parent = escape(quote_path(folder[: folder.rfind("/") + 1]))
            lines.append(f'<A HREF="{parent}">[To Parent Directory]</A><br><br>')
        with os.scandir(context.physical_path) as entries:
            lines += [
                line
                for entry in sorted(entries, key=lambda e: e.name.lower())
                if not entry.name.startswith(".") and entry.name.lower() not in self._hidden
                if (line := self._line(context.path, entry))
            ]
        # Within <pre> a line end beside its <br> would be an empty line.
        return "".join(lines) + "</pre><hr></body></html>"

    def _line(self, folder: str, entry: os.DirEntry[str]) -> str:
        try:
            status = entry.stat()
        except OSError:
            return ""
        is_folder = stat.S_ISDIR(status.st_mode)
        if not is_folder and not stat.S_ISREG(status.st_mode):
            return ""
        columns: list[str] = []
        modified = time.localtime(status.st_mtime)
        if ShowFlag.LONG_DATE in self._flags:
            columns.append(time.strftime("%A, %d %B %Y", modified))
        elif ShowFlag.DATE in self._flags:
            columns.append(f"{modified.tm_mon}/{modified.tm_mday}/{modified.tm_year}".rjust(10))
        if ShowFlag.TIME in self._flags:
            half = "AM" if modified.tm_hour < 12 else "PM"
            hour = (modified.tm_hour + 11) % 12 + 1
            columns.append(f"{hour}:{modified.tm_min:02d} {half}".rjust(8))
        if ShowFlag.SIZE in self._flags:
            columns.append(" " * 6 + "&lt;dir&gt;" if is_folder else str(status.st_size).rjust(11))
        name = entry.name
        if ShowFlag.EXTENSION not in self._flags and not is_folder:
            name = os.path.splitext(name)[0]
        if self._can_be_asked_for(entry.name):
            link = escape(quote_path(folder + entry.name + ("/" if is_folder else "")))
            columns.append(f'<A HREF="{link}">{escape(name)}</A><br>')
        else:
            columns.append(f"{escape(name)}<br>")
        return " ".join(columns)

    def _can_be_asked_for(self, name: str) -> bool:
        """Whether a URL with this name reaches the file, and is not taken for escaped twice."""
        if _UNREACHABLE.search(name):
            return False
        return self._allows_double_escaping or not _ESCAPE.search(name)


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to EXECUTE_REQUEST_HANDLER."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(DirectoryListing), RequestNotification.EXECUTE_REQUEST_HANDLER, 0
    )
