"""A request as inbound rules see it, over its context: nothing is changed before `commit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from was.worker import moving

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["RuleRequest"]


class RuleRequest:
    """Path and query as the rules have left them, and what else they ask for and set."""

    def __init__(self, context: HttpContext) -> None:
        self._context = context
        self.path = context.path
        self.query = context.query
        self.logs_rewritten = False
        self.is_rewritten = False
        self._known: dict[str, str] = {}  # variables asked for since the last change

    def variable(self, name: str) -> str:
        """A server variable, as it is after the rules so far."""
        known = self._known.get(name)
        if known is None:
            reader = _READERS.get(name)
            if reader is not None:
                known = reader(self, self._context)
            else:
                known = self._context.get_server_variable(name) or ""
            self._known[name] = known
        return known

    def set_variable(self, name: str, value: str, replace: bool) -> None:
        """Set a server variable or a request header."""
        context = self._context
        if not replace and self.variable(name):
            return
        self._known.clear()
        if name.startswith("HTTP_"):
            # A header may be named in any letter case; a line break would begin another one.
            header = name[5:].replace("_", "-").title()
            clean = value.replace("\r", "").replace("\n", "")
            context.request.set_header(header, clean)
            if context.variables is not None:
                context.variables.pop(name, None)
        elif name == "QUERY_STRING":
            self.query = value.lstrip("?")
        else:
            context.set_server_variable(name, value)

    def rewrite(self, path: str, query: str) -> None:
        """Be for another URL."""
        self._known.clear()
        self.path, self.query, self.is_rewritten = path, query, True

    def physical_path(self) -> str:
        """The file that the path now stands for; "" where another pool has it."""
        context = self._context
        if not self.is_rewritten:
            return context.physical_path
        owner = context.application.locate(context.site.site_id, self.path)
        return "" if owner is None else owner.map_path(self.path)

    def commit(self) -> None:
        """Change the request. Raises NotOurPoolError; True: it is for another URL now."""
        context = self._context
        if not self.is_rewritten:
            context.query = self.query
            return
        if not self.logs_rewritten and context.logged_url is None:
            context.logged_url = context.path, context.query
        elif self.logs_rewritten:
            context.logged_url = None
        moving.move(context, self.path, self.query)
        context.request.set_header("X-Original-URL", context.message.target)
        context.set_server_variable("IIS_WasUrlRewritten", "1")


_Reader = Callable[[RuleRequest, "HttpContext"], str]


def _request_uri(request: RuleRequest, _: HttpContext) -> str:
    return f"{request.path}?{request.query}" if request.query else request.path


def _original_url(_: RuleRequest, context: HttpContext) -> str:
    return context.request.get_header("X-Original-URL") or ""


def _cache_url(_: RuleRequest, context: HttpContext) -> str:
    scheme = "https" if context.message.secure else "http"
    host = context.request.get_header("Host") or context.message.local_addr
    return f"{scheme}://{host}{context.path}"


def _with_slash(_: RuleRequest, context: HttpContext) -> str:
    return context.application.physical_path.rstrip("/") + "/"


_READERS: dict[str, _Reader] = {
    "URL": lambda r, _: r.path,
    "PATH_INFO": lambda r, _: r.path,
    "SCRIPT_NAME": lambda r, _: r.path,
    "QUERY_STRING": lambda r, _: r.query,
    "REQUEST_URI": _request_uri,
    "REQUEST_FILENAME": lambda r, _: r.physical_path(),
    "SCRIPT_FILENAME": lambda r, _: r.physical_path(),
    "PATH_TRANSLATED": lambda r, _: r.physical_path(),
    "SCRIPT_TRANSLATED": lambda r, _: r.physical_path(),
    # As in IIS, so that a rule may put a name behind it.
    "APPL_PHYSICAL_PATH": _with_slash,
    "DOCUMENT_ROOT": lambda _, c: c.application.physical_path,
    "HTTP_X_ORIGINAL_URL": _original_url,
    "SERVER_ADDR": lambda _, c: c.message.local_addr,
    "CACHE_URL": _cache_url,
}
