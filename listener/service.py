"""ListenerService: the listener's loop, its parts, and what they ask of it.

Everything happens on one event loop: clients' bytes, workers' messages, the manager's commands and
one tick. Work is collected during a turn and given out at its end (`mark`, `_turn`): all requests
parsed in one turn leave as one message per worker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

from was import faults
from was.clock import SystemClock
from was.ipc.channel import Context, RouterChannel
from was.ipc.endpoints import SocketFolder
from was.ipc.listener_control import ListenerReady, ListenerWelcome
from was.ipc.served import ListenerSettings
from was.ipc.worker_control import QueueEndpoint
from was.isolation.enter import enter
from was.listener import time_limits
from was.listener.broker import PoolBroker
from was.listener.connection import ClientConnection
from was.listener.deadlines import expire
from was.listener.engines import select
from was.listener.half_closed import HalfClosed
from was.listener.half_messages import HalfMessages
from was.listener.head import Limits
from was.listener.headers import http_date
from was.listener.health import HEALTH, HealthConnection
from was.listener.known_heads import KnownHeads
from was.listener.leaving import Leaving
from was.listener.listening import Listening
from was.listener.log_files import LogTarget, OutputTarget
from was.listener.manager_link import ManagerLink
from was.listener.programs import Programs
from was.listener.records import Records
from was.listener.request_logs import RequestLogs
from was.listener.room import Room
from was.listener.routes import FOREVER_S, Routes
from was.listener.spool import SpoolMemory
from was.log import log, set_process
from was.turns import Turns

if TYPE_CHECKING:
    from was.ipc.served import PoolQueue
    from was.listener.engines import Engine

__all__ = ["ListenerService"]

TICK_S = 0.05
SWEEP_TICKS = 5
EXPIRE_TICKS = 2
# Who was not run for so long (its machine or container was paused) first reads what came meanwhile.
AWAY_S = 0.25
# How long apart are the looks at what a client has taken: minBytesPerSecond is its mean over them.
SEND_GRACE_S = 30.0
SERVER = b"was"


class ListenerService:
    """One listener process."""

    def __init__(self, loop: asyncio.AbstractEventLoop, control_path: str) -> None:
        self.loop = loop
        self.time = loop.time
        self.on_welcome: Callable[[], None] = lambda: None
        self.manager = ManagerLink(self, control_path)
        self.records = Records(lambda: self.time())
        self.listening = Listening(loop, self._client_factory)
        self.epoch = 0
        self.context = Context()
        self.channels: list[RouterChannel] = []
        self.pools: dict[str, PoolBroker] = {}
        self.health_connections: set[HealthConnection] = set()
        self.half_closed = HalfClosed()
        self.turns = Turns(loop.call_soon)
        self.spool_memory = SpoolMemory()
        self.room = Room(loop, self.spool_memory)
        self.connections = self.room.connections
        self._half_messages = HalfMessages(self)
        self.leaving = Leaving(self)
        self.is_draining = False  # since `leaving` has begun
        # The lines every response brings, by (has a Date of its own, has a Server of its own).
        self.standing: dict[tuple[bool, bool], bytes] = {}
        self.retry_after_s = 5
        self.known_heads = KnownHeads(0)
        self.routes = Routes()
        self._date_second = 0
        self._renew_date()
        self._settings = ListenerSettings("", "", "")
        self._clock = SystemClock()
        self._sockets_folder = SocketFolder(Path("/nonexistent"))
        self.spool_folder = Path("/nonexistent")
        self.programs = Programs(self)
        self._marked: list[PoolBroker] = []
        self._is_turn_scheduled = False
        # Ids of requests count up within an epoch and never repeat between epochs.
        self.last_request = 0
        self._next_connection = 0
        self._ticks = 0
        self._looked_at = 0.0
        self._was_away = False
        self._stopped = loop.create_future()
        self._pending: set[asyncio.Task[None]] = set()
        self._is_ready_told = False

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Serve until told to stop."""
        self.manager.connect()
        await self._stopped

    @property
    def has_ended(self) -> bool:
        """Whether `run` returns, or has."""
        return self._stopped.done()

    def end(self) -> None:
        """Have `run` return."""
        if not self._stopped.done():
            self._stopped.set_result(None)

    # ── what the manager says ───────────────────────────────────────────────────────────────────

    def welcome(self, command: ListenerWelcome) -> None:
        """Begin, or go on under a new manager."""
        settings = command.settings
        self._clock = SystemClock(settings.time_scale)
        if self.epoch:
            self.change_settings(settings)
            return  # a new manager greets a listener that it took over: its epoch stays
        self.on_welcome()
        self.loop.call_later(TICK_S, self.tick)
        enter(command.isolation)
        self.epoch = command.epoch
        self.last_request = command.epoch << 33
        self.known_heads = KnownHeads(command.epoch << 33)
        self._sockets_folder = SocketFolder(Path(settings.sockets))
        self.spool_folder = Path(settings.home) / "run" / "spool"
        try:
            self.spool_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            log("listener_error", detail=f"spool folder: {error}")
        self.limits = Limits(
            max_request_bytes=settings.max_request_bytes,
            max_field_length=settings.max_field_length,
        )
        factory, limits = select(settings.engine), self.limits
        self.new_engine: Callable[[], Engine] = lambda: factory(limits)
        self.change_settings(settings)
        target = OutputTarget if settings.log_to_output else LogTarget
        self.records.open(RequestLogs(Path(settings.logs), self._clock, target))
        set_process("listener")
        self.programs.open_door(self._sockets_folder)

    def change_settings(self, settings: ListenerSettings) -> None:
        """Times and rates; a limit that runs already ends when it was to."""
        self._settings = settings
        timeout_s = settings.connection_timeout_s or FOREVER_S
        self.connection_timeout_s = self.scaled(timeout_s)
        self.header_wait_s = self.scaled(settings.header_wait_s or timeout_s)
        self.entity_body_s = self.scaled(settings.entity_body_s or FOREVER_S)
        self.programs.configure(settings.reservations, self.connection_timeout_s)

    @property
    def managerless_limit_s(self) -> float:
        """How long to serve on without a manager; 0 = for ever."""
        return self.scaled(self._settings.managerless_limit_s)

    def scaled(self, seconds: float) -> float:
        """A configured duration as it passes here."""
        return self._clock.scaled(seconds)

    def set_pools(self, pools: list[PoolQueue]) -> None:
        """Have exactly these pools."""
        wanted = {settings.name: settings for settings in pools}
        for name in [name for name in self.pools if name not in wanted]:
            self.pools.pop(name).close()
        for name, settings in wanted.items():
            pool = self.pools.get(name)
            if pool is None:
                self.pools[name] = PoolBroker(self, settings)
            else:
                pool.configure(settings)
                pool.demand.renew()

    def accept(self) -> None:
        """Accept on the sockets that have been collected, and tell the manager when that is so."""
        task = self.loop.create_task(self._accept(self.listening.accept()))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _accept(self, accepting: Coroutine[None, None, None]) -> None:
        await accepting
        faults.reach("listener.sockets")
        self.programs.urls.sockets_changed([])
        self.manager.tell(ListenerReady(self.epoch, len(self.listening)))
        if not self._is_ready_told:
            self._is_ready_told = True
            log("listener_started", epoch=self.epoch, sockets=len(self.listening))

    @property
    def administrators(self) -> frozenset[int]:
        """Users who may add any URL: root, and whom this server belongs to."""
        return frozenset([0, self._settings.server_uid])

    def _client_factory(self, scheme: str) -> Callable[[], asyncio.Protocol]:
        """What a client of such a binding becomes."""
        if scheme == HEALTH:
            return lambda: HealthConnection(self)
        return lambda: ClientConnection(self, scheme)

    def asked_to_end(self) -> None:
        """SIGTERM: without a manager, finish. Where there is one it says what is to be done."""
        if not self.epoch:
            self.end()
        elif not self.manager.is_there:
            self.leaving.begin()

    # ── what the pools tell and ask ─────────────────────────────────────────────────────────────

    def mark(self, pool: PoolBroker) -> None:
        """Have `pool.turn()` called at the end of this turn of the loop."""
        self._marked.append(pool)
        if not self._is_turn_scheduled:
            self._is_turn_scheduled = True
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_turn_scheduled = False
        marked, self._marked = self._marked, []
        for pool in marked:
            pool.turn()

    def queue_endpoint(self, pool: str) -> QueueEndpoint:
        """Where this listener takes the pool's messages."""
        endpoint = self._sockets_folder.queue_endpoint(pool, self.epoch)
        Path(endpoint.descriptors).parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        return endpoint

    # ── what the connections ask ────────────────────────────────────────────────────────────────

    def next_connection_id(self) -> int:
        """Ids of connections count up from 1."""
        self._next_connection += 1
        return self._next_connection

    def send_deadline(self) -> float:
        """When to look (again) whether a client takes its response."""
        return self.time() + self.scaled(SEND_GRACE_S)

    @property
    def least_bytes(self) -> int:
        """What a client must take between two looks, as far as there is so much for it."""
        rate = self._settings.min_bytes_per_second
        return 0 if rate in {0, 0xFFFFFFFF} else int(rate * SEND_GRACE_S)

    # ── the tick ────────────────────────────────────────────────────────────────────────────────

    def tick(self) -> None:
        """Look at all limits, and do so again soon."""
        if self.has_ended:
            return
        try:
            self._look()
        finally:  # whatever is wrong with one part: all times of the others hang on this
            if not self.has_ended:
                self.loop.call_later(TICK_S, self.tick)

    def _look(self) -> None:
        now = self.time()
        # Once: one that is always late has limits too.
        self._was_away = now - self._looked_at > AWAY_S and not self._was_away
        self._looked_at = now
        if self._was_away:
            return
        self._ticks += 1
        for channel in self.channels:
            if channel.missed_an_edge():
                self.records.count("pump_tick_hits")
                log("pump_tick_hit")
        self._half_messages.look()
        self._renew_date()
        if self._ticks % EXPIRE_TICKS == 0:
            for pool in list(self.pools.values()):
                time_limits.expire(pool, now)
            self.programs.expire(now)
        if self._ticks % SWEEP_TICKS == 0:
            for connection in [c for c in self.connections if 0.0 < c.deadline < now]:
                expire(connection)
            self.half_closed.look(now)
            self.room.tell()
            self.room.look()
            self.leaving.sweep()
        if self.records.logs is not None:
            self.records.logs.flush()
            self.manager.log_trouble(self.records.logs.trouble())
        self.leaving.look()

    def _renew_date(self) -> None:
        second = int(time.time())
        if second == self._date_second:
            return
        self._date_second = second
        date = b"Date: %b\r\n" % http_date(second)
        server = b"Server: %b\r\n" % SERVER
        self.standing = {
            (False, False): date + server,
            (False, True): date,
            (True, False): server,
            (True, True): b"",
        }
