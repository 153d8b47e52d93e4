"""permessage-deflate (RFC 7692): which offer of the client's is accepted, and how it is read. Pure.

wsproto folds and unfolds. What it takes for an offer is checked here before: an offer that is none
is declined (7.1), and the client has its WebSocket without.
"""

from __future__ import annotations

from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

__all__ = ["agreed_extensions", "choose_extensions"]

# A parameter, and whether it comes with a value.
_FORMS = frozenset(
    {
        ("client_max_window_bits", False),
        ("client_max_window_bits", True),
        ("client_no_context_takeover", False),
        ("server_max_window_bits", True),
        ("server_no_context_takeover", False),
    }
)
_SIZES = frozenset({"8", "9", "10", "11", "12", "13", "14", "15"})


class Deflate(PerMessageDeflate):
    """wsproto's, but control frames between fragments, and last blocks, change nothing else."""

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> CloseReason | RsvBits:
        """The head of a frame has come."""
        is_folded = self._inbound_compressed
        answer = super().frame_inbound_header(proto, opcode, rsv, payload_length)
        if opcode.iscontrol():
            self._inbound_compressed = is_folded
        return answer

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        """All of a frame has come."""
        if not self._inbound_is_compressible:
            return None
        answer = super().frame_inbound_complete(proto, fin)
        if fin and self._decompressor is not None and self._decompressor.eof:
            self._decompressor = None  # a last block (7.2.3.4): the next message begins anew
        return answer


def choose_extensions(
    offers: list[str], *, keeps_context: bool = True
) -> tuple[list[Extension], str]:
    """permessage-deflate if it is offered: the extension, and the field's value.

    `keeps_context=False`: each message is folded by itself, whoever reads or writes it
    (*_no_context_takeover, which a server may ask for without an offer: 7.1.1).
    """
    for offer in offers:
        read = _read_offer(offer)
        if not read:
            continue
        deflate = Deflate(not keeps_context, None, not keeps_context)
        accepted = deflate.accept(read)
        if accepted is None or accepted is False:
            continue
        parameters = f"; {accepted}" if isinstance(accepted, str) and accepted else ""
        return [deflate], PerMessageDeflate.name + parameters
    return [], ""


def agreed_extensions(text: str) -> list[Extension]:
    """What `choose_extensions` has chosen once, from the field's value."""
    if not text:
        return []
    deflate = Deflate()
    deflate.finalize(text)
    return [deflate]


def _read_offer(offer: str) -> str:
    """An offer as wsproto reads it, "" for one that is not to be accepted."""
    name, *parameters = (part.strip(" \t") for part in offer.split(";"))
    if name.lower() != PerMessageDeflate.name:
        return ""
    found: dict[str, str] = {}
    for parameter in parameters:
        key, equals, size = (part.strip(" \t") for part in parameter.partition("="))
        if len(size) > 1 and size[0] == size[-1] == '"':
            size = size[1:-1]
        if (key, bool(equals)) not in _FORMS or key in found or (equals and size not in _SIZES):
            return ""
        found[key] = f"{key}={size}" if equals else key
    return "; ".join([name, *found.values()])
