"""IpRestrictionModule: who may come in by address or domain, as `security/ipSecurity` says.

403.6 for an address; with another denyAction 401.503 or 404.503, or a connection that is cut. A
domain name that is denied has the sub-status 504. With enableProxyMode the addresses of
X-Forwarded-For must pass as well as the peer's own: what a client writes there cannot let it in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.config.choices import DenyAction
from was.config.security_settings import IP_SECURITY, IpSecurity
from was.config.typed import Typer
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.notifications import (
    CONTINUE,
    PENDING,
    Priority,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse_busy

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext
    from was.worker.security.ip_rules import Verdict

_VERDICT_LIMIT = 4096


class IpRestriction(HttpModule):
    """The restrictions of one application or path."""

    def __init__(self, settings: IpSecurity) -> None:
        # Imported where a section says something: most workers never need addresses parsed.
        from was.worker.security import client_address, deny_action, host_names
        from was.worker.security.ip_rules import IpRules, Verdict

        self._address, self._deny, self._names = client_address, deny_action, host_names
        self._rules = IpRules(settings)
        self.can_deny = self._rules.can_deny
        self._action = settings.deny_action
        self._looks_behind_proxies = settings.enable_proxy_mode
        self._is_known: dict[str, Verdict] = {}
        self._allowed, self._needs_names = Verdict.ALLOWED, Verdict.NEEDS_NAMES
        address = 6 if settings.deny_action is DenyAction.FORBIDDEN else 503
        self._sub_statuses = {Verdict.ADDRESS_DENIED: address, Verdict.NAME_DENIED: 504}

    def on_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Let the request pass, deny it, or look up the client's name first."""
        return self._decide(context)

    def on_post_begin_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Judge again: the request may be for another URL by now, whose restrictions these are."""
        return self._decide(context)

    def on_async_completion(
        self,
        context: HttpContext,
        notification: RequestNotification,
        is_post: bool,
        provider: object,
        completion_info: object,
    ) -> RequestNotificationStatus:
        """The name was looked up: go on with the next address, or decide."""
        return self._decide(context)

    def _decide(self, context: HttpContext) -> RequestNotificationStatus:
        addresses = [context.message.remote_addr]
        if self._looks_behind_proxies:
            try:
                addresses += self._address.forwarded_addresses(context.fields)
            except self._address.InvalidForwardedError:
                return self._deny.refuse_forwarded(context)
        for address in addresses:
            verdict = self._is_known.get(address) or self._judge(address)
            if verdict is self._needs_names:
                names = self._names.HOST_NAMES.known(address)
                if names is None:
                    return self._ask(context, address)
                verdict = self._rules.judge(address, names)
            if verdict is not self._allowed:
                return self._deny.deny(context, self._action, self._sub_statuses[verdict])
        return CONTINUE

    def _judge(self, address: str) -> Verdict:
        """The verdict without names, which follows from the address alone."""
        verdict = self._rules.judge(address)
        if len(self._is_known) >= _VERDICT_LIMIT:
            self._is_known = {}
        self._is_known[address] = verdict
        return verdict

    def _ask(self, context: HttpContext, address: str) -> RequestNotificationStatus:
        def done(_: tuple[str, ...] | None) -> None:
            context.post_completion(0)

        names = self._names
        if names.HOST_NAMES.ask(address, lambda: names.look_up(address), done):
            return PENDING
        return refuse_busy(context)


def _make(application: HttpApplication) -> HttpModule:
    view = application.settings.section(IP_SECURITY)
    if view["allowUnlisted"] and not view.items:
        return HttpModule()
    module = IpRestriction(Typer().make(IpSecurity, view))
    return module if module.can_deny else HttpModule()


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to BEGIN_REQUEST, before other modules do their work, and to its end."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make),
        RequestNotification.BEGIN_REQUEST,
        RequestNotification.BEGIN_REQUEST,
    )
    registration_info.set_priority_for_request_notification(
        RequestNotification.BEGIN_REQUEST, Priority.FIRST
    )
