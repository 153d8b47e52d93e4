"""DigestAuthenticationModule (RFC 7616): proof of a password without sending it.

Offered are SHA-256 and MD5, each where a user has a hash for it and the realm (`was user add
--digest`). A nonce is good for five minutes; every request of it has its own count, taken once. A
right answer to a nonce that is good no more is told `stale`, and the client comes again without
asking anybody for a password. 401.1 for a wrong answer, 400 for one about another URL.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from was.config.security_settings import (
    DEFAULT_DIGEST_REALM,
    DIGEST,
    DigestAuthentication,
    User,
)
from was.config.typed import Typer
from was.worker.calls.registration import (
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.interfaces.hresult import E_ACCESSDENIED, E_INVALIDARG, E_LOGON_FAILURE
from was.worker.notifications import (
    CONTINUE,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse
from was.worker.security.challenge import Challenge, register_challenge

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext
    from was.worker.security.digest import Nonces


# By secret: all paths of the worker take one another's nonces. Other users make another secret.
_MOST_BOOKS = 64
_books: dict[bytes, Nonces] = {}
_own_secret: list[bytes] = []


class DigestAuthenticator(Challenge):
    """The users and the realm of one application or path."""

    scheme = "digest"

    def __init__(self, application: HttpApplication, settings: DigestAuthentication) -> None:
        # Imported where the scheme is enabled: hashlib brings OpenSSL along.
        from was.worker.security import accounts, digest

        self._accounts_of, self._digest = accounts, digest
        self._accounts = accounts.Accounts(application)
        self._realm = accounts.realm_of(settings.realm, DEFAULT_DIGEST_REALM)
        users = [u for u in self._accounts.all() if u.digest_realm == self._realm]
        hashes = {"SHA-256": [u.digest_sha256 for u in users], "MD5": [u.digest_md5 for u in users]}
        # Where nobody has any, the older one is offered, as IIS would.
        self._offered = [name for name, known in hashes.items() if any(known)] or ["MD5"]
        self._nonces = _book(application.is_multiprocess, [*hashes["SHA-256"], *hashes["MD5"]])

    def on_authenticate_request(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Set the user, refuse with 401.1, or pass where the client names no user this way."""
        if context.user is not None:
            return CONTINUE
        sent = self._accounts_of.credentials_of(context.fields, "digest")
        if sent is None:
            return CONTINUE
        answer = self._digest.parse_response(sent)
        if answer is None or answer.realm != self._realm or answer.algorithm not in self._offered:
            return refuse(context, 401, 1, E_LOGON_FAILURE)
        user = self._accounts.find(_text(answer.user))
        ha1 = self._hash_of(user, answer.algorithm)
        # Also for nobody, so that the time taken does not tell.
        asked = context.root_context.message
        is_right = answer.matches(ha1 or "-", asked.method)
        if user is None or not ha1 or not is_right:
            return refuse(context, 401, 1, E_LOGON_FAILURE)
        if not _is_about(answer.uri, asked.target):
            return refuse(context, 400, 0, E_INVALIDARG)
        if self._nonces.take(answer.nonce, answer.count) is self._digest.Freshness.STALE:
            self._ask(context, is_stale=True)
            return refuse(context, 401, 2, E_ACCESSDENIED)
        context.user = self._accounts_of.Account(
            user, authentication_type="Digest", sent_name=_text(answer.user), shown=user.name
        )
        return CONTINUE

    def challenge(self, context: HttpContext) -> None:
        """With a nonce that was issued to nobody before."""
        self._ask(context, is_stale=False)

    def _hash_of(self, user: User | None, algorithm: str) -> str:
        if user is None or user.digest_realm != self._realm:
            return ""
        return user.digest_sha256 if algorithm == "SHA-256" else user.digest_md5

    def _ask(self, context: HttpContext, *, is_stale: bool) -> None:
        nonce = self._nonces.issue()
        stale = ", stale=true" if is_stale else ""
        realm = self._accounts_of.quoted(self._realm)
        for algorithm in self._offered:
            context.response.set_header(
                "WWW-Authenticate",
                f'Digest realm={realm}, qop="auth", algorithm={algorithm}, nonce="{nonce}", '
                f"charset=UTF-8{stale}",
                replace=False,
            )


def _book(is_shared: bool, hashes: list[str]) -> Nonces:
    """The nonces of this worker; with others in the pool, those that all of them can check.

    The workers of a web garden have the users' hashes in common, and nobody else knows them. What
    one of them has counted the others do not know: there a request could be taken once by each.
    """
    import hashlib
    import os

    from was.worker.security.digest import Nonces

    known = [h for h in hashes if h]
    if is_shared and known:
        secret = hashlib.sha256("\n".join(["was.digest.nonces", *known]).encode()).digest()
    else:
        if not _own_secret:
            _own_secret.append(os.urandom(32))
        secret = _own_secret[0]
    if secret not in _books and len(_books) >= _MOST_BOOKS:
        del _books[next(iter(_books))]
    return _books.setdefault(secret, Nonces(secret, now=time.monotonic))


def _text(name: str) -> str:
    """A name that came as UTF-8 in a field, which is Latin-1 text."""
    try:
        return name.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return name


def _is_about(uri: str, target: str) -> bool:
    """Whether the answer is about the URL that was asked for, in either form of a target."""
    return uri == target or _path_of(uri) == _path_of(target)


def _path_of(target: str) -> str:
    scheme, separator, rest = target.partition("://")
    if not separator or "/" in scheme or "?" in scheme:
        return target
    return "/" + rest.partition("/")[2]


def _make(application: HttpApplication) -> HttpModule:
    settings = Typer().make(DigestAuthentication, application.settings.section(DIGEST))
    return DigestAuthenticator(application, settings) if settings.enabled else HttpModule()


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe as every scheme does."""
    register_challenge(registration_info, _make)
