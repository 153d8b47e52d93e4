"""The sections of system.webServer/security that decide who may come in, typed.

Worker modules make them of PathSettings.section(…) by was.config.typed, where a section says
something: most paths say nothing, and pay nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from was.config.choices import AccessType, DenyAction

__all__ = [
    "AUTHORIZATION",
    "BASIC",
    "DEFAULT_DIGEST_REALM",
    "DIGEST",
    "DYNAMIC_IP_SECURITY",
    "IP_SECURITY",
    "USERS",
    "Authorization",
    "AuthorizationRule",
    "BasicAuthentication",
    "ConcurrencyLimit",
    "DigestAuthentication",
    "DynamicIpSecurity",
    "IpEntry",
    "IpSecurity",
    "RateLimit",
    "User",
    "Users",
]

_SECURITY = "system.webServer/security/"
AUTHORIZATION = _SECURITY + "authorization"
BASIC = _SECURITY + "authentication/basicAuthentication"
DIGEST = _SECURITY + "authentication/digestAuthentication"
DYNAMIC_IP_SECURITY = _SECURITY + "dynamicIpSecurity"
IP_SECURITY = _SECURITY + "ipSecurity"
USERS = _SECURITY + "authentication/users"

# What IIS says where digestAuthentication has no realm.
DEFAULT_DIGEST_REALM = "Digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRule:
    """One rule: who ("*" everybody, "?" the anonymous user), and with which verbs (none: all)."""

    access_type: AccessType
    users: tuple[str, ...] = field(default=(), metadata={"separator": ","})
    roles: tuple[str, ...] = field(default=(), metadata={"separator": ","})
    verbs: tuple[str, ...] = field(default=(), metadata={"separator": ","})


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """`authorization`, rules as listed: the parent's before the child's."""

    entries: tuple[AuthorizationRule, ...] = field(default=(), metadata={"xml": "."})


@dataclass(frozen=True, slots=True, kw_only=True)
class IpEntry:
    """An address, a network or a domain, and whether it may come in."""

    ip_address: str = ""
    subnet_mask: str = "255.255.255.255"
    domain_name: str = ""
    allowed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IpSecurity:
    """`ipSecurity`."""

    enable_reverse_dns: bool = False
    allow_unlisted: bool = True
    enable_proxy_mode: bool = False
    deny_action: DenyAction = DenyAction.FORBIDDEN
    entries: tuple[IpEntry, ...] = field(default=(), metadata={"xml": "."})


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyLimit:
    """`denyByConcurrentRequests`."""

    enabled: bool = False
    max_concurrent_requests: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """`denyByRequestRate`."""

    enabled: bool = False
    max_requests: int = 20
    request_interval_in_milliseconds: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicIpSecurity:
    """`dynamicIpSecurity`."""

    deny_action: DenyAction = DenyAction.FORBIDDEN
    enable_proxy_mode: bool = False
    enable_logging_only_mode: bool = False
    deny_by_concurrent_requests: ConcurrencyLimit = ConcurrencyLimit()
    deny_by_request_rate: RateLimit = RateLimit()


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuthentication:
    """`authentication/basicAuthentication`."""

    enabled: bool = False
    realm: str = ""
    default_logon_domain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestAuthentication:
    """`authentication/digestAuthentication`."""

    enabled: bool = False
    realm: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of ours: what proves a password, and roles. The digests hold for one realm."""

    name: str
    enabled: bool = True
    roles: tuple[str, ...] = field(default=(), metadata={"separator": ","})
    password_hash: str = field(default="", repr=False)
    digest_realm: str = ""
    digest_md5: str = field(default="", repr=False, metadata={"xml": "digestMD5"})
    digest_sha256: str = field(default="", repr=False, metadata={"xml": "digestSHA256"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """`authentication/users`, which is ours: IIS asks Windows."""

    entries: tuple[User, ...] = field(default=(), metadata={"xml": "."})
