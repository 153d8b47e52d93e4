"""Where the URLs of a whole site lie, also those of its other applications."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.config.urls import tidy_path
from was.worker.applications.application import HttpApplication

if TYPE_CHECKING:
    from was.config.model import Application
    from was.worker.interfaces.context import HttpContext

__all__ = ["application_of", "map_site_path", "normalize", "url_text"]


def normalize(url: str) -> str:
    """NORMALIZE_URL: decoded, without a query, dot segments and doubled slashes."""
    from urllib.parse import unquote_to_bytes

    raw = url.partition("?")[0].encode("utf-8", "surrogateescape")
    path = unquote_to_bytes(raw).decode("utf-8", "surrogateescape")
    return tidy_path("/" + path)


def url_text(raw: bytes) -> str:
    """A URL that an extension or a filter gives as bytes: a path is UTF-8, as ours are.

    One that is none, and the query, are latin-1, as everything is that clients send.
    """
    path, mark, query = raw.partition(b"?")
    try:
        text = path.decode()
    except UnicodeDecodeError:
        text = path.decode("latin-1")
    return text + (mark + query).decode("latin-1")


def application_of(context: HttpContext, url: str) -> Application:
    """The configured application of the site that a URL path belongs to."""
    lower = url.lower()
    found = context.application.config
    longest = -1
    for config in context.site.config.applications:
        prefix = "" if config.path == "/" else config.path.rstrip("/").lower()
        if (
            len(prefix) > longest
            and lower.startswith(prefix)
            and (lower[len(prefix) : len(prefix) + 1] in ("", "/"))
        ):
            found, longest = config, len(prefix)
    return found


def map_site_path(context: HttpContext, url: str) -> str:
    """The file that a URL path of the site stands for."""
    path = normalize(url)
    config = application_of(context, path)
    if config is context.application.config or config.path == context.application.path:
        return context.map_path(path)
    return HttpApplication(context.site, config, context.application.server).map_path(path)
