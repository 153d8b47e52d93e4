"""A head as an engine can take it, where the original would mislead it. Pure.

Both engines know fewer verbs, targets and meanings than the scanner, or others: llhttp refuses a
verb it has not heard of, skips the body of an upgrade request, takes Proxy-Connection for
Connection and is deaf after a message it believes to be the last; h11 refuses bytes above 0x7E in a
target. None of this concerns framing, so such a head is written anew with what frames the message
unchanged and persistence as the scanner decided it.
"""

from __future__ import annotations

from was.listener.head import Head

__all__ = ["framing_head"]

_LEFT_OUT = {"connection", "proxy-connection", "upgrade"}


def framing_head(head: Head) -> bytes:
    """The head with a verb every engine knows, a plain target and a plain Connection field."""
    # POST: of all verbs the one whose body no engine treats in a special way.
    lines = [f"POST / HTTP/1.{head.version - 10}"]
    lines += [f"{name}: {value}" for name, value in head.fields if name.lower() not in _LEFT_OUT]
    lines.append("Connection: keep-alive" if head.keep_alive else "Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
