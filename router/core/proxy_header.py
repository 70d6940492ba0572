"""Whose connection does a load balancer pass on?

Pure. The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt, of 2020): a header before the first byte of
the client's own, which says where the client is. Only who is known to send one may be believed.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

MAX_BYTES = 4_096
"""Of a header; what load balancers add to the addresses are some dozens."""

_V1_START = b"PROXY "
_V1_MAX_BYTES = 107
"""With CR LF: "the maximum line lengths the receiver must support" (section 2.1)."""
_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_HEAD = struct.Struct("!12sBBH")
Address = IPv4Address | IPv6Address

_KINDS: dict[bytes, type[Address]] = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}
_ADDRESSES: dict[int, tuple[str, type[Address]]] = {0x11: ("!4s4sHH", IPv4Address), 0x21: ("!16s16sHH", IPv6Address)}
"""By family and transport: TCP over IPv4 and IPv6."""


class BadProxyHeader(ValueError):
    """What begins the connection is no PROXY header; the message says why."""


class ProxyHeader(NamedTuple):
    length: int
    """Bytes; the client's own begin behind them."""
    client: tuple[str, int] | None
    """Address and port; None where the balancer speaks for itself, as with a health check."""


def parse(data: bytes) -> ProxyHeader | None:
    """The header at the beginning of `data`; None while more of it has to come. Raises BadProxyHeader."""
    if data[:12] == _V2_SIGNATURE[: len(data)] and data[:1]:
        return _parse_v2(data)
    if data[:6] == _V1_START[: len(data)]:
        return _parse_v1(data)
    raise BadProxyHeader("the connection does not begin with a PROXY header")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _V1_MAX_BYTES)
    if end < 0:
        if len(data) >= _V1_MAX_BYTES:
            raise BadProxyHeader(f"a PROXY line has no end within {_V1_MAX_BYTES} bytes")
        return None
    words = data[:end].split(b" ")
    if words[1:2] == [b"UNKNOWN"]:
        return ProxyHeader(end + 2, None)
    kind = _KINDS.get(words[1] if len(words) == 6 else b"")
    if kind is None:
        raise BadProxyHeader("a PROXY line must be UNKNOWN, or TCP4 or TCP6 with two addresses and two ports")
    try:
        client, _ = (kind(word.decode("ascii")) for word in words[2:4])
        port, _ = (_port(word) for word in words[4:6])
    except ValueError:
        raise BadProxyHeader("a PROXY line has an address or a port that is none") from None
    return ProxyHeader(end + 2, (_plain(client), port))


def _port(word: bytes) -> int:
    """Decimal, no leading zero (section 2.1)."""
    if not word.isdigit() or len(word) > 5 or (word[:1] == b"0" and word != b"0") or int(word) > 65_535:
        raise ValueError
    return int(word)


def _parse_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_HEAD.size:
        return None
    _, version_command, family, length = _V2_HEAD.unpack_from(data)
    size = _V2_HEAD.size + length
    if version_command not in (0x20, 0x21):
        raise BadProxyHeader(f"a PROXY header has version and command {version_command:#x}; 0x20 and 0x21 are known")
    if size > MAX_BYTES:
        raise BadProxyHeader(f"a PROXY header has {size} bytes, but at most {MAX_BYTES} are taken")
    if len(data) < size:
        return None
    if version_command == 0x20 or family not in _ADDRESSES:  # LOCAL, or what is neither TCP nor IP: "must ignore it"
        return ProxyHeader(size, None)
    layout, kind = _ADDRESSES[family]
    if length < struct.calcsize(layout):
        raise BadProxyHeader(f"a PROXY header has {length} bytes of addresses, too few for its family {family:#x}")
    source, _, port, _ = struct.unpack_from(layout, data, _V2_HEAD.size)
    return ProxyHeader(size, (_plain(kind(source)), port))


def _plain(address: Address) -> str:
    """An IPv4 client of a balancer that speaks IPv6 is that IPv4 client."""
    return str(getattr(address, "ipv4_mapped", None) or address)
