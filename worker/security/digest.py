"""Digest authentication (RFC 7616), the arithmetic: parameters, responses, nonces.

A nonce is time, randomness and an HMAC over both: nothing is kept for one that was only issued.
Once somebody has logged in with it, its request counts are kept: no request is taken twice.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import threading
from collections.abc import Callable
from enum import Enum
from urllib.parse import unquote

__all__ = ["ALGORITHMS", "DigestResponse", "Freshness", "Nonces", "parse_response"]

# As in the challenge -> for hashlib; the one to prefer first (RFC 7616, 3.7).
ALGORITHMS = {"SHA-256": "sha256", "MD5": "md5"}

_PARAMETER = re.compile(
    r'\s*([A-Za-z0-9_-]+\*?)\s*=\s*(?:"((?:[^"\\\x00-\x1f]|\\.)*)"|([^\s",=]+))\s*(?:,|\Z)'
)
_MOST_CHARACTERS = 4096
_NEEDED = ("realm", "nonce", "uri", "response", "nc", "cnonce")


class DigestResponse:
    """What a client has sent; `matches` proves that it knows HA1."""

    __slots__ = ("algorithm", "cnonce", "count", "nc", "nonce", "realm", "response", "uri", "user")

    def __init__(self, parameters: dict[str, str], user: str, algorithm: str) -> None:
        self.user = user
        self.algorithm = algorithm
        self.realm = parameters["realm"]
        self.nonce = parameters["nonce"]
        self.uri = parameters["uri"]
        self.response = parameters["response"].lower()
        self.nc = parameters["nc"]
        self.count = int(self.nc, 16)
        self.cnonce = parameters["cnonce"]

    def matches(self, ha1: str, method: str) -> bool:
        """Whether the response is that of HA1, in constant time."""
        name = ALGORITHMS[self.algorithm]
        ha2 = _hex(name, f"{method}:{self.uri}")
        text = f"{ha1}:{self.nonce}:{self.nc}:{self.cnonce}:auth:{ha2}"
        return hmac.compare_digest(_hex(name, text).encode(), self.response.encode())


def parse_response(text: str) -> DigestResponse | None:
    """The parameters after "Digest"; None for what is malformed or was not offered."""
    parameters = _parameters(text)
    if parameters is None or parameters.get("qop") != "auth":
        return None
    algorithm = parameters.get("algorithm", "MD5").upper()
    user = parameters.get("username")
    extended = parameters.get("username*")
    if extended is not None:
        if user is not None or not extended.lower().startswith("utf-8''"):
            return None
        user = unquote(extended[7:], errors="replace")
    if not user or algorithm not in ALGORITHMS or not all(n in parameters for n in _NEEDED):
        return None
    if parameters.get("userhash", "false").lower() != "false":
        return None
    if re.fullmatch(r"[0-9A-Fa-f]{8}", parameters["nc"]) is None:
        return None
    if re.fullmatch(r"[0-9A-Fa-f]{32,128}", parameters["response"]) is None:
        return None
    return DigestResponse(parameters, user, algorithm)


def _parameters(text: str) -> dict[str, str] | None:
    if len(text) > _MOST_CHARACTERS:
        return None
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None or match[1].lower() in found:
            return None
        value = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
        found[match[1].lower()] = value
        at = match.end()
    return found


def _hex(name: str, text: str) -> str:
    # Fields come as Latin-1 text; UTF-8 is what was hashed (charset=UTF-8 in the challenge).
    return hashlib.new(name, _bytes(text), usedforsecurity=False).hexdigest()


def _bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


class Freshness(Enum):
    """What a nonce with a request count is worth."""

    FRESH = "fresh"
    STALE = "stale"


class _Seen:
    """The request counts of one nonce: the highest, and which of those just below have come."""

    __slots__ = ("below", "highest", "issued")

    def __init__(self, issued: float) -> None:
        self.issued = issued
        self.highest = 0
        self.below = 0

    def take(self, count: int) -> bool:
        """Whether the count comes for the first time; requests may overtake one another."""
        if count > self.highest:
            self.below = ((self.below << 1 | 1) << (count - self.highest - 1)) & _WINDOW
            self.highest = count
            return True
        distance = self.highest - count - 1
        if distance < 0 or distance >= _WINDOW_BITS or self.below >> distance & 1:
            return False
        self.below |= 1 << distance
        return True


_WINDOW_BITS = 128
_WINDOW = (1 << _WINDOW_BITS) - 1


class Nonces:
    """Issues nonces and tells which are still good. Any thread."""

    def __init__(
        self,
        secret: bytes,
        *,
        now: Callable[[], float],
        lifetime_s: float = 300.0,
        most: int = 4096,
    ) -> None:
        """`most` nonces in use are remembered; beyond it the oldest become stale."""
        self._secret = secret
        self._now = now
        self._lifetime_s = lifetime_s
        self._most = most
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}
        self._forgotten_until = float("-inf")

    def issue(self) -> str:
        """A new nonce."""
        text = f"{int(self._now() * 1000):x}.{os.urandom(12).hex()}"
        return f"{text}.{self._mac(text)}"

    def take(self, nonce: str, count: int) -> Freshness:
        """Use a nonce for the request of this count; STALE: not ours, too old, or used so before.

        Call it only for who has proved to know the password: what is remembered is bounded.
        """
        text, _, mac = nonce.rpartition(".")
        if not hmac.compare_digest(self._mac(text).encode(), mac.encode("utf-8", "replace")):
            return Freshness.STALE
        issued = int(text.partition(".")[0], 16) / 1000
        if not 0 <= self._now() - issued <= self._lifetime_s:
            return Freshness.STALE
        with self._lock:
            seen = self._seen.get(nonce)
            if seen is None:
                if issued <= self._forgotten_until:
                    return Freshness.STALE
                self._make_room()
                seen = self._seen[nonce] = _Seen(issued)
            return Freshness.FRESH if count and seen.take(count) else Freshness.STALE

    def _make_room(self) -> None:
        while len(self._seen) >= self._most:
            oldest = min(self._seen, key=lambda nonce: self._seen[nonce].issued)
            self._forgotten_until = max(self._forgotten_until, self._seen.pop(oldest).issued)

    def _mac(self, text: str) -> str:
        return hmac.digest(self._secret, text.encode("utf-8", "replace"), "sha256").hex()[:32]
