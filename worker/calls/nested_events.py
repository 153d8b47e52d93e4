"""Events raised within other events: RQ_SEND_RESPONSE, RQ_READ_ENTITY, RQ_MAP_PATH and custom ones.

FINISH_REQUEST there ends the request when the event around it comes back: `verdict` keeps it.
PENDING has no meaning in them, since what has caused them goes on at once (decision 0033).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from was.worker.calls.objects import end_after_this
from was.worker.notifications import FINISH_REQUEST

if TYPE_CHECKING:
    from was.worker.calls.event_calls import Call
    from was.worker.interfaces.context import HttpContext

__all__ = ["raise_within"]


def raise_within(context: HttpContext, calls: Iterable[Call], provider: object) -> None:
    """Call the subscribers, up to the first that answers FINISH_REQUEST."""
    exchange = context.exchange
    words, at = exchange.words, exchange.row + 1
    around = words[at]
    for call in calls:
        if call(context, provider) == FINISH_REQUEST:
            end_after_this(context)
            break
    words[at] = around
