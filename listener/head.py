"""Head: what a request is; Limits: how large one may be. Data for scanner and engines."""

from __future__ import annotations

import msgspec

from was.errors import RemoteProtocolError

__all__ = ["Head", "Limits", "refusal"]


class Limits:
    """HTTP.SYS's limits of a head (registry names in the manual), sizes in bytes."""

    __slots__ = (
        "max_field_length",
        "max_fields",
        "max_request_bytes",
        "max_url_length",
        "plain_path_length",
        "url_segment_max_count",
        "url_segment_max_length",
    )

    def __init__(
        self,
        max_request_bytes: int = 16384,
        max_field_length: int = 16384,
        url_segment_max_length: int = 260,
        url_segment_max_count: int = 255,
        max_url_length: int = 16384,
        max_fields: int = 1000,
    ) -> None:
        # MaxRequestBytes is raised to MaxFieldLength if it is lower.
        self.max_request_bytes = max(max_request_bytes, max_field_length)
        self.max_field_length = max_field_length
        self.url_segment_max_length = url_segment_max_length
        self.url_segment_max_count = url_segment_max_count
        self.max_url_length = max_url_length
        self.max_fields = max_fields
        # No path up to this length can break a segment limit (0 = no limit).
        self.plain_path_length = min(
            url_segment_max_length or max_url_length,
            url_segment_max_count or max_url_length,
            max_url_length,
        )


class Head(msgspec.Struct, gc=False, eq=False):
    """What the scanner found. Made by `scan` only.

    A Struct because one is made for every request, and this way it is made in C; the defaults are
    those of a request without body and options.
    """

    method: str = ""
    target: str = ""  # as sent, Latin-1
    path: str = ""  # canonical; begins with "/"
    query: str = ""
    version: int = 11  # 10 or 11
    is_plain: bool = False  # any engine can be handed the bytes as they are
    size: int = 0  # of the head, the empty line included
    fields: list[tuple[str, str]] = []  # names as sent, Latin-1 values without blanks around
    host: str = ""  # lower-case, without port; "" = none (HTTP/1.0)
    content_length: int = -1  # -1 = no field
    chunked: bool = False
    keep_alive: bool = True
    expect_continue: bool = False
    upgrade: str = ""  # the Upgrade field where Connection names it, else ""
    number: int = 0  # of one that comes again and again (known_heads.py), else 0

    def __repr__(self) -> str:
        return f"<Head {self.method} {self.target} {self.size} bytes>"


def refusal(detail: str, reason: str, status: int = 400) -> RemoteProtocolError:
    """The error for a head."""
    return RemoteProtocolError(detail, status=status, reason=reason)
