"""What no client may see of a response, whoever made it.

The listener takes a worker that sends such a thing for broken, and has it replaced. A module's
mistake costs its own request only, so it is found here.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from was.config.http_text import TEXT
from was.ipc.messages import REASON_LENGTH

if TYPE_CHECKING:
    from was.worker.chunks import FileRegion
    from was.worker.interfaces.response import HttpResponse

__all__ = ["GOOD_REASONS", "fault_of"]

# Reasons that were looked at. Applications have few.
GOOD_REASONS = {"", *(status.phrase for status in HTTPStatus)}
_PLAIN = frozenset(range(200, 600))
_MOST_REASONS = 1024
_MOST_REASON_LENGTH = 64


def fault_of(response: HttpResponse, *, may_upgrade: bool) -> str:
    """What is wrong with status, reason and chunks, "" if nothing. Modules need not be typed."""
    chunks = response.chunks
    # Before it is looked up anywhere: 200.0 is as good as 200 there, and not to the listener.
    status: object = response.status
    if type(status) is not int and not isinstance(status, HTTPStatus):
        return f"the status is no number: {status!r:.80}"
    if not _is_length(response.content_length, least=-1):
        return f"the length is none: {response.content_length!r:.80}"
    if type(response.needs_disconnect) is not bool:
        return f"needs_disconnect is neither true nor false: {response.needs_disconnect!r:.80}"
    if not _is_sub_status(response.sub_status):
        return f"the sub-status is none: {response.sub_status!r:.80}"
    is_plain = status in _PLAIN and response.reason in GOOD_REASONS
    if is_plain and len(chunks) == 1 and isinstance(chunks[0], bytes):
        return ""
    if not 200 <= status <= 599 and not (status == 101 and may_upgrade):
        return f"{status} is the status of no response"
    if not _is_good(response.reason):
        return f"a reason that cannot be sent: {response.reason!r:.80}"
    for chunk in chunks:
        fault = "" if isinstance(chunk, bytes) else _fault_of_region(chunk)
        if fault:
            return fault
    return ""


def _fault_of_region(chunk: FileRegion) -> str:
    if not hasattr(chunk, "fd"):
        return f"a chunk that is neither bytes nor a FileRegion: {type(chunk).__name__}"
    if not (_is_length(chunk.offset) and _is_length(chunk.length)):
        return f"{chunk.length!r:.80} bytes at {chunk.offset!r:.80} of a file"
    return ""


def _is_length(value: object, least: int = 0) -> bool:
    return type(value) is int and least <= value < 1 << 63


def _is_sub_status(value: object) -> bool:
    """IIS has 16 bits for it."""
    return isinstance(value, int) and type(value) is not bool and 0 <= value < 1 << 16


def _is_good(reason: object) -> bool:
    if not isinstance(reason, str) or len(reason) > REASON_LENGTH:
        return False
    if TEXT.fullmatch(reason) is None:
        return False
    if len(GOOD_REASONS) < _MOST_REASONS and len(reason) <= _MOST_REASON_LENGTH:
        GOOD_REASONS.add(reason)
    return True
