"""Binding text (`ip:port:host`) to Binding values and the prefixes they register."""

from __future__ import annotations

import re
from dataclasses import dataclass

from was.config.urls import UrlPrefix, canonical_ip, normal_host

__all__ = ["Binding", "parse_binding"]

_TEXT = re.compile(r"(\*|\[[^\]]*\]|[^:\[\]]*):([^:]*):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a site listens. `ip` "" = every address, `port` 0 = one the system chooses."""

    scheme: str
    ip: str
    port: int
    host: str

    def prefix(self, port: int = 0) -> UrlPrefix:
        """The UrlPrefix of the site's root; `port` is the real one where the binding says 0."""
        real_port = self.port or port
        if self.host:
            return UrlPrefix(self.scheme, self.host, real_port, "/", self.ip)
        return UrlPrefix(self.scheme, self.ip or "*", real_port, "/")

    def __str__(self) -> str:
        ip = f"[{self.ip}]" if ":" in self.ip else self.ip or "*"
        return f"{ip}:{self.port}:{self.host}"


def parse_binding(text: str, scheme: str = "http") -> Binding:
    """Read a bindingInformation. Raises ValueError with one sentence for a person."""
    if scheme not in {"http", "https"}:
        raise ValueError(f"protocol '{scheme}' is not http or https")
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"binding '{text}' is not of the form ip:port:host")
    ip, port, host = match.groups()
    address = "" if ip in {"", "*"} else canonical_ip(ip)
    if not address and ip not in {"", "*"}:
        raise ValueError(f"'{ip}' in binding '{text}' is not an IP address (or '*')")
    if ":" in address and not ip.startswith("["):
        raise ValueError(f"the IPv6 address in binding '{text}' must stand in brackets")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError(f"'{port}' in binding '{text}' is not a port from 0 to 65535")
    if host:
        if host in {"*", "+"}:
            raise ValueError(f"host '{host}' in binding '{text}' must be a name, or be left out")
        host = normal_host(host)
    return Binding(scheme, address, int(port), host)
