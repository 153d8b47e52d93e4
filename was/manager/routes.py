"""Configuration -> what the listener is told: sockets, routes, queues. Pure.

A socket is one distinct address and port, shared by all sites bound to it; where any site listens
on all addresses of a port, that one socket serves the others' addresses of the port too (the
kernel refuses a second). Port 0 is a port of its own for each binding that asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from was.config.model import (
    AppPool,
    Binding,
    LoadBalancerCapabilities,
    LogFile,
    ServerConfig,
    Site,
    StartMode,
)
from was.config.semantics import is_windows_path
from was.ipc.log_fields import bits_of
from was.ipc.served import (
    ListenerSettings,
    ListeningSocket,
    LogSettings,
    PoolQueue,
    PoolRoute,
    SiteRoute,
    UrlReservation,
)
from was.manager.pool import ApplicationPool
from was.manager.server import Engine

__all__ = [
    "RealPort",
    "SocketKey",
    "binding_text",
    "bindings_of",
    "listener_settings",
    "needed_sockets",
    "pool_queue",
    "program_sockets",
    "site_route",
    "site_urls",
]

_SITE_PROTOCOLS = ("http",)  # https would need TLS; was.config warns
_PROTOCOLS = (*_SITE_PROTOCOLS, "was.health")  # what is listened on


@dataclass(frozen=True, slots=True, order=True)
class SocketKey:
    """Which socket: `owner` is "site id/binding index" for port 0, else empty."""

    ip: str  # "" = all addresses
    port: int
    owner: str = ""


# Ten thousand sites may share one socket.
_key = lru_cache(maxsize=4096)(SocketKey)


def bindings_of(site: Site) -> list[tuple[SocketKey, Binding]]:
    """The bindings that are served, and the sockets they would have if they were alone."""
    found: list[tuple[SocketKey, Binding]] = []
    for index, binding in enumerate(site.bindings):
        if binding.protocol in _PROTOCOLS:
            owner = f"{site.id}/{index}" if binding.port == 0 else ""
            found.append((_key(binding.ip, binding.port, owner), binding))
    return found


def needed_sockets(sites: Iterable[Site]) -> dict[SocketKey, list[tuple[Site, Binding]]]:
    """Every socket that these sites need, and for which bindings."""
    wanted = [(key, site, binding) for site in sites for key, binding in bindings_of(site)]
    everywhere = {key for key, _, _ in wanted if key.ip == ""}
    needed: dict[SocketKey, list[tuple[Site, Binding]]] = {}
    for key, site, binding in wanted:
        shared = _key("", key.port, key.owner) if everywhere else key
        needed.setdefault(shared if shared in everywhere else key, []).append((site, binding))
    return needed


def binding_text(binding: Binding, port: int) -> str:
    """bindingInformation with the port that was really bound."""
    ip = f"[{binding.ip}]" if ":" in binding.ip else binding.ip or "*"
    return f"{ip}:{port}:{binding.host}"


RealPort = Callable[[SocketKey], int]


def site_route(
    site: Site,
    real_port: RealPort,
    pools: Collection[str],
    *,
    started: bool,
    waiting: Mapping[str, str] = MappingProxyType({}),
) -> SiteRoute:
    """A site as the listener routes to it; applications of unknown pools are left out.

    `waiting` names other queues for some of them, by path.
    """
    return SiteRoute(
        id=site.id,
        name=site.name,
        started=started,
        bindings=[
            (binding.protocol, binding_text(binding, real_port(key)))
            for key, binding in bindings_of(site)
            if binding.protocol in _SITE_PROTOCOLS
        ],
        applications=[
            PoolRoute(application.path, waiting.get(application.path, application.application_pool))
            for application in site.applications
            if application.application_pool in pools
        ],
        log=_log_settings(site.log_file),
        connection_timeout_s=site.limits.connection_timeout_s,
        max_connections=site.limits.max_connections,
        max_url_segments=site.limits.max_url_segments,
    )


def _log_settings(log: LogFile) -> LogSettings:
    # "" is the home's own folder of logs: `was config validate` says that it is taken.
    return LogSettings(
        enabled=log.enabled,
        directory="" if is_windows_path(log.directory) else log.directory,
        period=log.period.value,
        truncate_size=log.truncate_size,
        local_time_rollover=log.local_time_rollover,
        fields=bits_of(log.log_ext_file_flags),
        custom_columns=[field.log_field_name for field in log.custom_fields],
    )


def site_urls(site: Site, real_port: RealPort) -> list[str]:
    """URLs that a person can open."""
    urls: list[str] = []
    for key, binding in bindings_of(site):
        if binding.protocol not in _SITE_PROTOCOLS:
            continue
        host = binding.host if binding.host and "*" not in binding.host else binding.ip
        host = f"[{host}]" if ":" in host else host or "localhost"
        port = real_port(key)
        usual = {"http": 80, "https": 443}[binding.protocol]
        urls.append(f"{binding.protocol}://{host}" + ("/" if port == usual else f":{port}/"))
    return urls


def pool_queue(pool: ApplicationPool) -> PoolQueue:
    """A pool's queue in its present state."""
    settings: AppPool = pool.settings
    requests = settings.requests
    return PoolQueue(
        name=settings.name,
        accepting=pool.is_accepting,
        refusal=pool.refusal,
        queue_length=settings.queue_length,
        time_limit_s=requests.time_limit_s,
        idle_time_limit_s=requests.idle_time_limit_s,
        queue_time_limit_s=requests.queue_time_limit_s,
        replay=requests.replay.value,
        max_replays=requests.max_replays,
        poison_crashes=requests.poison_crashes,
        commit_buffer=requests.commit_buffer,
        body_spool=requests.body_spool,
        max_spool=requests.max_spool,
        response_spool=requests.response_spool,
        streaming=requests.streaming,
        max_processes=pool.max_processes,
        demand_start=settings.start_mode is StartMode.ON_DEMAND,
        held_up=pool.is_held_up,
        tcp_level=settings.failure.load_balancer_capabilities is LoadBalancerCapabilities.TCP_LEVEL,
        failure_interval_s=settings.failure.rapid_fail_protection_interval_s,
    )


def program_sockets(
    places: Iterable[ListeningSocket], needed: Collection[SocketKey]
) -> list[SocketKey]:
    """The sockets that programs need beside those of the sites, one a port."""
    ports = {key.port for key in needed}
    found: dict[int, SocketKey] = {}
    for place in places:
        if place.port not in ports:
            key = _key(place.ip, place.port, "")
            # Who asks for all addresses of a port gets them, whoever else asks for one.
            if place.port not in found or not key.ip:
                found[place.port] = key
    return list(found.values())


def listener_settings(
    config: ServerConfig,
    *,
    home: str,
    sockets: str,
    logs: str,
    engine: Engine,
    time_scale: float,
    server_uid: int,
) -> ListenerSettings:
    """What is one for all sites."""
    limits = config.web_limits
    timeout_s = limits.connection_timeout_s
    return ListenerSettings(
        home=home,
        sockets=sockets,
        logs=logs,
        engine=engine,
        connection_timeout_s=timeout_s,
        header_wait_s=limits.header_wait_timeout_s or timeout_s,
        entity_body_s=timeout_s,
        min_bytes_per_second=limits.min_bytes_per_second,
        managerless_limit_s=limits.managerless_limit_s,
        time_scale=time_scale,
        server_uid=server_uid,
        reservations=[
            UrlReservation(r.url, list(r.users), list(r.groups), r.listen)
            for r in config.url_reservations
        ],
    )
