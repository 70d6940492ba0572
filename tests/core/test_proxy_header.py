"""The PROXY protocol's own examples, and what is none of it."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.proxy_header import MAX_BYTES, BadProxyHeader, ProxyHeader, parse

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
V4 = socket.inet_aton("192.168.0.1") + socket.inet_aton("192.168.0.11") + struct.pack("!HH", 56324, 443)
V6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    + struct.pack("!HH", 56324, 443)
)


def v2(body: bytes = V4, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", ("192.168.0.1", 56324)),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", ("255.255.255.255", 65535)),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", ("2001:db8::1", 56324)),
        (b"PROXY TCP6 ::ffff:10.0.0.1 ::1 0 443\r\n", ("10.0.0.1", 0)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
        (v2(), ("192.168.0.1", 56324)),
        (v2(V6, family=0x21), ("2001:db8::1", 56324)),
        (v2(V4 + b"\x03\x00\x04abcd"), ("192.168.0.1", 56324)),
        (v2(b"", command=0x20, family=0x00), None),
        (v2(V4, command=0x20), None),
        (v2(b"\x00" * 216, family=0x31), None),
        (v2(V4, family=0x12), None),
    ],
)
def test_both_versions(header: bytes, client: tuple[str, int] | None) -> None:
    assert parse(header) == ProxyHeader(len(header), client)
    assert parse(header + b"GET / HTTP/1.1\r\n") == ProxyHeader(len(header), client)
    for cut in range(len(header)):
        assert parse(header[:cut]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n",
        b"PROXY TCP4 1.1.1.1  1.1.1.1 1 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 1\r\n",
        b"PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 -1 1\r\n",
        b"PROXY TCP4 1.1.1.01 1.1.1.1 1 1\r\n",
        b"PROXY TCP4 1.1.1.\xb2 1.1.1.1 1 1\r\n",
        b"PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n",
        b"PROXY \r\n",
        b"PROXY " + b"x" * 120,
        v2(command=0x11),
        v2(command=0x22),
        v2(V4[:11]),
        v2(V6[:35], family=0x21),
        v2(b"\x00" * MAX_BYTES),
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        parse(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_header_a_beginning_or_refused(data: bytes) -> None:
    for start in (b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, v2()[:14]):
        try:
            found = parse(start + data)
        except BadProxyHeader:
            continue
        assert found is None or 0 < found.length <= len(start + data)
