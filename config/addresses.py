"""Addresses and networks as ipSecurity writes them: pure.

A mask is dotted ("255.255.0.0"), in IPv6 form ("ffff:ffff::") or a number of bits ("64").
"""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

__all__ = ["Address", "Network", "parse_address", "parse_network"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# The schema's default, which means one address of either family.
ONE_ADDRESS = "255.255.255.255"


def parse_address(text: str) -> Address:
    """An address without brackets, port or zone; IPv4 where it is IPv4 in IPv6. ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def parse_network(address: str, mask: str) -> Network:
    """The network of an entry. Raises ValueError with what is wrong."""
    base = parse_address(address)
    if mask in ("", ONE_ADDRESS):
        return ipaddress.ip_network(base)
    if mask.isdigit():
        bits = int(mask)
        if bits > base.max_prefixlen:
            raise ValueError(f"{mask} bits are more than {address} has")
    else:
        bits = _bits_of(mask, base)
    return ipaddress.ip_network((int(base), bits) if base.version == 4 else f"{base}/{bits}", False)


def _bits_of(mask: str, base: Address) -> int:
    parsed = ipaddress.ip_address(mask)
    if parsed.version != base.version:
        raise ValueError(f"the mask {mask} is not of the family of {base}")
    inverted = int(parsed) ^ ((1 << parsed.max_prefixlen) - 1)
    if inverted & (inverted + 1):
        raise ValueError(f"the mask {mask} has a hole")
    return parsed.max_prefixlen - inverted.bit_length()
