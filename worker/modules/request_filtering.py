"""RequestFilteringModule: refuses what `security/requestFiltering` does not allow.

The limits every application has are compared in one place; each other rule is a check made from
the settings, and there is none for what is not set. A body whose length is not known is limited
while it is read. Differs from IIS: "+" in a path is no double escaping here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.notifications import (
    CONTINUE,
    Priority,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.config.model import FilteringRule, FilterList, HeaderLimit, RequestFiltering
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse

# A refusal: (status, sub-status); None = nothing against it.
_Check = Callable[["HttpContext"], tuple[int, int] | None]

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class RequestFilter(HttpModule):
    """The filter of one application."""

    def __init__(self, application: HttpApplication) -> None:
        settings = application.settings.request_filtering
        limits = settings.request_limits
        self._max_url = limits.max_url
        self._max_query = limits.max_query_string
        self._max_content = limits.max_allowed_content_length
        # The site's, not the section's; 0 = no limit.
        self._max_segments = application.site.config.limits.max_url_segments or 1 << 30
        self._allows_double_escaping = settings.allow_double_escaping
        # "/name" occurs in every path that has the segment: a quick look before the thorough one.
        self._hidden = tuple(f"/{segment.lower()}" for segment in settings.hidden_segments)
        self._checks = _make_checks(settings)

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Let the request pass, or finish it with the rule's sub-status."""
        path = context.path
        length = context.message.body_length
        if length > self._max_content:
            return refuse(context, 413, 1)
        if length < 0:
            context.request.limit_entity_body(self._max_content)
        # A character is four bytes at most.
        if 4 * len(path) > self._max_url and _byte_length(path) > self._max_url:
            return refuse(context, 404, 14)
        if len(context.query) > self._max_query:
            return refuse(context, 404, 15)
        if path.count("/") > self._max_segments and _segments(path) > self._max_segments:
            return refuse(context, 404, 20)
        if "%" in path and not self._allows_double_escaping and _ESCAPE.search(path):
            return refuse(context, 404, 11)
        lower = path.lower()
        for hidden in self._hidden:
            if hidden in lower and f"{hidden}/" in f"{lower}/":
                return refuse(context, 404, 8)
        for check in self._checks:
            refusal = check(context)
            if refusal is not None:
                return refuse(context, *refusal)
        return CONTINUE


def _segments(path: str) -> int:
    return path.strip("/").count("/") + 1


def _byte_length(path: str) -> int:
    return len(path.encode("utf-8", "surrogateescape"))


def _make_checks(settings: RequestFiltering) -> tuple[_Check, ...]:
    checks: list[_Check] = []
    if settings.verbs.entries or not settings.verbs.allow_unlisted:
        checks.append(_verb_check(settings.verbs))
    extensions = settings.file_extensions
    if extensions.entries or not extensions.allow_unlisted:
        checks.append(_extension_check(extensions))
    if not settings.allow_high_bit_characters:
        checks.append(lambda context: None if context.path.isascii() else (404, 12))
    if settings.deny_url_sequences:
        allowed = frozenset(url.lower() for url in settings.always_allowed_urls)
        checks.append(_sequence_check(settings.deny_url_sequences, allowed))
    if settings.deny_query_string_sequences:
        checks.append(
            _query_check(
                settings.deny_query_string_sequences,
                frozenset(query.lower() for query in settings.always_allowed_query_strings),
                settings.unescape_query_string,
            )
        )
    if settings.request_limits.header_limits:
        checks.append(_header_check(settings.request_limits.header_limits))
    checks += [
        _rule_check(rule, settings.unescape_query_string) for rule in settings.filtering_rules
    ]
    return tuple(checks)


def _verb_check(verbs: FilterList) -> _Check:
    listed = {entry.value: entry.allowed for entry in verbs.entries}
    default = verbs.allow_unlisted
    return lambda context: None if listed.get(context.method, default) else (404, 6)


def _extension_check(extensions: FilterList) -> _Check:
    listed = {entry.value.lower(): entry.allowed for entry in extensions.entries}
    default = extensions.allow_unlisted

    def check(context: HttpContext) -> tuple[int, int] | None:
        # Every segment: /shell.py/x runs shell.py where a handler allows path info.
        segments = context.path.lower().split("/")
        for extension in _extensions(segments):
            if not listed.get(extension, default):
                return 404, 7
        # "." stands for what has no extension, as in IIS.
        if "." not in segments[-1] and not listed.get(".", default):
            return 404, 7
        return None

    return check


def _sequence_check(sequences: tuple[str, ...], allowed: frozenset[str]) -> _Check:
    lowered = tuple(sequence.lower() for sequence in sequences)

    def check(context: HttpContext) -> tuple[int, int] | None:
        path = context.path.lower()
        if path in allowed:
            return None
        raw = context.message.target.partition("?")[0].lower()
        if any(sequence in path or sequence in raw for sequence in lowered):
            return 404, 5
        return None

    return check


def _extensions(segments: list[str]) -> list[str]:
    return [segment[segment.rfind(".") :] for segment in segments if "." in segment]


def _query_check(sequences: tuple[str, ...], allowed: frozenset[str], unescapes: bool) -> _Check:
    lowered = tuple(sequence.lower() for sequence in sequences)

    def check(context: HttpContext) -> tuple[int, int] | None:
        query = context.query.lower()
        if not query or query in allowed:
            return None
        texts = [query, *_unescaped(query)] if unescapes else [query]
        if any(sequence in text for sequence in lowered for text in texts):
            return 404, 18
        return None

    return check


def _header_check(limits: tuple[HeaderLimit, ...]) -> _Check:
    sizes = {limit.header.lower(): limit.size_limit for limit in limits}

    def check(context: HttpContext) -> tuple[int, int] | None:
        # Fields of one name are one value, however it was cut into pieces.
        lengths: dict[str, int] = {}
        for name, value in context.fields:
            lower = name.lower()
            limit = sizes.get(lower)
            if limit is not None:
                length = lengths[lower] = lengths.get(lower, -2) + 2 + len(value)
                if length > limit:
                    return 431, 0
        return None

    return check


def _rule_check(rule: FilteringRule, unescapes: bool) -> _Check:
    strings = tuple(text.lower() for text in rule.deny_strings)
    extensions = frozenset(extension.lower() for extension in rule.applies_to)
    scanner = _scanner(rule, unescapes)

    def check(context: HttpContext) -> tuple[int, int] | None:
        if extensions and extensions.isdisjoint(_extensions(context.path.lower().split("/"))):
            return None
        if rule.deny_unescaped_percent and (
            (rule.scan_query_string and _STRAY_PERCENT.search(context.query))
            or (rule.scan_url and _STRAY_PERCENT.search(_raw_path(context)))
        ):
            return 404, 19
        texts = scanner(context)
        if any(string in text for string in strings for text in texts):
            return 404, 19
        return None

    return check


def _scanner(rule: FilteringRule, unescapes: bool) -> Callable[[HttpContext], list[str]]:
    """What collects the texts, in lower case, that a rule looks at."""
    headers = frozenset(name.lower() for name in rule.scan_headers)

    def scan(context: HttpContext) -> list[str]:
        texts: list[str] = []
        if rule.scan_url:
            texts += [context.path.lower(), _raw_path(context)]
        if rule.scan_query_string:
            query = context.query.lower()
            texts += [query, *_unescaped(query)] if unescapes else [query]
        if rule.scan_all_raw:
            texts.append(context.message.target.lower())
            texts += [f"{name}: {value}".lower() for name, value in context.fields]
        elif headers:
            texts += [v.lower() for name, v in context.fields if name.lower() in headers]
        return texts

    return scan


def _raw_path(context: HttpContext) -> str:
    return context.message.target.partition("?")[0].lower()


def _unescaped(text: str) -> tuple[str, str]:
    """What a program may make of a query: "+" is a space, escapes are UTF-8 or single bytes."""
    plain = _ESCAPE.sub(lambda match: chr(int(match.group()[1:], 16)), text.replace("+", " "))
    try:
        return plain.lower(), plain.encode("latin-1").decode("utf-8").lower()
    except UnicodeError:
        return plain.lower(), plain.lower()


class WithoutServerHeader(RequestFilter):
    """A filter where removeServerHeader is set."""

    def on_send_response(
        self, context: HttpContext, provider: HttpResponse
    ) -> RequestNotificationStatus:
        """An empty Server is how the listener is told to send none."""
        if provider.headers_being_sent:
            context.response.set_header("Server", "")
        return CONTINUE


def _make(application: HttpApplication) -> HttpModule:
    if application.settings.request_filtering.remove_server_header:
        return WithoutServerHeader(application)
    return RequestFilter(application)


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to BEGIN_REQUEST, before other modules look at the URL, and to SEND_RESPONSE."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make),
        RequestNotification.BEGIN_REQUEST | RequestNotification.SEND_RESPONSE,
        0,
    )
    registration_info.set_priority_for_request_notification(
        RequestNotification.BEGIN_REQUEST, Priority.FIRST
    )
