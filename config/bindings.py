"""The text of a binding, `ip:port:host`, to its parts: pure."""

from __future__ import annotations

import re
from functools import lru_cache

from was.config.urls import UrlPrefix, canonical_ip, normal_host

__all__ = [
    "ADDRESSED_PROTOCOLS",
    "HEALTH_PROTOCOL",
    "InvalidBindingError",
    "binding_prefix",
    "parse_binding_information",
]

HEALTH_PROTOCOL = "was.health"
# Those whose bindingInformation is address:port:host.
ADDRESSED_PROTOCOLS = ("http", "https", HEALTH_PROTOCOL)

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")


class InvalidBindingError(ValueError):
    """The text names no address; the message says which part is wrong. Configuration only."""


@lru_cache(maxsize=65536)
def parse_binding_information(text: str) -> tuple[str, int, str]:
    """(ip, port, host) of `*:8080:`, `127.0.0.1:8080:host` or `[::1]:8080:`.

    ip is "" for all addresses and has no brackets; host is in lower case. Port 0 asks for any
    free port.
    """
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise InvalidBindingError("an IPv6 address stands in brackets: [address]:port:host")
        rest, ip = rest[1:], _ipv6(address)
    else:
        address, colon, rest = text.partition(":")
        if not colon:
            raise InvalidBindingError("it must have the form address:port:host")
        ip = "" if address in ("", "*") else _ipv4(address)
    port, colon, host = rest.partition(":")
    if not colon:
        raise InvalidBindingError("it must have the form address:port:host")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise InvalidBindingError(f"'{port}' is not a port number between 0 and 65535")
    return ip, int(port), _host(host)


def binding_prefix(scheme: str, text: str) -> UrlPrefix:
    """What a binding registers for the root of its site. Raises InvalidBindingError."""
    ip, port, host = parse_binding_information(text)
    address = canonical_ip(ip)
    if host:
        return UrlPrefix(scheme, host, port, "/", address)
    return UrlPrefix(scheme, address or "*", port)


def _ipv4(text: str) -> str:
    if not _IPV4.fullmatch(text):
        raise InvalidBindingError(f"'{text}' is not an IPv4 address or *")
    return text


def _ipv6(text: str) -> str:
    # Imported here: a configuration without IPv6 addresses need not load the module.
    from ipaddress import AddressValueError, IPv6Address

    try:
        return str(IPv6Address(text))
    except AddressValueError:
        raise InvalidBindingError(f"'{text}' is not an IPv6 address") from None


def _host(text: str) -> str:
    if not text:
        return ""
    if text in ("*", "+"):
        raise InvalidBindingError(f"'{text}' is not a host name; every host is an empty one")
    try:
        return normal_host(text)
    except ValueError as error:
        raise InvalidBindingError(str(error)) from None
