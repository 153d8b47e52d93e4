"""HttpCacheModule: the output cache, by the profiles of `caching` or the policy that modules set.

Looked up at RESOLVE_REQUEST_CACHE, filled at UPDATE_REQUEST_CACHE. Only answers to GET that anybody
may see are kept: no user, no Authorization, no Set-Cookie, nothing that says it is private. The
query counts only as far as varyByQueryString says, as in IIS. `CacheUntilChange` lasts while the
file that the URL stands for stays as it is; without a file nothing is kept. A POST or
another unsafe method that succeeds ends what this worker has kept of its URL.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Hashable
from typing import TYPE_CHECKING

from was.config.model import CacheLocation
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    GlobalModule,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.children.requests import ExecuteFlag
from was.worker.http_dates import parse_date
from was.worker.notifications import (
    CONTINUE,
    FINISH_REQUEST,
    GL_CONTINUE,
    GlobalNotification,
    GlobalNotificationStatus,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.output_cache.kept_responses import CachedResponse, OutputCache
from was.worker.output_cache.rules import (
    CACHING,
    FOR_EVER,
    directive_of,
    lifetime_of,
    rule_of,
    variant_of,
    vary_of,
)
from was.worker.static.representation import conditions_of, evaluate_conditions, fields_of_304

if TYPE_CHECKING:
    from was.config.model import CacheProfile
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse

# A file that has changed just now may change again within the same tick of its clock.
_SETTLED_NS = 2_000_000_000
# After another method that succeeds, what its URL was before is not what it is (RFC 9111, 4.4).
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

_generations = itertools.count()


class HttpCache(HttpModule):
    """The output cache as one application's settings want it."""

    def __init__(self, application: HttpApplication, store: OutputCache) -> None:
        settings = application.settings.caching
        self._store = store
        self._profiles = {p.extension.lower(): p for p in settings.profiles}
        self._most_bytes = settings.max_response_size
        self._limit_bytes = settings.max_cache_size << 20 or _half_of_memory()
        # Entries of earlier settings are never found again.
        self._generation = next(_generations)

    # ── lookup ──────────────────────────────────────────────────────────────────────────────────

    def on_resolve_request_cache(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Answer from the cache if it can."""
        if not len(self._store) or context.method not in ("GET", "HEAD"):
            return CONTINUE
        key = self._key(context)
        rule = self._store.rule(key)
        if rule is None or not _is_for_anybody(context):
            return CONTINUE
        variant = variant_of(context, rule)
        cached = self._store.find(key, variant)
        if cached is None or not context.response.cache_policy.is_user_cache_enabled:
            return CONTINUE
        if not _is_valid(cached):
            self._store.drop(key, variant)
            return CONTINUE
        return _answer(context, cached)

    def _key(self, context: HttpContext) -> Hashable:
        host = ""
        for name, value in context.fields:
            if name.lower() == "host":
                host = value.lower()
                break
        message = context.message
        return self._generation, message.secure, host, message.path, context.path

    # ── store ───────────────────────────────────────────────────────────────────────────────────

    def on_update_request_cache(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Keep the response if it may be kept; forget what its URL's was before a change of it."""
        response = context.response
        if context.method not in _SAFE and response.status < 400:
            self._store.drop_all(self._key(context))
        if response.status != 200 or context.exchange.started or context.method != "GET":
            return CONTINUE
        profile = self.profile_of(context.path)
        lifetime = lifetime_of(response, profile)
        if lifetime is None or not _is_for_anybody(context):
            return CONTINUE
        vary = vary_of(response)
        if vary is None or _is_yet_to_be_compressed(context, vary):
            return CONTINUE
        body = self._body(response)
        if body is None:
            return CONTINUE
        file, stamp = "", None
        if lifetime == FOR_EVER:
            file = context.physical_path
            stamp = _settled_stamp(file)
            if stamp is None:
                return CONTINUE
        policy = response.cache_policy
        rule = rule_of(profile, policy.vary_by_headers, policy.vary_by_query_strings, vary)
        entry = CachedResponse(
            response.status,
            response.reason,
            response.fields,
            response.block(),
            body,
            time.monotonic() + lifetime,
            file,
            stamp,
        )
        key, variant = self._key(context), variant_of(context, rule)
        known = self._store.find(key, variant) if self._store.rule(key) == rule else None
        if known is None or policy.is_force_update_set or not _is_valid(known):
            self._store.keep(key, rule, variant, entry, self._limit_bytes)
        policy.set_is_cached()
        return CONTINUE

    def profile_of(self, path: str) -> CacheProfile | None:
        """The profile for the extension of a path; "*" is for all that have none of their own."""
        name = path[path.rfind("/") + 1 :]
        dot = name.rfind(".")
        extension = name[dot:].lower() if dot >= 0 else ""
        return self._profiles.get(extension) or self._profiles.get("*")

    def _body(self, response: HttpResponse) -> bytes | None:
        """The whole body, None if it is too long or not there as a whole."""
        size = response.buffered_bytes()
        if size > self._most_bytes or response.content_length not in (-1, size):
            return None
        parts = [
            chunk if isinstance(chunk, bytes) else os.pread(chunk.fd, chunk.length, chunk.offset)
            for chunk in response.chunks
        ]
        body = b"".join(parts)
        return body if len(body) == size else None


class HttpCacheWithLocation(HttpCache):
    """The same, where a profile's `location` is to be told to clients and proxies."""

    def on_send_response(
        self, context: HttpContext, provider: HttpResponse
    ) -> RequestNotificationStatus:
        """Cache-Control as `location` and `duration` ask for, unless the handler has said it."""
        response = context.response
        if not response.headers_being_sent or response.status not in (200, 304):
            return CONTINUE
        profile = self.profile_of(context.path)
        if profile is None or profile.policy not in CACHING:
            return CONTINUE
        directive = directive_of(profile)
        if directive and response.get_header("Cache-Control") is None:
            response.set_header("Cache-Control", directive)
        return CONTINUE


def _is_for_anybody(context: HttpContext) -> bool:
    """Whether any client that sends this request would get the same whole answer."""
    user, message = context.user, context.message
    if user is not None and (user.authentication_type or user.user_name):
        return False
    if message.body_length != 0:
        return False
    if context.child is not None and not context.child.flags & ExecuteFlag.HTTP_CACHE_ELIGIBLE:
        return False
    return not any(name.lower() in ("authorization", "range") for name, _ in context.fields)


def _is_yet_to_be_compressed(context: HttpContext, vary: list[str]) -> bool:
    """Whether a file has gone out as it is only because it was not hit often enough yet."""
    return (
        context.served_file is not None
        and "accept-encoding" in vary
        and context.response.get_header("Content-Encoding") is None
        and any(name.lower() == "accept-encoding" for name, _ in context.fields)
    )


def _answer(context: HttpContext, cached: CachedResponse) -> RequestNotificationStatus:
    """The cached response, or 304 if the client has it already."""
    response = context.response
    fields = dict.fromkeys(("etag", "last-modified"), "")
    fields |= {name.lower(): value for name, value in cached.fields}
    modified = parse_date(fields["last-modified"]) if fields["last-modified"] else None
    asked = conditions_of(context.fields)
    if modified is None:
        asked.pop("if-modified-since", None)
        asked.pop("if-unmodified-since", None)
    outcome = evaluate_conditions(asked, fields["etag"], modified or 0)
    if outcome == 412:
        return CONTINUE
    response.cache_policy.set_is_cached()
    if outcome == 304:
        response.set_status(304)
        for name, value in fields_of_304(cached.fields, asked):
            response.set_header(name, value, replace=False)
        return FINISH_REQUEST
    response.set_status(cached.status, cached.reason)
    response.set_encoded_fields(list(cached.fields), cached.block)
    response.set_body(cached.body)
    return FINISH_REQUEST


def _is_valid(cached: CachedResponse) -> bool:
    if cached.stamp is not None:
        return _stamp(cached.file) == cached.stamp
    return time.monotonic() < cached.expires


def _stamp(file: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _settled_stamp(file: str) -> tuple[int, int, int] | None:
    stamp = _stamp(file)
    if stamp is None or time.time_ns() - stamp[0] < _SETTLED_NS:
        return None
    return stamp


def _half_of_memory() -> int:
    """Half of what the machine has available now, as maxCacheSize 0 asks for."""
    try:
        with open("/proc/meminfo", "rb") as file:
            for line in file:
                if line.startswith(b"MemAvailable:"):
                    return int(line.split()[1]) * 1024 // 2
    except (OSError, ValueError, IndexError):
        pass
    return 64 << 20


class CacheCleanup(GlobalModule):
    """Empties the cache when the worker ends or its configuration changes."""

    def __init__(self, store: OutputCache) -> None:
        self._store = store

    def on_global_cache_cleanup(self, provider: object) -> GlobalNotificationStatus:
        """Nothing is kept any more."""
        self._store.clear()
        return GL_CONTINUE

    def on_global_configuration_change(self, provider: object) -> GlobalNotificationStatus:
        """What was kept may be answered otherwise now."""
        self._store.clear()
        return GL_CONTINUE


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to the cache's two events, SEND_RESPONSE, and what empties it."""
    store = OutputCache()

    def make(application: HttpApplication) -> HttpModule:
        caching = application.settings.caching
        used = [p for p in caching.profiles if p.policy in CACHING]
        # Without a profile only a module can ask for a response to be kept.
        if not caching.enabled or not (used or application.server.limits.has_foreign_modules):
            return HttpModule()
        if any(profile.location is not CacheLocation.SERVER for profile in used):
            return HttpCacheWithLocation(application, store)
        return HttpCache(application, store)

    registration_info.set_request_notifications(
        ApplicationModuleFactory(make),
        RequestNotification.RESOLVE_REQUEST_CACHE
        | RequestNotification.UPDATE_REQUEST_CACHE
        | RequestNotification.SEND_RESPONSE,
        0,
    )
    registration_info.set_global_notifications(
        CacheCleanup(store),
        GlobalNotification.CACHE_CLEANUP | GlobalNotification.CONFIGURATION_CHANGE,
    )
