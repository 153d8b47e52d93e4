"""The identities of one running server: who the listener and each pool's workers are.

Decisions are in pool_isolation; here are the machine's facts, the folders that must have an owner,
and the one warning that says what is off.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec

import was
from was.config.model import AppPool, Identities, IdentityType, ServerConfig, Site
from was.config.semantics import is_windows_path
from was.ipc.endpoints import Home, SocketFolder
from was.ipc.worker_control import Isolation
from was.isolation import landlock, privileges, view
from was.isolation.identities import first_unmapped
from was.log import log
from was.manager.accounts import Account, Accounts, IdentityError
from was.manager.folders import give_folder, hide_from_others, let_others_pass
from was.manager.interpreters import Interpreter, choose, variables_of
from was.manager.pool_isolation import (
    Facts,
    Places,
    content_of,
    decide,
    describe,
    environment_of,
)
from was.manager.state_files import StateFiles

__all__ = ["IdentityError", "Isolations", "machine_facts"]

LISTENER = "\N{MIDDLE DOT}listener"  # no pool can be called that: IIS's names begin otherwise
LOCAL_SYSTEM = "localsystem"


class Terms(NamedTuple):
    """What a worker may do, and as what it does it."""

    isolation: Isolation
    environment: dict[str, str]  # added to the server's
    account: Account | None
    interpreter: Interpreter


class Isolations:
    """Everything about identities that the manager has to know."""

    def __init__(self, home: Home, folder: SocketFolder, files: StateFiles) -> None:
        self._home = home
        self._folder = folder
        self._accounts = Accounts(files, str(home.path))
        self._facts = machine_facts()
        self._complained: set[tuple[str, str]] = set()
        self._listener: Account | None = None
        self._logging: dict[int, Site] = {}
        self._search = os.environ.get("PATH", os.defpath)

    # ── the server as a whole ───────────────────────────────────────────────────────────────────

    def open(self, config: ServerConfig) -> None:
        """Give folders their owners and modes; say once what is off. Raises OSError."""
        if not self._facts.cannot_switch:
            self._facts = replace(self._facts, cannot_switch=self._missing_id(config.identities))
        home = self._home
        hide_from_others(home.config_file.parent)
        hide_from_others(home.state)
        self._listener = self._listener_account(config)
        self.open_logs(config)
        owner = self._listener
        spool = home.run / "spool"
        if owner is not None:
            give_folder(spool, owner.uid, owner.gid, 0o700)
        elif os.geteuid() == 0 and spool.is_dir():
            give_folder(spool, 0, 0, 0o700)
        if os.geteuid() == 0 and not self._facts.cannot_switch:
            uid, gid = (0, 0) if owner is None else (owner.uid, owner.gid)
            give_folder(self._folder.programs, uid, gid, 0o711)
        off = self._all_off(config)
        if off:
            log("isolation_reduced", off="; ".join(off))

    def _missing_id(self, wanted: Identities) -> str:
        """Which id a container whose root is nobody outside does not have, in words; "" = none."""
        last = wanted.first_id + wanted.count - 1
        ids = [wanted.first_id, last, *self._accounts.given().values()]
        for kind in ("user", "group"):
            number = first_unmapped(_id_map(kind), ids)
            if number is not None:
                return f"this user namespace has no {kind} {number}: identities/@firstId, @count"
        return ""

    def open_logs(self, config: ServerConfig, *, all_sites: bool = False) -> None:
        """The folders that the listener writes request logs to; those of known sites are there.

        They are looked at again with `all_sites`, as somebody may have removed them. One that
        cannot be had keeps no site from serving: the listener says what it cannot write.
        """
        owner = self._listener
        if os.geteuid() != 0 or self._facts.cannot_switch:
            return
        let_others_pass(self._home.logs)
        uid, gid = (0, 0) if owner is None else (owner.uid, owner.gid)
        known = {} if all_sites else self._logging
        new = [site for site in config.sites if known.get(site.id) is not site]
        self._logging = {site.id: site for site in config.sites}
        for path in self._log_folders(new):
            try:
                if owner is not None or path.is_dir():
                    give_folder(path, uid, gid, 0o750)
            except OSError as error:
                log("log_dropped", file=path, error=error)
                self._logging.clear()  # the next time all are tried again

    def _log_folders(self, sites: Iterable[Site]) -> list[Path]:
        folders = [self._home.logs / "HTTPERR"]
        for site in sites:
            name, above = f"W3SVC{site.id}", site.log_file.directory
            if above and not is_windows_path(above):
                folders.append(Path(above) / name)
            folders.append(self._home.logs / name)
        return list(dict.fromkeys(folders))

    def _all_off(self, config: ServerConfig) -> list[str]:
        facts = self._facts
        off: list[str] = []
        if facts.cannot_switch:
            off.append(
                f"identities of pools and listener, folders and sockets of their own "
                f"({facts.cannot_switch})"
            )
        if not facts.landlock and any(p.isolation.sandbox for p in config.app_pools.values()):
            off.append("sandbox (the kernel has no Landlock)")
        if facts.landlock < landlock.SCOPE_ABI and facts.landlock:
            off.append("signals between processes of one user (older Landlock)")
        models = [p.process_model.identity_type for p in config.app_pools.values()]
        # Whoever asks for LocalSystem alone has asked for none of it.
        return off if any(m is not IdentityType.LOCAL_SYSTEM for m in models) else []

    # ── the listener ────────────────────────────────────────────────────────────────────────────

    def _listener_account(self, config: ServerConfig) -> Account | None:
        wanted = config.identities.listener
        if self._facts.cannot_switch or wanted.lower() in (LOCAL_SYSTEM, "root"):
            return None
        if wanted:
            return self._accounts.user(wanted)
        return self._accounts.own(LISTENER, config.identities)

    def listener(self, config: ServerConfig) -> Isolation:
        """What the listener gives up once it has connected."""
        account = self._listener
        if account is None:
            return Isolation()
        reached = [*self._facts.programs, str(self._home.run / "spool"), str(self._home.logs)]
        reached += [self._folder.control, str(self._folder.path)]
        reached += [str(path) for path in self._log_folders(config.sites)]
        return Isolation(
            uid=account.uid,
            gid=account.gid,
            umask=0o007,  # a pool's group must be able to write to its queue's socket
            closed=view.closed_folders(reached, account.uid, [account.gid]),
            is_restricted=True,
        )

    # ── pools ───────────────────────────────────────────────────────────────────────────────────

    def _pool_gid(self, pool: AppPool, config: ServerConfig) -> int:
        return self._accounts.id_of(pool.name, config.identities)

    def account(self, pool: AppPool, config: ServerConfig) -> Account | None:
        """Whom the pool's workers run as, None for who we are; raises IdentityError."""
        model = pool.process_model
        if self._facts.cannot_switch:
            return None
        match model.identity_type:
            case IdentityType.LOCAL_SYSTEM:
                return None
            case IdentityType.SPECIFIC_USER:
                return self._accounts.user(model.user_name)
            case IdentityType.LOCAL_SERVICE | IdentityType.NETWORK_SERVICE:
                name = f"\N{MIDDLE DOT}{model.identity_type.value}"
                return self._accounts.own(name, config.identities)
            case IdentityType.APPLICATION_POOL_IDENTITY:
                return self._accounts.own(pool.name, config.identities)

    def queue_folder(self, pool: AppPool, config: ServerConfig) -> None:
        """Make the folder of the pool's queue: the listener's, and the pool's group may enter."""
        path = self._folder.queue_folder(pool.name)
        if self._facts.cannot_switch:
            path.mkdir(mode=0o711, parents=True, exist_ok=True)
            return
        owner = 0 if self._listener is None else self._listener.uid
        give_folder(path, owner, self._pool_gid(pool, config), 0o2710)

    def own_files(self, pool: AppPool, config: ServerConfig) -> None:
        """The pool's folder with its configuration, and its private temporary folder."""
        folder = self._home.pool_config(pool.name).parent
        folder.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        places = self._places(pool)
        if self._facts.cannot_switch:
            folder.mkdir(mode=0o700, exist_ok=True)
            Path(places.temporary).mkdir(mode=0o700, exist_ok=True)
            return
        gid = self._pool_gid(pool, config)
        give_folder(folder, 0, gid, 0o710)
        account = self.account(pool, config)
        uid, own = (0, 0) if account is None else (account.uid, account.gid)
        give_folder(Path(places.temporary), uid, own, 0o700)

    def own_config(self, pool: AppPool, config: ServerConfig) -> None:
        """Let the pool read its reduced configuration, and nobody else."""
        if not self._facts.cannot_switch:
            os.chown(self._home.pool_config(pool.name), 0, self._pool_gid(pool, config))

    def own_output(self, account: Account | None, fd: int) -> None:
        """Give the pool its log."""
        if account is not None:
            os.fchown(fd, account.uid, account.gid)
            os.fchmod(fd, 0o640)

    def _places(self, pool: AppPool) -> Places:
        folder = self._home.pool_config(pool.name).parent
        return Places(str(folder), str(folder / "tmp"), str(self._home.pool_log(pool.name)))

    def worker(self, pool: AppPool, config: ServerConfig) -> Terms:
        """What a worker of the pool is told; raises IdentityError and InterpreterError."""
        account = self.account(pool, config)
        places = self._places(pool)
        gid, groups = -1, tuple[int, ...]()
        if account is not None:
            gid = self._pool_gid(pool, config)
            groups = tuple([self._accounts.group(name) for name in pool.isolation.groups])
            if not pool.process_model.manual_group_membership:
                groups += self._accounts.iis_users()
        content = tuple(content_of(config, pool.name))
        interpreter = choose(pool.python, self._search)
        loaded = (*content, *_images(config), *interpreter.folders)
        isolation = decide(pool, account, gid, groups, loaded, places, self._facts)
        reached = isolation.readable + isolation.writable
        if isolation.uid >= 0:
            closed = view.closed_folders(reached, isolation.uid, isolation.groups)
            isolation = msgspec.structs.replace(isolation, closed=closed)
            self._check_content(pool, isolation, loaded)
        self._check_paths(pool, isolation)
        self._check_packages(pool, interpreter)
        environment = environment_of(account, pool, places.temporary)
        if pool.process_model.identity_type is IdentityType.LOCAL_SYSTEM:
            environment = {}
        environment |= variables_of(pool.python, self._search)
        return Terms(isolation, environment, account, interpreter)

    def describe(self, pool: AppPool, config: ServerConfig) -> tuple[str, dict[str, object]]:
        """The identity's name and what is in force."""
        model = pool.process_model
        name = model.identity_type.value
        if model.identity_type is IdentityType.SPECIFIC_USER:
            name = model.user_name
        try:
            isolation = self.worker(pool, config).isolation
        except OSError as error:
            return name, {"error": str(error)}
        return name, describe(pool, isolation, self._facts)

    def _check_content(self, pool: AppPool, isolation: Isolation, content: Iterable[str]) -> None:
        """Say which content the identity cannot read: its requests would be a riddle."""
        for path in [*content, *self._facts.programs]:
            reason = _obstacle(path, isolation)
            if reason and (pool.name, path) not in self._complained:
                self._complained.add((pool.name, path))
                log(
                    "content_unreadable",
                    app_pool=pool.name,
                    file=path,
                    uid=isolation.uid,
                    reason=reason,
                )

    def _check_packages(self, pool: AppPool, interpreter: Interpreter) -> None:
        """Say which packages of its environment the pool will not see."""
        for package in interpreter.passed_over:
            if (pool.name, package) not in self._complained:
                self._complained.add((pool.name, package))
                log("packages_passed_over", app_pool=pool.name, package=package)

    def _check_paths(self, pool: AppPool, isolation: Isolation) -> None:
        """Say which path the pool was given in vain: the application would be refused it."""
        settings = pool.isolation
        for attribute, paths in (
            ("readable", settings.readable_paths),
            ("writable", settings.writable_paths),
        ):
            for path in paths if isolation.has_sandbox else ():
                reason = "" if os.path.exists(path) else "not there when the worker was started"
                if not reason and isolation.uid >= 0:
                    reason = _obstacle(path, isolation, writes=attribute == "writable")
                if reason and (pool.name, attribute + path) not in self._complained:
                    self._complained.add((pool.name, attribute + path))
                    log(
                        "path_unusable",
                        app_pool=pool.name,
                        attribute=attribute,
                        file=path,
                        uid=isolation.uid if isolation.uid >= 0 else self._facts.own_uid,
                        reason=reason,
                    )


def _images(config: ServerConfig) -> Iterator[str]:
    """The files that globalModules names: each pool's workers load them, wherever they lie."""
    for module in config.global_modules:
        if os.path.isabs(module.image):
            yield module.image


def _obstacle(path: str, isolation: Isolation, *, writes: bool = False) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return ""  # that it is not there is another error, and has another place
    if found.st_uid == isolation.uid:
        allowed = found.st_mode >> 6
    elif found.st_gid in isolation.groups:
        allowed = found.st_mode >> 3
    else:
        allowed = found.st_mode
    wanted = (2 if writes else 4) | stat.S_ISDIR(found.st_mode)
    if allowed & wanted == wanted:
        return ""
    return f"mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}:{found.st_gid}"


def machine_facts() -> Facts:
    """What can be done here."""
    programs = tuple(_programs())
    reason = _why_not(programs)
    return Facts(os.geteuid(), reason, landlock.abi(), programs)


def _id_map(kind: str) -> str:
    try:
        return Path(f"/proc/self/{kind[0]}id_map").read_text()
    except FileNotFoundError:  # a kernel without user namespaces: all ids are there
        return f"0 0 {1 << 32}"


def _why_not(programs: tuple[str, ...]) -> str:
    if os.geteuid() != 0:
        return "not root"
    held = privileges.effective_capabilities()
    missing = [n for n, number in privileges.NEEDED.items() if not held >> number & 1]
    if missing:
        return f"root without {', '.join(missing)}"
    unreadable = _unreadable_program(programs)
    if unreadable:
        return f"{unreadable} is readable by root only"
    closed = view.closed_folders(programs)
    if closed and not held >> privileges.Capability.SYS_ADMIN & 1:
        return f"the interpreter lies in {next(iter(closed))}, which others may not enter"
    return ""


def _unreadable_program(programs: Iterable[str]) -> str:
    """Something of ours that no other user can read, where all was installed with umask 077."""
    files = [sys.executable, was.__file__, msgspec.__file__]
    for path in [*programs, *(os.path.realpath(file) for file in files)]:
        if _obstacle(path, Isolation()):
            return path
    return ""


def _programs() -> Iterable[str]:
    """Interpreter, its libraries and our packages, wherever they lie."""
    paths = [sys.prefix, sys.base_prefix, sys.exec_prefix, *(p for p in sys.path if p)]
    package = Path(was.__file__).parent
    paths += [str(package), *(str(package / part) for part in ("worker", "listener", "config"))]
    found = dict.fromkeys(os.path.realpath(path) for path in paths)
    return [path for path in found if path != "/" and os.path.exists(path)]
