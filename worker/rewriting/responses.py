"""A response under outbound rules: its headers at once, its body when all of it is there.

Rules about the body need the whole of it, so what an application sends in pieces is held back until
its end. What grows past MOST_BYTES goes on as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from was.errors import LocalProtocolError
from was.log import log
from was.worker.chunks import Chunk, close_files, read_region
from was.worker.rewriting.expressions import RewriteError
from was.worker.rewriting.outbound import (
    OutboundRule,
    OutboundRules,
    rewrite_body,
    rewrite_headers,
)
from was.worker.rewriting.requests import RuleRequest

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["RuleResponse"]

MOST_BYTES = 64 << 20

# Bodies that are text; of one without a Content-Type nobody knows better.
_TEXT = re.compile(r"text/|[^;]*(?:xml|json|javascript|ecmascript)|$", re.IGNORECASE)
_WITHOUT_BODY = frozenset({204, 206, 304})


class RuleResponse:
    """The rules of one response, from its head to its end; a stored context of its request."""

    def __init__(self, context: HttpContext, rules: OutboundRules) -> None:
        self._context = context
        # Of a child the rules are those of the request that a client has sent.
        self._request = RuleRequest(context.root_context)
        self._rules = rules
        self._body_rules: list[OutboundRule] = []
        self._held: list[Chunk] = []
        self._held_bytes = 0
        self._is_done = False
        self.has_failed = False  # what the handler still sends belongs to no response

    def cleanup_stored_context(self) -> None:
        """The request is over."""
        close_files(self._held)

    # ── what rules ask ──────────────────────────────────────────────────────────────────────────

    def variable(self, name: str) -> str:
        """A header of the response, or a server variable."""
        if name == "RESPONSE_STATUS":
            return str(self._context.response.status)
        if name.startswith("RESPONSE_"):
            return ", ".join(self.values(name))
        return self._request.variable(name)

    def values(self, name: str) -> list[str]:
        """The values of a header, one for each line of it."""
        header = _header(name)
        found = [v for k, v in self._context.response.fields if k.lower() == header]
        if not found and header == "server":  # which the listener adds
            found.append(self._context.get_server_variable("SERVER_SOFTWARE") or "")
        return found

    def set_values(self, name: str, values: list[str]) -> None:
        """Replace them. Raises RewriteError for what no response may say."""
        if not name.startswith("RESPONSE_"):
            self._context.set_server_variable(name, values[0] if values else "")
            return
        response, header = self._context.response, _header(name)
        response.delete_header(header)
        try:
            # An empty Server is how the listener is told to send none.
            for value in values or ([""] if header == "server" else []):
                response.set_header(header.title(), value, replace=False)
        except LocalProtocolError as error:
            raise RewriteError(f"A header cannot be set: {error}") from None

    # ── what is done ────────────────────────────────────────────────────────────────────────────

    def is_about_body(self) -> bool:
        """Whether rules will look into the body, as far as status and headers tell."""
        _, about_body = self._rules.rules_for(self)
        return bool(about_body) and self._has_text()

    def begin(self) -> None:
        """Status and headers are known: run the rules about headers. Raises RewriteError."""
        response = self._context.response
        about_headers, about_body = self._rules.rules_for(self)
        rewrite_headers(about_headers, self)
        if not (about_body and self._has_text()):
            return
        if self._context.message.method != "HEAD":
            encoding = (response.get_header("Content-Encoding") or "identity").lower()
            if encoding != "identity":
                raise RewriteError(
                    "Outbound rewrite rules cannot be applied when the content of the HTTP "
                    f'response is encoded ("{encoding}")'
                )
            self._body_rules = about_body
        _weaken(self._context)

    def _has_text(self) -> bool:
        response = self._context.response
        if response.status < 200 or response.status in _WITHOUT_BODY:
            return False
        return _TEXT.match(response.get_header("Content-Type") or "") is not None

    def go_on(self, *, is_end: bool) -> None:
        """Some of the body is there, or with `is_end` the last of it. Raises RewriteError."""
        if self.has_failed:
            self._context.response.discard_body()
        elif self._body_rules and not self._is_done:
            if is_end:
                self._end()
            else:
                self._hold()

    def _hold(self) -> None:
        """Keep what there is until the end."""
        response = self._context.response
        self._held_bytes += response.buffered_bytes()
        self._held += response.chunks
        response.chunks = []
        response.content_length = -1
        if self._held_bytes > MOST_BYTES:
            self._give_up()

    def _end(self) -> None:
        """Run the rules about the body."""
        response = self._context.response
        if self._held_bytes + response.buffered_bytes() > MOST_BYTES:
            self._give_up()
            return
        self._is_done = True
        chunks, self._held = self._held + response.chunks, []
        try:
            body = b"".join([_bytes_of(chunk) for chunk in chunks])
        finally:
            close_files(chunks)
            response.chunks = []
        if body:
            body = rewrite_body(self._body_rules, body, self)
        if not self._context.exchange.started:
            response.discard_body()
        if body:  # an error without one is still to be given its page
            response.chunks.append(body)

    def _give_up(self) -> None:
        self._is_done = True
        response = self._context.response
        response.chunks, self._held = self._held + response.chunks, []
        log("rewrite_skipped", request=self._context.request_id, limit=MOST_BYTES)


def _header(name: str) -> str:
    return name.removeprefix("RESPONSE_").replace("_", "-").lower()


def _weaken(context: HttpContext) -> None:
    """The bytes will not be those of the file: no ranges, and no validator of bytes."""
    response = context.response
    if response.get_header("Accept-Ranges") is not None:
        response.delete_header("Accept-Ranges")
    etag = response.get_header("ETag")
    if etag is not None and not etag.startswith("W/"):
        response.set_header("ETag", f"W/{etag}")


def _bytes_of(chunk: Chunk) -> bytes:
    if isinstance(chunk, bytes):
        return chunk
    return b"".join(read_region(chunk, chunk.length))
