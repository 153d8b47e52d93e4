"""BasicAuthenticationModule (RFC 7617): name and password, against `authentication/users`.

A password is checked by its scrypt hash, on a thread of its own (SlowAnswers), while the request is
PENDING; what came of it is remembered for 15 minutes, as IIS's token cache does, under a keyed hash
of name, password and stored hash: a user who is changed or removed is so at once. A name that there
is not is checked against a dummy, so that the time taken does not tell. 401.1 where it fails.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

from was.config.security_settings import BASIC, BasicAuthentication, User
from was.config.typed import Typer
from was.worker.calls.registration import (
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.interfaces.hresult import E_LOGON_FAILURE
from was.worker.notifications import (
    CONTINUE,
    PENDING,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse, refuse_busy
from was.worker.security.challenge import Challenge, register_challenge

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

# Name and password; more would only be work to hash.
_MOST_CHARACTERS = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BasicAuthenticator(Challenge):
    """The users and the realm of one application or path."""

    scheme = "basic"

    def __init__(self, application: HttpApplication, settings: BasicAuthentication) -> None:
        # Imported where the scheme is enabled: hashlib brings OpenSSL along.
        from was.worker.security import accounts, verified_passwords

        self._accounts_of, self._passwords = accounts, verified_passwords
        self._accounts = accounts.Accounts(application)
        self._realm = settings.realm
        domain = settings.default_logon_domain
        # "\" is IIS's word for no particular domain.
        self._domain = "" if domain == "\\" else domain

    def on_authenticate_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Set the user, refuse with 401.1, or pass where the client names no user this way."""
        if context.user is not None:
            return CONTINUE
        sent = self._accounts_of.credentials_of(context.fields, "basic")
        if sent is None:
            return CONTINUE
        pair = _parse(sent)
        if pair is None:
            return refuse(context, 401, 1, E_LOGON_FAILURE)
        name, password = pair
        user = self._accounts.find(self._full_name(name))
        key, verify = self._passwords.question(name, password, user)
        is_right = self._passwords.ANSWERS.known(key)
        if is_right is not None:
            return self._conclude(context, name, password, user if is_right else None)

        def done(answer: bool | None) -> None:
            confirmed = user if answer else None

            def conclude(context: HttpContext, _: object) -> RequestNotificationStatus:
                return self._conclude(context, name, password, confirmed)

            # By a routine of its own: what another module completes by mistake confirms nobody.
            context.post_completion(0, routine=conclude)

        if self._passwords.ANSWERS.ask(key, verify, done):
            return PENDING
        return refuse_busy(context)

    def challenge(self, context: HttpContext) -> None:
        """For the realm of this host."""
        accounts = self._accounts_of
        host = context.get_server_variable("SERVER_NAME") or ""
        realm = accounts.quoted(accounts.realm_of(self._realm, host))
        context.response.set_header(
            "WWW-Authenticate", f'Basic realm={realm}, charset="UTF-8"', replace=False
        )

    def _full_name(self, name: str) -> str:
        if self._domain and "\\" not in name and "@" not in name:
            return f"{self._domain}\\{name}"
        return name

    def _conclude(
        self, context: HttpContext, name: str, password: str, user: User | None
    ) -> RequestNotificationStatus:
        if user is None:
            return refuse(context, 401, 1, E_LOGON_FAILURE)
        shown = user.name
        if self._full_name(name) != name:
            shown = user.name[len(self._domain) + 1 :]
        context.user = self._accounts_of.Account(
            user, authentication_type="Basic", sent_name=name, shown=shown, password=password
        )
        return CONTINUE


def _parse(sent: str) -> tuple[str, str] | None:
    """Name and password of a Basic credential, None if it is none."""
    try:
        data = binascii.a2b_base64(sent.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    name, colon, password = text.partition(":")
    if not colon or not name or len(text) > _MOST_CHARACTERS or _CONTROL.search(text):
        return None
    return name, password


def _make(application: HttpApplication) -> HttpModule:
    settings = Typer().make(BasicAuthentication, application.settings.section(BASIC))
    return BasicAuthenticator(application, settings) if settings.enabled else HttpModule()


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe as every scheme does."""
    register_challenge(registration_info, _make)
