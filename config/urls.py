"""UrlPrefix: `scheme://host:port/path/`, parsed, normalised, comparable; and paths, as text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from was.config.addresses import parse_address

__all__ = [
    "Bucket",
    "UrlPrefix",
    "canonical_ip",
    "fold_path",
    "normal_host",
    "parse_prefix",
    "tidy_path",
]


class Bucket(IntEnum):
    """Where a prefix is looked for, in this order; the first bucket that matches ends it."""

    STRONG = 1  # +
    HOST = 2  # a name, or *.domain
    IP_BOUND = 3  # an address: any host that arrives there
    WEAK = 4  # *


@dataclass(frozen=True, slots=True)
class UrlPrefix:
    """A prefix in its one normal form: equal texts of the same prefix make equal values.

    `host` is lower-case, without brackets; `path` is case-folded and ends with "/"; `local_ip`
    is the address a host name is bound to as well ("" = any): `http://www.x.com:80:192.0.2.1/`.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    local_ip: str = ""

    @property
    def bucket(self) -> Bucket:
        """The bucket its host form puts it in."""
        if self.host == "+":
            return Bucket.STRONG
        if self.host == "*":
            return Bucket.WEAK
        return Bucket.IP_BOUND if canonical_ip(self.host) else Bucket.HOST

    def with_path(self, path: str) -> UrlPrefix:
        """The same place with another path, as given by an application (`/app1`)."""
        return UrlPrefix(self.scheme, self.host, self.port, fold_path(path), self.local_ip)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        bound = f"[{self.local_ip}]" if ":" in self.local_ip else self.local_ip
        suffix = f":{bound}" if bound else ""
        return f"{self.scheme}://{host}:{self.port}{suffix}{self.path}"


_PREFIX = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]+)"
    r":(?P<port>[1-9][0-9]{0,4})"
    r"(?::(?P<bound>\[[0-9A-Fa-f:.]+\]|[0-9.]+))?"
    r"(?P<path>/[^?#]*)",
    re.ASCII,
)
_SLASHES = re.compile(r"[/\\]+")
_HOST_NAME = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?", re.ASCII)


def canonical_ip(text: str) -> str:
    """An IP address in its one written form, without brackets or zone; "" when it is none.

    An IPv4 address in IPv6 dress (::ffff:192.0.2.1) is the IPv4 address: a dual-stack socket shows
    its IPv4 clients so.
    """
    try:
        return str(parse_address(text.strip("[]")))
    except ValueError:
        return ""


def parse_prefix(text: str) -> UrlPrefix:
    """Read a UrlPrefix. Raises ValueError with one sentence for a person."""
    match = _PREFIX.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a URL prefix of the form scheme://host:port/path/")
    port = int(match["port"])
    if port > 65535:
        raise ValueError(f"port {port} of '{text}' is greater than 65535")
    if not match["path"].endswith("/"):
        raise ValueError(f"the path of '{text}' must end with '/'")
    bound = ""
    if match["bound"]:
        bound = canonical_ip(match["bound"])
        if not bound:
            raise ValueError(f"'{match['bound']}' in '{text}' is not an IP address")
    host = normal_host(match["host"])
    if bound and canonical_ip(host) == bound:
        # IIS writes http://192.0.2.1:80:192.0.2.1/ for what the address alone says.
        bound = ""
    return UrlPrefix(match["scheme"], host, port, fold_path(match["path"]), bound)


def normal_host(text: str) -> str:
    """A host of a prefix in its normal form. Raises ValueError when it is none."""
    if text in {"+", "*"}:
        return text
    address = canonical_ip(text)
    if address:
        return address
    host = text.lower()
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError(f"'{text}' is not a host name") from None
    if _HOST_NAME.fullmatch(host) is None or ".." in host or len(host) > 253:
        raise ValueError(f"'{text}' is not a host name; a wildcard is '*.' and a domain")
    return host


def tidy_path(path: str) -> str:
    """A decoded path, which begins with a slash of either kind, in the form that all of us use.

    One slash for backslashes and for runs of either; dot segments away, without ever leaving the
    root (RFC 3986 5.2.4).
    """
    path = _SLASHES.sub("/", path)
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def fold_path(path: str) -> str:
    """A path as prefixes are compared: without case, with a slash at its end.

    As the configuration compares paths: an application is not to be reached by another name than
    what is in force for it. `casefold` takes "\u017f" for "s" and "\u00df" for "ss".
    """
    folded = path.lower()
    return folded if folded.endswith("/") else folded + "/"
