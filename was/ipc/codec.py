"""Messages to bytes and back; what is no message raises IllFormedMessageError.

The decoders are typed: an unknown tag, a missing field, a wrong type or bytes left over are refused
by msgspec while it reads, so nothing half-checked gets past this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from was.errors import IllFormedMessageError
from was.ipc import listener_control as lc
from was.ipc import messages, program_messages
from was.ipc import worker_control as wc

ToManager: TypeAlias = wc.WorkerToManager | lc.ListenerToManager

_encoder = msgspec.msgpack.Encoder()

encode: Callable[[Any], bytes] = _encoder.encode


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
