"""Quarantine: poison requests, and those for a URL that has killed its workers: 502, logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.listener.ledger import DeathLedger, Key, Standing, key_of
from was.log import log

if TYPE_CHECKING:
    from was.listener.broker import PoolBroker
    from was.listener.request import ClientRequest

__all__ = ["Quarantine"]


class Quarantine:
    """One pool's ledger of deaths, and the refusals that follow from it."""

    def __init__(self, pool: PoolBroker) -> None:
        self._pool = pool
        self._ledger = DeathLedger(1.0)
        self.keys = self._ledger.keys  # empty: nothing here concerns any request
        self.configure()

    def configure(self) -> None:
        """The window is the pool's rapid-fail interval."""
        window_s = self._pool.service.scaled(self._pool.settings.failure_interval_s)
        if window_s != self._ledger.window_s:
            self._ledger.keys.clear()
            self._ledger.window_s = window_s

    def died(self, started: list[ClientRequest], suspect: ClientRequest | None) -> None:
        """A worker died while these were running."""
        now = self._pool.service.time()
        to_blame = _key(suspect) if suspect is not None and suspect in started else None
        for key in {_key(request) for request in started}:
            self._ledger.death(key, now, is_blamed=key == to_blame, running=len(started))

    def answered(self, request: ClientRequest) -> None:
        """A worker has ended a request, in whatever way, and lives."""
        self._ledger.answer(_key(request), self._pool.service.time())

    def judge(self, request: ClientRequest) -> Standing:
        """What its own past and that of its key say of a request that is to be dispatched."""
        standing = self._ledger.standing(
            _key(request), self._pool.service.time(), self._pool.settings.poison_crashes
        )
        if request.is_suspect and standing is Standing.CLEAR:
            return Standing.SUSPECT
        return standing

    def refuse(self, request: ClientRequest) -> None:
        """Answer a request whose key is quarantined; the first of a quarantine is logged."""
        self._pool.service.records.count("requests_quarantined")
        if self._ledger.tell_once(_key(request)):
            self._log("request_quarantined", request)
        self._pool.fail(request, 502, "Poisoned")

    def poisoned(self, request: ClientRequest) -> None:
        """Answer a request that has killed its workers."""
        self._pool.service.records.count("requests_poisoned")
        self._log("request_poisoned", request)
        self._pool.fail(request, 502, "Poisoned")

    def _log(self, event: str, request: ClientRequest) -> None:
        log(
            event,
            id=f"{request.id:x}",
            app_pool=self._pool.settings.name,
            method=request.head.method,
            url=request.head.target[:256],
            client=request.client,
        )

    def look_again(self, now: float) -> None:
        """Forget what has left the window; what was set aside and is clear now may pass."""
        if self.keys:
            self._ledger.forget_old(now)
        queue = self._pool.queue
        if queue.has_aside:
            queue.bring_back(lambda request: self.judge(request) is not Standing.SUSPECT)
            self._pool.turn()


def _key(request: ClientRequest) -> Key:
    head = request.head
    return key_of(request.site_id, head.method, head.path, request.client)
