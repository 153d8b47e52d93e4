"""What no client may see of a response, whoever made it.

The listener takes a worker that sends such a thing for broken, and has it replaced. A module's
mistake costs its own request only, so it is found here.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.worker.response import FileRegion, HttpResponse

__all__ = ["GOOD_REASONS", "fault_of"]

_REASON = re.compile(r"[\t -~\x80-\xff]*")

# Reasons that were looked at. Applications have few.
GOOD_REASONS = {"", *(status.phrase for status in HTTPStatus)}
_PLAIN = frozenset(range(200, 600))
_MOST_REASONS = 1024
_MOST_REASON_LENGTH = 64


def fault_of(response: HttpResponse, *, may_upgrade: bool) -> str:
    """What is wrong with status, reason and chunks, "" if nothing. Modules need not be typed."""
    chunks = response.chunks
    is_plain = response.reason in GOOD_REASONS and response.status in _PLAIN
    if is_plain and not response.sub_status and len(chunks) == 1 and isinstance(chunks[0], bytes):
        return ""
    status: object = response.status
    if type(status) is not int and not isinstance(status, HTTPStatus):
        return f"the status is no number: {status!r:.80}"
    if not 200 <= status <= 599 and not (status == 101 and may_upgrade):
        return f"{status} is the status of no response"
    if not _is_good(response.reason):
        return f"a reason that cannot be sent: {response.reason!r:.80}"
    if not _is_number(response.sub_status):
        return f"the sub-status is no number: {response.sub_status!r:.80}"
    for chunk in chunks:
        fault = "" if isinstance(chunk, bytes) else _fault_of_region(chunk)
        if fault:
            return fault
    return ""


def _fault_of_region(chunk: FileRegion) -> str:
    if not hasattr(chunk, "fd"):
        return f"a chunk that is neither bytes nor a FileRegion: {type(chunk).__name__}"
    if chunk.offset < 0 or chunk.length < 0:
        return f"{chunk.length} bytes at {chunk.offset} of a file"
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, int)


def _is_good(reason: object) -> bool:
    if not isinstance(reason, str) or _REASON.fullmatch(reason) is None:
        return False
    if len(GOOD_REASONS) < _MOST_REASONS and len(reason) <= _MOST_REASON_LENGTH:
        GOOD_REASONS.add(reason)
    return True
