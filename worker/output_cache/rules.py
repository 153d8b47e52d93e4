"""What the output cache may keep, for how long, and what of a request tells its variants apart."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from was.config.model import CacheLocation, CachePolicy
from was.worker.output_cache.kept_responses import VaryBy
from was.worker.output_cache.policy import CachePolicyType

if TYPE_CHECKING:
    from was.config.model import CacheProfile
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse

__all__ = ["CACHING", "FOR_EVER", "directive_of", "lifetime_of", "rule_of", "variant_of", "vary_of"]

_KEPT_ON_SERVER = frozenset(
    {CacheLocation.ANY, CacheLocation.SERVER, CacheLocation.SERVER_AND_CLIENT}
)
CACHING = frozenset({CachePolicy.CACHE_UNTIL_CHANGE, CachePolicy.CACHE_FOR_TIME_PERIOD})
_PRIVATE = ("private", "no-store", "no-cache")
FOR_EVER = float("inf")


def directive_of(profile: CacheProfile) -> str:
    """What `location` is in Cache-Control; "" where nobody need be told."""
    match profile.location:
        case CacheLocation.SERVER:
            return ""
        case CacheLocation.NONE:
            return "no-cache"
        case CacheLocation.ANY | CacheLocation.DOWNSTREAM:
            scope = "public"
        case CacheLocation.CLIENT | CacheLocation.SERVER_AND_CLIENT:
            scope = "private"
    if profile.policy is CachePolicy.CACHE_FOR_TIME_PERIOD:
        return f"{scope}, max-age={int(profile.duration_s)}"
    return scope


def lifetime_of(response: HttpResponse, profile: CacheProfile | None) -> float | None:
    """Seconds that the response may be kept, None for not at all. Modules go before profiles."""
    policy = response.cache_policy
    if not policy.is_user_cache_enabled:
        return None
    if profile is not None and profile.policy is CachePolicy.DISABLE_CACHE:
        return None
    user = policy.user_cache_policy
    if user.policy == CachePolicyType.TIME_TO_LIVE:
        return float(user.seconds_to_live) or None
    if user.policy == CachePolicyType.USER_INVALIDATES:
        return FOR_EVER
    if profile is None or profile.location not in _KEPT_ON_SERVER:
        return None
    if profile.policy is CachePolicy.CACHE_FOR_TIME_PERIOD:
        return profile.duration_s
    return FOR_EVER if profile.policy is CachePolicy.CACHE_UNTIL_CHANGE else None


def vary_of(response: HttpResponse) -> list[str] | None:
    """What the response says it varies by; None if it must not be kept."""
    varies: list[str] = []
    for name, value in response.fields:
        lower = name.lower()
        if lower == "set-cookie":
            return None
        if lower == "cache-control" and any(word in value.lower() for word in _PRIVATE):
            return None
        if lower == "vary":
            varies += [part.strip().lower() for part in value.split(",")]
    return None if "*" in varies else varies


def rule_of(
    profile: CacheProfile | None, headers: str, query_strings: str, vary: list[str]
) -> VaryBy:
    """What responses of a URL vary by, by profile, modules and Vary together."""
    named = {*_split(headers), *vary}
    parameters = set(_split(query_strings))
    if profile is not None:
        named |= set(_split(profile.vary_by_headers))
        parameters |= set(_split(profile.vary_by_query_string))
    return VaryBy(tuple(sorted(name.lower() for name in named if name)), tuple(sorted(parameters)))


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.replace(";", ",").split(",") if part.strip()]


def variant_of(context: HttpContext, rule: VaryBy) -> Hashable:
    """What tells this request from others of its URL, as far as the rule asks."""
    values: dict[str, list[str]] = {name: [] for name in rule.headers}
    for name, value in context.fields if values else ():
        lower = name.lower()
        if lower in values:
            values[lower].append(value.strip())
    query: Hashable = ()
    if "*" in rule.query:
        query = context.query
    elif rule.query:
        wanted = {name.lower() for name in rule.query}
        pairs = parse_qsl(context.query, keep_blank_values=True)
        query = tuple(sorted((n.lower(), v) for n, v in pairs if n.lower() in wanted))
    by_value = context.response.cache_policy.vary_by_value
    return by_value, tuple(tuple(values[name]) for name in rule.headers), query
