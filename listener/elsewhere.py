"""Requests that are another pool's: it does not take any, or their application has left it.

Where a request goes is asked of the routes, as they are now: first where its application is, then,
if that is gone, where its URL leads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.listener.routing import RouteMiss

if TYPE_CHECKING:
    from was.listener.broker import PoolBroker
    from was.listener.request import ClientRequest
    from was.listener.routes import Target

__all__ = ["find", "give", "routes_changed", "turn_away"]


def find(pool: PoolBroker, request: ClientRequest) -> Target | None:
    """Where it goes now, if that is another pool that takes requests."""
    target = _target(pool, request)
    if target is None or target.pool is pool or not target.pool.settings.accepting:
        return None
    return target


def turn_away(pool: PoolBroker, request: ClientRequest) -> None:
    """It is not for this pool: whichever has the application now gets it, if any."""
    target = find(pool, request)
    if target is None:
        pool.fail(request, 503, pool.settings.refusal or "Disabled")
    else:
        _move(request, target)


def give(pool: PoolBroker, request: ClientRequest) -> None:
    """A worker does not have its application: others have it now, or what lies there."""
    request.worker = None
    request.is_parked = False
    target = _target(pool, request)
    known = request.site_id, request.application
    if target is None or (target.pool is pool and (target.site.id, target.application) == known):
        pool.fail(request, 503, "Disabled")
    else:
        _move(request, target)


def routes_changed(pool: PoolBroker) -> None:
    """What waits for applications that other pools have now is theirs."""
    queue = pool.queue
    if queue.has_waiting():
        for request in queue.take_those(lambda r: find(pool, r) is not None):
            turn_away(pool, request)


def _target(pool: PoolBroker, request: ClientRequest) -> Target | None:
    routes, connection = pool.service.routes, request.connection
    target = routes.target_of(request.site_id, request.application)
    if target is not None or connection is None or not request.site_id:
        return target  # with no site it is a program's
    head, peer = request.head, connection.peer
    found = routes.lookup(connection.scheme, head.host, peer[3], peer[2], head.path)
    return None if isinstance(found, RouteMiss) else found


def _move(request: ClientRequest, target: Target) -> None:
    request.site_id, request.application = target.site.id, target.application
    request.pool = target.pool
    target.pool.submit(request)
