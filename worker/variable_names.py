"""The variable of CGI that a request's field goes into (RFC 3875, 4.1.18): HTTP_X_A for X-A."""

from __future__ import annotations

__all__ = ["variable_of"]


def variable_of(name: str) -> str:
    """The variable's name, "" for a field that has none.

    Names with "_" have none, since `X_A` and `X-A` would share a variable, and so has Proxy, which
    programs would take for HTTP_PROXY.
    """
    if "_" in name or name.lower() == "proxy":
        return ""
    variable = name.upper().replace("-", "_")
    return variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{variable}"
