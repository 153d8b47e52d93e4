"""The listening sockets. They live here as well as in the listener, so no port ever closes.

One that no binding needs any more is closed here when the listener has closed its own: until then
nothing else can be bound to that port, and a binding that comes back has the same socket again.
Meanwhile it takes no more connections, so none is reset when it is closed (last_connections.py).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import ipaddress
import os
import re
import socket
from collections.abc import Iterable

from was.config.model import Binding, Site
from was.ipc.served import ListeningSocket
from was.manager.last_connections import refuse_connections, take_connections
from was.manager.notify import GivenSocket, Notifier
from was.manager.routes import SocketKey, needed_sockets, program_sockets

__all__ = ["ListeningSockets", "bind_socket"]

BACKLOG = 4096
# As what a service manager keeps a socket for us. Its own are named after their unit, or by people.
KEPT_NAME = re.compile("was-[0-9a-f]{16}")


def bind_socket(ip: str, port: int) -> socket.socket:
    """A listening socket; "" is every address of both families. Raises OSError."""
    if ip == "":
        try:
            return _bind(socket.AF_INET6, "::", port)
        except OSError as error:
            if not _has_no_ipv6(error):
                raise
            return _bind(socket.AF_INET, "0.0.0.0", port)
    return _bind(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip, port)


def _address(binding: Binding) -> str:
    host = f"[{binding.ip}]" if ":" in binding.ip else binding.ip or "*"
    return f"{host}:{binding.port}"


def _kept_name(key: SocketKey) -> str:
    """What a service manager keeps a binding's socket as: no ":" is allowed, which IPv6 has."""
    text = f"{key.ip} {key.port} {key.owner}"
    return f"was-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _is_same_address(bound: str, wanted: str) -> bool:
    """Whether a socket bound to one address is what a binding of the other asks for."""
    if wanted == "":
        return bound in ("::", "0.0.0.0")
    return ipaddress.ip_address(bound) == ipaddress.ip_address(wanted)


def _has_no_ipv6(error: OSError) -> bool:
    return error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


def _bind(family: socket.AddressFamily, ip: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if ip == "::" else 1)
        sock.bind((ip, port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


class ListeningSockets:
    """All sockets that are bound now."""

    def __init__(self, keeper: Notifier) -> None:
        self._keeper = keeper
        self._bound: dict[SocketKey, tuple[socket.socket, str]] = {}
        self._given: list[socket.socket] = []
        self._kept: dict[str, socket.socket] = {}
        self._leaving: dict[SocketKey, socket.socket] = {}
        # Sites that wait for the ports of those.
        self.awaiting: frozenset[str] = frozenset()
        self.refused_programs: list[tuple[str, int, str]] = []

    def give(self, sockets: Iterable[GivenSocket]) -> None:
        """Sockets that a service manager holds: its own, and those we once had it keep.

        Its own serve bindings of the same address and port, and stay here as long as we run: that
        port can be had in no other way. Kept ones are for the bindings they once served, or go.
        """
        for name, sock in sockets:
            if KEPT_NAME.fullmatch(name):
                if name in self._kept:  # two have kept it
                    self._kept[name].close()
                self._kept[name] = sock
            else:
                self._given.append(sock)

    def apply(
        self, sites: Iterable[Site], programs: Iterable[ListeningSocket] = ()
    ) -> dict[str, str]:
        """Bind what these sites and programs need, let go of what none needs.

        Gives the sites that cannot listen, by name, with one line that says why; `awaiting` has
        those among them that can once the listener lets go, too; `refused_programs` has the same
        for ports that programs wanted.
        """
        needed = needed_sockets(sites)
        of_programs = program_sockets(programs, needed)
        for key in [k for k in self._bound if k not in needed and k not in of_programs]:
            sock = self._leaving[key] = self._bound.pop(key)[0]
            if not self._is_given(sock):
                refuse_connections(sock)
            self._keeper.forget(_kept_name(key))
        refused: dict[str, str] = {}
        awaiting: set[str] = set()
        for key, users in sorted(needed.items(), key=lambda item: item[0]):
            if key in self._bound:
                # The socket stays, what is spoken there may have changed.
                self._bound[key] = (self._bound[key][0], users[0][1].protocol)
                continue
            try:
                sock = self._given_for(key) or self._bind(key)
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                for site, binding in users:
                    if error.errno == errno.EADDRINUSE and self._is_leaving(key.port):
                        awaiting.add(site.name)
                    refused[site.name] = (
                        f"site '{site.name}' cannot listen on {_address(binding)}: {reason}"
                    )
                continue
            self._bound[key] = (sock, users[0][1].protocol)
        self.awaiting = frozenset(awaiting)
        self.refused_programs = self._bind_for_programs(of_programs)
        self._drop_kept()
        return refused

    def _is_given(self, sock: socket.socket) -> bool:
        """Whether it is a service manager's own, which outlives us: others wait there for us."""
        inode = os.fstat(sock.fileno()).st_ino
        return any(os.fstat(given.fileno()).st_ino == inode for given in self._given)

    def _is_leaving(self, port: int) -> bool:
        return any(key.port == port for key in self._leaving)

    def let_go(self, *, is_ended: bool = False) -> None:
        """The listener has closed what it was not told any more.

        `is_ended`: nobody accepts there any more. Who keeps a socket for us may be slow to close
        it, and is not to keep its port from another binding meanwhile.
        """
        for sock in self._leaving.values():
            if is_ended and not self._is_given(sock):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RD)
            sock.close()
        self._leaving.clear()

    def _bind_for_programs(self, keys: Iterable[SocketKey]) -> list[tuple[str, int, str]]:
        refused: list[tuple[str, int, str]] = []
        for key in keys:
            if key in self._bound:
                continue
            try:
                self._bound[key] = (self._given_for(key) or self._bind(key), "http")
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                refused.append((key.ip, key.port, f"port {key.port} cannot be opened: {reason}"))
        return refused

    def _bind(self, key: SocketKey) -> socket.socket:
        known = self._leaving.pop(key, None) or self._kept.pop(_kept_name(key), None)
        if known is not None:
            take_connections(known)
        sock = known or bind_socket(key.ip, key.port)
        self._keeper.keep(_kept_name(key), sock.fileno())
        return sock

    def _given_for(self, key: SocketKey) -> socket.socket | None:
        for sock in self._given:
            ip, port = sock.getsockname()[:2]
            if port == key.port and _is_same_address(ip, key.ip):
                return sock.dup()
        return None

    def _drop_kept(self) -> None:
        """What nobody needs any more, or the listener that was taken over still had."""
        used = {_kept_name(key) for key in self._bound}
        for name, sock in self._kept.items():
            sock.close()
            if name not in used:
                self._keeper.forget(name)
        self._kept.clear()

    def for_exec(self, *, keep: bool) -> None:
        """Whether all sockets outlive an exec, where they are."""
        for sock in (*self._given, *(sock for sock, _ in self._bound.values())):
            sock.set_inheritable(keep)

    def adopt(self, held: Iterable[tuple[SocketKey, str, int]]) -> None:
        """Take over sockets of an earlier manager: (key, scheme, descriptor)."""
        for key, scheme, fd in held:
            sock = socket.socket(fileno=fd)
            take_connections(sock)  # the last manager may have been about to close it
            self._bound[key] = (sock, scheme)

    def to_record(self) -> list[tuple[str, int, str, int]]:
        """(ip, configured port, owner, real port) of each: what a later manager adopts by."""
        return [
            (key.ip, key.port, key.owner, int(sock.getsockname()[1]))
            for key, (sock, _) in self._bound.items()
        ]

    def real_port(self, key: SocketKey) -> int:
        """The port of a binding's socket, the configured one when it is not bound."""
        for candidate in (key, SocketKey("", key.port, key.owner)):
            if candidate in self._bound:
                return int(self._bound[candidate][0].getsockname()[1])
        return key.port

    def to_send(self) -> list[tuple[ListeningSocket, int]]:
        """Descriptions and descriptors for the listener."""
        listed: list[tuple[ListeningSocket, int]] = []
        for key, (sock, scheme) in sorted(self._bound.items(), key=lambda item: item[0]):
            port = int(sock.getsockname()[1])
            listed.append((ListeningSocket(key.ip or "*", port, scheme), sock.fileno()))
        return listed

    def to_keep(self) -> list[tuple[str, int]]:
        """Names and descriptors for whoever keeps sockets for the next manager."""
        return [(_kept_name(key), sock.fileno()) for key, (sock, _) in self._bound.items()]

    def close(self) -> None:
        """Close all."""
        for sock, _ in self._bound.values():
            sock.close()
        self._bound.clear()
        self.let_go()
        for sock in [*self._given, *self._kept.values()]:
            sock.close()
        self._given.clear()
        self._kept.clear()
