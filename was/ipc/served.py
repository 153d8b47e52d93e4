"""What a listener serves, as the manager tells it: sockets, settings, sites, queues."""

from __future__ import annotations

from typing import Literal

import msgspec


class ListeningSocket(msgspec.Struct, frozen=True):
    """One bound socket; its descriptor travels beside the message, in the same order."""

    ip: str
    port: int
    scheme: str


class UrlReservation(msgspec.Struct, frozen=True):
    """Who may add URLs below a prefix (was.httpapi); names, or numbers."""

    url: str
    users: list[str]  # "*" = everybody
    groups: list[str]
    listen: bool = True


class ListenerSettings(msgspec.Struct, frozen=True):
    """What is one for all sites. Times in seconds, 0 = off; sizes in bytes."""

    home: str
    sockets: str  # folder of sockets
    logs: str  # folder of all logs; HTTPERR is one below it
    engine: Literal["auto", "h11", "llhttp"] = "auto"
    log_to_output: bool = False  # request logs to where our own log goes, and not to files
    connection_timeout_s: float = 120.0
    header_wait_s: float = 120.0
    entity_body_s: float = 120.0
    min_bytes_per_second: int = 240
    max_field_length: int = 16384
    max_request_bytes: int = 16384
    managerless_limit_s: float = 300.0
    time_scale: float = 1.0
    server_uid: int = 0  # who administers this server, beside root
    reservations: list[UrlReservation] = []


class PoolRoute(msgspec.Struct, frozen=True):
    """One application's URL space."""

    path: str  # "/" or "/app"
    pool: str


class LogSettings(msgspec.Struct, frozen=True):
    """A site's logFile element."""

    enabled: bool
    directory: str
    period: str
    truncate_size: int
    local_time_rollover: bool
    fields: int  # logExtFileFlags
    custom_columns: list[str] = []
    max_line_length: int = 65536


class SiteRoute(msgspec.Struct, frozen=True):
    """One site as the listener sees it."""

    id: int
    name: str
    started: bool
    bindings: list[tuple[str, str]]  # (scheme, bindingInformation with the real port)
    applications: list[PoolRoute]
    log: LogSettings
    connection_timeout_s: float = 120.0
    max_connections: int = 4294967295
    max_url_segments: int = 32


class PoolQueue(msgspec.Struct, frozen=True):
    """One pool's request queue. Times in seconds, 0 = off; sizes in bytes."""

    name: str
    accepting: bool  # False: answer 503 with `refusal`
    refusal: Literal["", "AppOffline", "Disabled", "AppShutdown"] = ""
    queue_length: int = 1000
    time_limit_s: float = 110.0
    idle_time_limit_s: float = 0.0
    queue_time_limit_s: float = 30.0
    replay: Literal["none", "safe", "idempotent"] = "safe"
    max_replays: int = 1
    poison_crashes: int = 2
    commit_buffer: int = 65536
    body_spool: int = 65536
    max_spool: int = 1 << 30
    response_spool: int = 262144
    streaming: bool = False
    max_processes: int = 1
    demand_start: bool = True
    held_up: bool = False  # a worker is wanted, and the last did not live: for probes
    tcp_level: bool = False  # loadBalancerCapabilities=TcpLevel: cut instead of 503
    uid: int = -1  # who may reach the queue's folder; -1 = the listener's own
    gid: int = -1
    failure_interval_s: float = 300.0  # the window in which deaths are remembered
    # The pool that has the applications: their requests wait here until its workers know them.
    stands_for: str = ""
