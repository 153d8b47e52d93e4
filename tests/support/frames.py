"""WebSocket frames as a client, or a server, writes them."""

import struct


def frame(payload=b"", opcode=1, *, fin=True, rsv=0, mask=b"abcd"):
    """A client's frame; `mask=None`: as a server's."""
    size = len(payload)
    second = 0x80 if mask else 0
    if size < 126:
        head = struct.pack("!BB", fin << 7 | rsv << 4 | opcode, second | size)
    elif size < 65536:
        head = struct.pack("!BBH", fin << 7 | rsv << 4 | opcode, second | 126, size)
    else:
        head = struct.pack("!BBQ", fin << 7 | rsv << 4 | opcode, second | 127, size)
    if mask:
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + (mask or b"") + payload
