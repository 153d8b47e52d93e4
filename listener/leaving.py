"""How a listener leaves: it accepts no more, finishes what clients have asked, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.ipc.listener_control import ListenerDrained
from was.listener.listening import when_last_are_read

if TYPE_CHECKING:
    from was.listener.service import ListenerService

__all__ = ["Leaving"]


class Leaving:
    """The end of one listener, at once or after what has been asked."""

    def __init__(self, service: ListenerService) -> None:
        self._service = service
        self._patient_until = 0.0
        self._is_rest_told = False

    def begin(self, patience_s: float = 0.0) -> None:
        """End after what has been asked; clients that ask nothing are left `patience_s` for it.

        Told again, it is as patient as the least patient word.
        """
        service = self._service
        patient_until = service.time() + patience_s
        if service.is_draining:
            self._patient_until = min(self._patient_until, patient_until)
            return
        service.is_draining = True
        service.programs.close_door()
        self._patient_until = patient_until
        when_last_are_read(service.loop, self._stop_accepting)

    def finish(self) -> None:
        """End now."""
        service = self._service
        if service.has_ended:
            return
        left_alone = self._left_alone()
        for pool in list(service.pools.values()):
            pool.close()
        service.programs.close()
        if service.records.logs is not None:
            service.records.logs.close()
        service.manager.tell(ListenerDrained(left_alone))
        service.end()

    def sweep(self) -> None:
        """Now and then: who was accepted in the very turn in which accepting ended leaves too."""
        if self._accepts_no_more:
            self._close_idle()

    def look(self) -> None:
        """At each tick: end when the last client has gone."""
        if not self._accepts_no_more:
            return
        connections = self._service.connections
        if not connections:
            self.finish()
        elif not self._is_rest_told and all(c.is_upgraded for c in connections):
            # They do not end by themselves: it is time for their workers to close them.
            self._is_rest_told = True
            if not self._service.manager.is_there:
                self._dismiss_workers()
            self._service.manager.tell(ListenerDrained(self._left_alone()))

    @property
    def _accepts_no_more(self) -> bool:
        return self._service.is_draining and not self._service.listening

    def _stop_accepting(self) -> None:
        self._service.listening.stop()
        self._close_idle()

    def _close_idle(self) -> None:
        if self._service.time() >= self._patient_until:
            for connection in list(self._service.connections):
                connection.shut_down()

    def _dismiss_workers(self) -> None:
        for pool in self._service.pools.values():
            for worker in list(pool.workers.values()):
                pool.drain(worker.worker_id, graceful=True)
            pool.turn()

    def _left_alone(self) -> tuple[int, ...]:
        pools = self._service.pools.values()
        workers = [worker for pool in pools for worker in pool.workers.values()]
        return tuple(worker.worker_id for worker in workers if worker.is_left_alone)
