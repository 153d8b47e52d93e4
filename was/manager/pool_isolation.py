"""What one pool's workers are allowed: pure, from the configuration and what the machine can do."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from was.config.model import AppPool, IdentityType, ServerConfig, Site
from was.ipc.worker_control import Isolation
from was.manager.accounts import Account

__all__ = [
    "Facts",
    "Places",
    "content_of",
    "content_of_site",
    "decide",
    "describe",
    "environment_of",
    "is_within",
]

DEFAULT_UMASK = 0o027

# What every program needs. Nothing here is a secret: what is, has modes of its own.
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/bin",
    "/sbin",
    "/etc",
    "/proc",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/var/lib/ca-certificates",
)
_DEVICES = (
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/shm",  # where multiprocessing has its locks
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the machine can do."""

    own_uid: int
    cannot_switch: str = ""  # why processes cannot be given another identity, "" = they can
    landlock: int = 0  # its ABI, 0 = none
    programs: tuple[str, ...] = ()  # interpreter, packages
    system: tuple[str, ...] = _SYSTEM


@dataclass(frozen=True, slots=True)
class Places:
    """Where a pool's own files lie."""

    folder: str  # run/pools/H: the reduced configuration
    temporary: str
    log: str


def content_of(config: ServerConfig, pool: str) -> Iterator[str]:
    """The physical paths of the pool's applications, and what web.config files they inherit."""
    for site in config.sites:
        yield from content_of_site(site, pool)


def content_of_site(site: Site, pool: str) -> Iterator[str]:
    """The same of one site."""
    own = [a for a in site.applications if a.application_pool == pool]
    if not own:
        return
    folders = {
        (application.path.rstrip("/") + "/" + directory.path.strip("/")).rstrip("/").lower(): (
            directory.physical_path
        )
        for application in site.applications
        for directory in application.virtual_directories
    }
    for application in own:
        yield from (v.physical_path for v in application.virtual_directories)
        yield from _inherited(application.path.rstrip("/"), folders)


def is_within(path: str, reach: Iterable[str]) -> bool:
    """Whether a path is one of others, or below it."""
    above = f"{path.rstrip('/')}/"
    return any(above.startswith(f"{other.rstrip('/')}/") for other in reach)


def _inherited(path: str, folders: Mapping[str, str]) -> Iterator[str]:
    """The web.config files at the URL paths above `path`; `folders` by URL path, in lower case."""
    segments = path.split("/")[:-1]
    folder = ""
    for count in range(1, len(segments) + 1):
        url = "/".join(segments[:count])
        folder = folders.get(url.lower()) or posixpath.join(folder, segments[count - 1])
        yield posixpath.join(folder, "web.config")


def decide(
    pool: AppPool,
    account: Account | None,
    pool_gid: int,
    more_groups: tuple[int, ...],
    content: tuple[str, ...],
    places: Places,
    facts: Facts,
) -> Isolation:
    """The steps for a worker; `account` None: it stays who it is and keeps its rights."""
    settings = pool.isolation
    limits = {"RLIMIT_CORE": settings.max_core_size}
    if settings.max_tasks and account is not None:  # counts all that run under one user
        limits["RLIMIT_NPROC"] = settings.max_tasks
    if settings.max_memory:  # of each process; recycling is what watches the pool
        limits["RLIMIT_DATA"] = settings.max_memory * 1024
    if settings.max_open_files:
        limits["RLIMIT_NOFILE"] = settings.max_open_files
    umask = settings.umask_bits
    if pool.process_model.identity_type is IdentityType.LOCAL_SYSTEM:
        return Isolation(umask=umask, limits=limits)
    readable = [*facts.system, *facts.programs, *content, places.folder, *settings.readable_paths]
    writable = [places.temporary, places.log, *settings.writable_paths, *_DEVICES]
    groups: tuple[int, ...] = ()
    if account is not None:
        groups = tuple(sorted({account.gid, pool_gid, *account.groups, *more_groups}))
    return Isolation(
        uid=-1 if account is None else account.uid,
        gid=-1 if account is None else account.gid,
        groups=list(groups),
        umask=DEFAULT_UMASK if umask < 0 else umask,
        limits=limits,
        is_restricted=True,
        has_sandbox=settings.sandbox,
        readable=readable,
        writable=writable,
        connect_ports=_ports(settings.ports(settings.connect_ports)),
        bind_ports=_ports(settings.ports(settings.bind_ports)),
    )


def _ports(ports: tuple[int, ...] | None) -> list[int] | None:
    return None if ports is None else list(ports)


def environment_of(account: Account | None, pool: AppPool, temporary: str) -> dict[str, str]:
    """What the identity adds to a worker's environment; the pool's own variables go before it."""
    added = {"TMPDIR": temporary}
    if account is not None:
        added["HOME"] = temporary
        if pool.process_model.set_profile_environment:
            added |= {"USER": account.name, "LOGNAME": account.name}
            added["HOME"] = account.home or temporary
    return added


def describe(pool: AppPool, isolation: Isolation, facts: Facts) -> dict[str, object]:
    """What is in force, for `was list apppools`; `off` names what is not and why."""
    network = isolation.connect_ports is not None or isolation.bind_ports is not None
    sandbox = isolation.has_sandbox and facts.landlock > 0
    off: list[str] = []
    if pool.process_model.identity_type is IdentityType.LOCAL_SYSTEM:
        off.append("everything: identityType is LocalSystem")
    else:
        if isolation.uid < 0:
            off.append(f"identity: {facts.cannot_switch}")
        if not isolation.has_sandbox:
            off.append("sandbox: switched off")
        elif not sandbox:
            off.append("sandbox: the kernel has no Landlock")
        if network and not (sandbox and facts.landlock >= 4):
            off.append("ports: the kernel's Landlock knows none, or the sandbox is off")
    return {
        "uid": isolation.uid if isolation.uid >= 0 else facts.own_uid,
        "gid": isolation.gid if isolation.uid >= 0 else None,
        "groups": isolation.groups,
        "umask": f"{isolation.umask:04o}" if isolation.umask >= 0 else None,
        "own_identity": isolation.uid >= 0,
        "no_new_privs": isolation.is_restricted,
        "capabilities": "none" if isolation.uid > 0 or facts.own_uid != 0 else "all",
        "limits": isolation.limits,
        "landlock": facts.landlock if sandbox else 0,
        "scopes": sandbox and facts.landlock >= 6,
        "connect_ports": isolation.connect_ports,
        "bind_ports": isolation.bind_ports,
        "writable": isolation.writable if sandbox else [],
        "view": sorted(isolation.closed),
        "off": off,
    }
