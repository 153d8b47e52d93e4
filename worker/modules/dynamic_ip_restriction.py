"""DynamicIpRestrictionModule: who asks for too much, as `security/dynamicIpSecurity` says.

Sub-status 501 for too many requests at a time, 502 for too many within the interval; requests that
are denied count too. Counts are this worker's, of all of a site's paths together; an IPv6 client is
its network of 64 bits. With enableProxyMode the client is who the nearest proxy says it serves
(the last address of X-Forwarded-For), since whatever stands before that anybody can write.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from was.config.security_settings import DYNAMIC_IP_SECURITY, DynamicIpSecurity
from was.config.typed import Typer
from was.log import log
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

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext
    from was.worker.security.ip_counts import Concurrency, Rates

_NAME = "DynamicIpRestrictionModule"
_AT_A_TIME, _WITHIN_THE_INTERVAL = 501, 502

# What is counted outlives a change of settings. By site, and by site and interval.
_running: dict[int, Concurrency] = {}
_rates: dict[tuple[int, int], Rates] = {}


class _Running:
    """A request that is counted as running, until its end."""

    __slots__ = ("_client", "_concurrency")

    def __init__(self, concurrency: Concurrency, client: str) -> None:
        self._concurrency = concurrency
        self._client = client

    def cleanup_stored_context(self) -> None:
        """The request is over."""
        self._concurrency.leave(self._client)


class DynamicIpRestriction(HttpModule):
    """The limits of one application or path."""

    def __init__(self, application: HttpApplication, settings: DynamicIpSecurity) -> None:
        # Imported where the section says something.
        from was.worker.security import client_address, deny_action, ip_counts

        self._address, self._deny, self._counts = client_address, deny_action, ip_counts
        self._settings = settings
        site = application.site.site_id
        self._site_name = application.site.site_name
        self._concurrency = _running.setdefault(site, ip_counts.Concurrency())
        at_a_time, rate = settings.deny_by_concurrent_requests, settings.deny_by_request_rate
        self._most_running = at_a_time.max_concurrent_requests if at_a_time.enabled else 0
        self._most_requests = rate.max_requests if rate.enabled else 0
        interval = rate.request_interval_in_milliseconds
        self._rates = _rates.setdefault((site, interval), ip_counts.Rates(interval / 1000))

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Count the request, and let it pass or deny it."""
        if context.parent_context is not None:
            return CONTINUE
        address = context.message.remote_addr
        if self._settings.enable_proxy_mode:
            try:
                forwarded = self._address.forwarded_addresses(context.fields)
            except self._address.InvalidForwardedError:
                return self._deny.refuse_forwarded(context)
            address = forwarded[-1] if forwarded else address
        excess = self._excess(context, self._counts.client_of(address))
        if not excess:
            return CONTINUE
        if self._settings.enable_logging_only_mode:
            log(
                "request_excessive",
                site=self._site_name,
                client=address,
                request=context.request_id,
                sub_status=excess,
            )
            return CONTINUE
        return self._deny.deny(context, self._settings.deny_action, excess)

    def _excess(self, context: HttpContext, client: str) -> int:
        """The sub-status of the limit that the request is beyond, 0 if of none."""
        is_beyond = False
        if self._most_running:
            count = self._concurrency.enter(client)
            running = _Running(self._concurrency, client)
            context.named_context_container.set_named_context(running, _NAME)
            is_beyond = count > self._most_running
        if self._most_requests:
            rate = self._rates.count(client, time.monotonic())
            if rate > self._most_requests and not is_beyond:
                return _WITHIN_THE_INTERVAL
        return _AT_A_TIME if is_beyond else 0


def _make(application: HttpApplication) -> HttpModule:
    settings = Typer().make(DynamicIpSecurity, application.settings.section(DYNAMIC_IP_SECURITY))
    if settings.deny_by_concurrent_requests.enabled or settings.deny_by_request_rate.enabled:
        return DynamicIpRestriction(application, settings)
    return HttpModule()


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to BEGIN_REQUEST, before other modules do their work."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make), RequestNotification.BEGIN_REQUEST, 0
    )
    registration_info.set_priority_for_request_notification(
        RequestNotification.BEGIN_REQUEST, Priority.FIRST
    )
