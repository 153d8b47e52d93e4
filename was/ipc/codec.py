"""Messages to bytes and back; what is no message raises IllFormedMessageError.

The decoders are typed: an unknown tag, a missing field, a wrong type or bytes left over are refused
by msgspec while it reads, so nothing half-checked gets past this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import msgspec

from was.errors import IllFormedMessageError
from was.ipc import listener_control as lc
from was.ipc import messages, program_messages
from was.ipc import worker_control as wc

ToManager: TypeAlias = wc.WorkerToManager | lc.ListenerToManager

_encoder = msgspec.msgpack.Encoder()

encode: Callable[[Any], bytes] = _encoder.encode

# What `encode` raises for values that no message can carry.
UNSENDABLE = (TypeError, ValueError, OverflowError)

_MOST, _LEAST = (1 << 63) - 1, -(1 << 63)


def cleaned(message: Any) -> Any:  # noqa: ANN401 any of ours
    """The message with what foreign code has put into it as it can be sent.

    Half characters become "?", numbers end at 64 bits, a subclass's value is its plain one. Slow:
    for what `encode` has refused.
    """
    values = {name: _plain(getattr(message, name)) for name in message.__struct_fields__}
    return type(message)(**values)


def _plain(value: Any) -> Any:  # noqa: ANN401 whatever a field holds
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, msgspec.Struct):
        return cleaned(value)
    if isinstance(value, str):
        return str.encode(value, "utf-8", "replace").decode()
    if isinstance(value, int):
        return max(_LEAST, min(int.__index__(value), _MOST))
    if isinstance(value, bytes | bytearray | memoryview):
        return b"".join([cast("bytes", value)])
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _decoder(kind: Any) -> Callable[[bytes | memoryview], Any]:  # noqa: ANN401 a type form
    decode = msgspec.msgpack.Decoder(kind).decode

    def checked(data: bytes | memoryview) -> Any:  # noqa: ANN401 as declared by `kind`
        try:
            return decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise IllFormedMessageError(str(error)) from error

    return checked


decode_to_worker: Callable[[bytes | memoryview], messages.ToWorker] = _decoder(messages.ToWorker)
decode_to_listener: Callable[[bytes | memoryview], messages.ToListener] = _decoder(
    messages.ToListener
)
decode_to_manager: Callable[[bytes | memoryview], ToManager] = _decoder(ToManager)
decode_manager_to_listener: Callable[[bytes | memoryview], lc.ManagerToListener] = _decoder(
    lc.ManagerToListener
)
decode_manager_to_worker: Callable[[bytes | memoryview], wc.ManagerToWorker] = _decoder(
    wc.ManagerToWorker
)
decode_manager_to_template: Callable[[bytes | memoryview], wc.ManagerToTemplate] = _decoder(
    wc.ManagerToTemplate
)
decode_call: Callable[[bytes | memoryview], program_messages.Call] = _decoder(program_messages.Call)
decode_notice: Callable[[bytes | memoryview], program_messages.Notice] = _decoder(
    program_messages.Notice
)
