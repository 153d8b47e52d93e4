"""Which content coding a client and a configuration agree on (RFC 9110, 12.5.3). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from was.known import keep

if TYPE_CHECKING:
    from was.config.model import CompressionType, HttpCompression

__all__ = [
    "VARY",
    "VARY_BLOCK",
    "Chooser",
    "Clients",
    "TypeTable",
    "coded_fields",
    "parse_accept_encoding",
    "weakened",
    "with_vary",
]

T = TypeVar("T")

# What tells caches that others get something else; the lines as they are sent.
VARY = [("Vary", "Accept-Encoding")]
VARY_BLOCK = b"Vary: Accept-Encoding\r\n"

# So many different field values are remembered; beyond it the memory starts anew.
_LIMIT = 512
_LONGEST = 256
# Sums over the bytes as they were (RFC 9530): whoever checks them would throw the coded ones away.
_SUMS = frozenset({"content-md5", "content-digest", "repr-digest"})


def parse_accept_encoding(text: str) -> dict[str, float]:
    """Coding in lower case -> weight; what is not understood is not acceptable."""
    found: dict[str, float] = {}
    for part in text.lower().split(","):
        name, _, parameter = part.partition(";")
        name = name.strip()
        if not name:
            continue
        weight = 1.0
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
        # Also against nan, which compares as neither.
        found["gzip" if name == "x-gzip" else name] = weight if 0.0 < weight <= 1.0 else 0.0
    return found


class Chooser(Generic[T]):
    """The best of some schemes for a client; among equals the first in the configuration's order.

    Remembers its answers: browsers send few different values.
    """

    def __init__(self, schemes: Mapping[str, T]) -> None:
        """`schemes`: what stands for each coding's name, in the order of preference."""
        self._schemes = dict(schemes)
        self._known: dict[str, T | None] = {}

    def choose(self, text: str) -> T | None:
        """What an Accept-Encoding of this value gets; None: the content as it is."""
        try:
            return self._known[text]
        except KeyError:
            found = self._choose(parse_accept_encoding(text))
            if len(text) <= _LONGEST:
                keep(self._known, text, found, _LIMIT)
            return found

    def _choose(self, weights: Mapping[str, float]) -> T | None:
        best: T | None = None
        best_weight = weights.get("identity", 0.0)
        anything = weights.get("*", 0.0)
        for name, scheme in self._schemes.items():
            weight = weights.get(name, anything)
            if weight > best_weight or (best is None and weight and weight == best_weight):
                best, best_weight = scheme, weight
        return best


class Clients:
    """Who may be sent coded content, by the noCompressionFor… of httpCompression."""

    def __init__(self, settings: HttpCompression) -> None:
        self._lowest_version = 11 if settings.no_compression_for_http10 else 0
        self._without: set[str] = set()
        if settings.no_compression_for_proxies:
            self._without.add("via")
        if settings.no_compression_for_range:
            self._without.add("range")
        # What coded content says to caches.
        self.cache_fields: list[tuple[str, str]] = []
        if settings.send_cache_headers:
            self.cache_fields = [
                ("Cache-Control", settings.cache_control_header),
                ("Expires", settings.expires_header),
            ]

    def accepted(self, version: int, fields: Iterable[tuple[str, str]]) -> str:
        """What a request's Accept-Encoding says; "" for who gets the content as it is."""
        if version < self._lowest_version:
            return ""
        accepted = ""
        for name, value in fields:
            lower = name.lower()
            if lower == "accept-encoding":
                accepted = f"{accepted},{value}" if accepted else value
            elif lower in self._without:
                return ""
        return accepted


class TypeTable:
    """staticTypes or dynamicTypes: the entry that fits best decides, however they are ordered.

    The whole Content-Type fits better than the type without its parameters, that better than
    `type/*`, and that better than `*/*`.
    """

    def __init__(self, entries: Sequence[CompressionType]) -> None:
        self._entries = {_squeezed(entry.mime_type): entry.enabled for entry in entries}
        self._known: dict[str, bool] = {}

    def has_any(self) -> bool:
        """Whether there is a type that is compressed."""
        return any(self._entries.values())

    def is_compressed(self, content_type: str) -> bool:
        """Whether content of this Content-Type is to be compressed."""
        known = self._known.get(content_type)
        if known is None:
            known = self._find(content_type)
            if len(content_type) <= _LONGEST:
                keep(self._known, content_type, known, _LIMIT)
        return known

    def _find(self, content_type: str) -> bool:
        whole = _squeezed(content_type)
        bare = whole.partition(";")[0]
        for key in (whole, bare, bare.partition("/")[0] + "/*", "*/*"):
            if key in self._entries:
                return self._entries[key]
        return False


def _squeezed(content_type: str) -> str:
    return "".join(content_type.split()).lower()


def weakened(etag: str) -> str:
    """The validator of coded content: the same for all codings, so no longer for equal bytes."""
    return etag if etag.startswith("W/") else "W/" + etag


def coded_fields(
    fields: Iterable[tuple[str, str]], coding: str, replacing: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The fields of a response once its body is coded; those of `replacing` in place of others."""
    gone = _SUMS.union(name.lower() for name, _ in replacing)
    found: list[tuple[str, str]] = []
    for field in fields:
        lower = field[0].lower()
        if lower == "etag":
            found.append((field[0], weakened(field[1])))
        elif lower not in gone:
            found.append(field)
    found.append(("Content-Encoding", coding))
    found += replacing
    return found


def with_vary(values: Iterable[str]) -> str:
    """The value of Vary that names Accept-Encoding, too."""
    named = [part.strip() for value in values for part in value.split(",") if part.strip()]
    if "*" in named:
        return "*"
    if "accept-encoding" not in [part.lower() for part in named]:
        named.append("Accept-Encoding")
    return ", ".join(named)
