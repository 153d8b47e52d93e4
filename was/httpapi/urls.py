"""URLs as programs write them: the same one has many spellings, and is one."""

from __future__ import annotations

from was.config.urls import UrlPrefix, parse_prefix
from was.httpapi.errors import ERROR_INVALID_PARAMETER, HttpApiError

__all__ = ["prefix_of"]


def prefix_of(url: str) -> UrlPrefix:
    """The URL in its one form. Raises HttpApiError(ERROR_INVALID_PARAMETER)."""
    try:
        return parse_prefix(url)
    except (TypeError, ValueError) as error:  # a program may give anything
        raise HttpApiError(ERROR_INVALID_PARAMETER, str(error)) from None
