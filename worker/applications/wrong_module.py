"""An application whose handler names the module for those of the other kind: said in one line."""

from __future__ import annotations

from typing import Literal

__all__ = ["explained"]

_ASGI, _WSGI = "an ASGI application", "a WSGI application"
# Module -> how it calls, and whose applications are called otherwise
_CALLS = {
    "AsgiModule": ("(scope, receive, send)", _WSGI, "WsgiModule"),
    "WsgiModule": ("(environ, start_response)", _ASGI, "AsgiModule"),
}


def explained(
    error: BaseException, reference: str, module: Literal["AsgiModule", "WsgiModule"]
) -> BaseException:
    """`error` of a call of the module's; where it could not even be made, what that may mean.

    `error` was caught by the caller: one that came from within the application has a frame of that.
    """
    frames = error.__traceback__
    if not isinstance(error, TypeError) or frames is None or frames.tb_next is not None:
        return error
    arguments, other_kind, other = _CALLS[module]
    found = TypeError(
        f"{reference} cannot be called with {arguments}, as {module} does:"
        f" if it is {other_kind}, its handler is to have modules={other!r} ({error})"
    )
    found.__cause__ = error
    return found
