"""Where a rule sends a request: the URL that it has composed, as path and query. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from was.config.urls import tidy_path
from was.worker.rewriting.expressions import RewriteError

__all__ = ["add_query", "location_of", "split_target"]

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|//")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def split_target(url: str, folder: str) -> tuple[str, str]:
    """Canonical path and query of a URL to rewrite to. Raises RewriteError.

    A relative one starts from `folder`, which has no "/" at its end.
    """
    if _ABSOLUTE.match(url):
        raise RewriteError(
            f"'{url}' is a URL of a server: requests are not passed on to others here, "
            "that takes Application Request Routing"
        )
    path, _, query = url.partition("#")[0].partition("?")
    data = unquote_to_bytes(path)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if not text.startswith(("/", "\\")):
        text = f"{folder}/{text}"
    if _CONTROL.search(text):
        raise RewriteError("The rewritten path holds a control character")
    return tidy_path(text), query


def add_query(query: str, more: str) -> str:
    """Two query strings as one."""
    return f"{query}&{more}" if query and more else query or more


def location_of(url: str, folder: str, query: str, is_absolute: bool) -> str:
    """The Location of a redirect, with `query` appended.

    Unless the rule itself names a server (`is_absolute`), what a client has put at the front of
    the path must not become one.
    """
    if not is_absolute:
        url = "/" + url.lstrip("/\\") if url.startswith(("/", "\\")) else f"{folder}/{url}"
    if not query:
        return url
    url, mark, fragment = url.partition("#")
    return f"{url}{'&' if '?' in url else '?'}{query}{mark}{fragment}"
