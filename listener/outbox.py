"""What a pool's workers are told: collected during a turn of the loop, sent as one message each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was import faults
from was.ipc import codec
from was.ipc.channel import BATCH_BYTES, Sent
from was.ipc.messages import CHUNK_BYTES, ToWorker, ToWorkerItem
from was.listener import pulled_bodies

if TYPE_CHECKING:
    from was.listener.broker import PoolBroker
    from was.listener.incarnation import Incarnation

__all__ = ["WorkerOutbox"]

RETRY_SEND_S = 0.005


class WorkerOutbox:
    """The way to the workers of one pool."""

    def __init__(self, pool: PoolBroker) -> None:
        self._pool = pool
        self.to_flush: list[Incarnation] = []

    def post(self, worker: Incarnation, item: ToWorkerItem, size: int = 64) -> None:
        """Send an item of about `size` bytes at the end of this turn."""
        if worker.is_dead:
            return
        if worker.out_bytes + size > BATCH_BYTES - CHUNK_BYTES:
            self.encode(worker)
        if not worker.out:
            self.to_flush.append(worker)
        worker.out.append(item)
        worker.out_bytes += size
        if not self._pool.is_marked:
            self._pool.is_marked = True
            self._pool.service.mark(self._pool)

    def encode(self, worker: Incarnation) -> None:
        """What is collected becomes one message."""
        if worker.out:
            worker.unsent.append(codec.encode(ToWorker(self._pool.service.epoch, worker.out)))
            worker.out = []
            worker.out_bytes = 0

    def flush(self) -> None:
        """Send what was collected."""
        workers, self.to_flush = self.to_flush, []
        for worker in workers:
            self.encode(worker)
            self._send_unsent(worker)
        faults.reach("listener.dispatched")

    def _send_unsent(self, worker: Incarnation) -> None:
        router = self._pool.router
        unsent = worker.unsent
        if router is None or worker.is_dead:
            unsent.clear()
            return
        while unsent:
            result = router.send(worker.identity, unsent[0])
            if result is Sent.YES:
                del unsent[0]
                continue
            # Not reading, or not connected though its pidfd has not fired: no more dispatch, keep
            # everything, and look again soon. Its death, if it is one, settles the rest.
            worker.is_blocked = True
            if not worker.is_retrying:
                worker.is_retrying = True
                self._pool.service.loop.call_later(RETRY_SEND_S, self._unblock, worker)
            return
        if worker.is_blocked:
            worker.is_blocked = False
            pulled_bodies.send_owed(worker)
            self._pool.turn()

    def _unblock(self, worker: Incarnation) -> None:
        worker.is_retrying = False
        if not worker.is_dead and worker.is_blocked:
            self._send_unsent(worker)
