"""UrlAuthorizationModule: who may use a URL, as `security/authorization` says.

All rules that deny come first, those of the parent before those of the child; then those that
allow. The first that is about the user and the verb decides; where none is, nobody may: 401.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.config.choices import AccessType
from was.config.security_settings import AUTHORIZATION, Authorization, AuthorizationRule
from was.config.typed import Typer
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.interfaces.hresult import E_ACCESSDENIED
from was.worker.notifications import (
    CONTINUE,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.user import HttpUser


class _Rule:
    """A rule with what can be known of it before a request."""

    __slots__ = ("allows", "anonymous", "everybody", "roles", "users", "verbs")

    def __init__(self, rule: AuthorizationRule) -> None:
        users = frozenset(name.lower() for name in rule.users)
        self.allows = rule.access_type is AccessType.ALLOW
        self.everybody = "*" in users
        self.anonymous = "?" in users
        self.users = users - {"*", "?"}
        self.roles = rule.roles
        self.verbs = frozenset(rule.verbs)

    def is_about(self, user: HttpUser | None, name: str, verb: str) -> bool:
        """Whether the rule decides for a user (`name` in lower case, "" anonymous) and a verb."""
        if self.verbs and verb not in self.verbs:
            return False
        if self.everybody:
            return True
        if not name or user is None:
            return self.anonymous
        if name in self.users:
            return True
        if self.roles and user.supports_is_in_role():
            return any(user.is_in_role(role) for role in self.roles)
        return False


class UrlAuthorization(HttpModule):
    """The rules of one application or path."""

    def __init__(self, rules: tuple[_Rule, ...]) -> None:
        self._rules = rules

    def on_authorize_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Let the user pass or refuse with 401.2."""
        user, verb = context.user, context.method
        name = user.user_name.lower() if user is not None else ""
        for rule in self._rules:
            if rule.is_about(user, name, verb):
                if rule.allows:
                    return CONTINUE
                break
        return refuse(context, 401, 2, E_ACCESSDENIED)


def _make(application: HttpApplication) -> HttpModule:
    section = Typer().make(Authorization, application.settings.section(AUTHORIZATION))
    rules = sorted(map(_Rule, section.entries), key=lambda rule: rule.allows)
    first = rules[0] if rules else None
    if first is not None and first.allows and first.everybody and not first.verbs:
        return HttpModule()
    return UrlAuthorization(tuple(rules))


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to AUTHORIZE_REQUEST."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make), RequestNotification.AUTHORIZE_REQUEST, 0
    )
