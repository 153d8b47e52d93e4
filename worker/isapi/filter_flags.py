"""Numbers of httpfilt.h."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = ["Denied", "FilterStatus", "Notify", "Request"]


class Notify(IntFlag):
    """SF_NOTIFY_: the events, the ports, and one order."""

    SECURE_PORT = 0x00000001
    NONSECURE_PORT = 0x00000002
    SEND_RESPONSE = 0x00000040
    END_OF_REQUEST = 0x00000080
    END_OF_NET_SESSION = 0x00000100
    LOG = 0x00000200
    SEND_RAW_DATA = 0x00000400
    ACCESS_DENIED = 0x00000800
    URL_MAP = 0x00001000
    AUTHENTICATION = 0x00002000
    PREPROC_HEADERS = 0x00004000
    READ_RAW_DATA = 0x00008000
    ORDER_LOW = 0x00020000
    ORDER_MEDIUM = 0x00040000
    ORDER_HIGH = 0x00080000
    AUTH_COMPLETE = 0x04000000


class Denied(IntFlag):
    """SF_DENIED_: why a 401."""

    LOGON = 0x00000001
    RESOURCE = 0x00000002
    FILTER = 0x00000004
    APPLICATION = 0x00000008
    BY_CONFIG = 0x00010000


class FilterStatus(IntEnum):
    """SF_STATUS_REQ_: what HttpFilterProc answers."""

    FINISHED = 0x08000000
    FINISHED_KEEP_CONN = 0x08000001
    NEXT_NOTIFICATION = 0x08000002
    HANDLED_NOTIFICATION = 0x08000003
    ERROR = 0x08000004
    READ_NEXT = 0x08000005


class Request(IntEnum):
    """SF_REQ_: what a filter may ask of ServerSupportFunction."""

    SEND_RESPONSE_HEADER = 0
    ADD_HEADERS_ON_DENIAL = 1
    SET_NEXT_READ_SIZE = 2
    SET_PROXY_INFO = 3
    GET_CONNID = 4
    SET_CERTIFICATE_INFO = 5
    GET_PROPERTY = 6
    NORMALIZE_URL = 7
    DISABLE_NOTIFICATIONS = 8
