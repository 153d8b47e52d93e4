"""The notifications of the pipeline: their bits, order, priorities and return values.

Numbers are IIS's, so that what RSCA, the scoreboard and a module see is what IIS documents. The
twelve deterministic events come in the order of the bits, each followed by its post-event; the
others may happen inside any of them.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = [
    "CONTINUE",
    "DETERMINISTIC",
    "FINISH_REQUEST",
    "GLOBAL_METHODS",
    "GL_CONTINUE",
    "GL_HANDLED",
    "METHODS",
    "PENDING",
    "POST_METHODS",
    "GlobalNotification",
    "GlobalNotificationStatus",
    "Priority",
    "RequestNotification",
    "RequestNotificationStatus",
]


class RequestNotification(IntFlag):
    """RQ_ bits, for masks at registration and as the name of the running event."""

    BEGIN_REQUEST = 0x1
    AUTHENTICATE_REQUEST = 0x2
    AUTHORIZE_REQUEST = 0x4
    RESOLVE_REQUEST_CACHE = 0x8
    MAP_REQUEST_HANDLER = 0x10
    ACQUIRE_REQUEST_STATE = 0x20
    PRE_EXECUTE_REQUEST_HANDLER = 0x40
    EXECUTE_REQUEST_HANDLER = 0x80
    RELEASE_REQUEST_STATE = 0x100
    UPDATE_REQUEST_CACHE = 0x200
    LOG_REQUEST = 0x400
    END_REQUEST = 0x800
    CUSTOM_NOTIFICATION = 0x10000000
    SEND_RESPONSE = 0x20000000
    READ_ENTITY = 0x40000000
    MAP_PATH = 0x80000000


class GlobalNotification(IntFlag):
    """GL_ bits."""

    STOP_LISTENING = 0x2
    CACHE_CLEANUP = 0x4
    CACHE_OPERATION = 0x10
    HEALTH_CHECK = 0x20
    CONFIGURATION_CHANGE = 0x40
    FILE_CHANGE = 0x80
    PRE_BEGIN_REQUEST = 0x100
    APPLICATION_START = 0x200
    APPLICATION_RESOLVE_MODULES = 0x400
    APPLICATION_STOP = 0x800
    RSCA_QUERY = 0x1000
    TRACE_EVENT = 0x2000
    CUSTOM_NOTIFICATION = 0x4000
    THREAD_CLEANUP = 0x8000
    APPLICATION_PRELOAD = 0x10000
    SUSPEND_PROCESS = 0x20000


class RequestNotificationStatus(IntEnum):
    """What a module answers to a request notification."""

    CONTINUE = 0
    PENDING = 1
    FINISH_REQUEST = 2


class GlobalNotificationStatus(IntEnum):
    """What a global module answers."""

    CONTINUE = 0
    HANDLED = 1


CONTINUE = RequestNotificationStatus.CONTINUE
PENDING = RequestNotificationStatus.PENDING
FINISH_REQUEST = RequestNotificationStatus.FINISH_REQUEST
GL_CONTINUE = GlobalNotificationStatus.CONTINUE
GL_HANDLED = GlobalNotificationStatus.HANDLED


class Priority(IntEnum):
    """PRIORITY_ALIAS_: classes of modules within one event; RQ_SEND_RESPONSE turns them round."""

    FIRST = 0
    HIGH = 1
    MEDIUM = 2
    LOW = 3
    LAST = 4


# The deterministic events, in order.
DETERMINISTIC: tuple[RequestNotification, ...] = tuple(
    bit for bit in RequestNotification if bit < RequestNotification.CUSTOM_NOTIFICATION
)

# The method of a module that receives each event, and the one for its post-event.
METHODS: dict[RequestNotification, str] = {
    **{bit: f"on_{str(bit.name).lower()}" for bit in DETERMINISTIC},
    RequestNotification.CUSTOM_NOTIFICATION: "on_custom_request_notification",
    RequestNotification.SEND_RESPONSE: "on_send_response",
    RequestNotification.READ_ENTITY: "on_read_entity",
    RequestNotification.MAP_PATH: "on_map_path",
}
POST_METHODS: dict[RequestNotification, str] = {
    bit: f"on_post_{str(bit.name).lower()}" for bit in DETERMINISTIC
}
GLOBAL_METHODS: dict[GlobalNotification, str] = {
    **{bit: f"on_global_{str(bit.name).lower()}" for bit in GlobalNotification},
    GlobalNotification.SUSPEND_PROCESS: "on_suspend_process",
}
