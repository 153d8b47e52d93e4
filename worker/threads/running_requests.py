"""The requests that run in this worker now, as RequestMonitorModule tells them.

Names are those of IIS's WMI class HttpRequest; what the pipeline does comes from the scoreboard.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from was.ipc.messages import request_id_text
from was.ipc.scoreboard import Row, describe_row

if TYPE_CHECKING:
    from was.worker.exchange import Exchange

__all__ = ["describe"]


def describe(exchanges: Iterable[Exchange], names: list[str]) -> list[dict[str, object]]:
    """One object a request; `names` are the worker's modules as the scoreboard counts them."""
    found: list[dict[str, object]] = []
    for exchange in exchanges:
        request = exchange.request
        words = exchange.words[exchange.row : exchange.row + 3]
        state, notification, module = describe_row(Row((words[0], words[1], words[2])), names)
        host = next((v for n, v in request.fields if n.lower() == "host"), "")
        found.append(
            {
                "GUID": request_id_text(request.id),
                "Url": request.target,
                "Verb": request.method,
                "HostName": host,
                "ClientIPAddress": request.remote_addr,
                "LocalIPAddress": request.local_addr,
                "LocalPort": request.local_port,
                "ConnectionId": request.connection_id,
                "SiteId": request.site_id,
                "State": state,
                "PipelineState": notification,
                "CurrentModule": module,
            }
        )
    return found
