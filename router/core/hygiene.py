"""Which header fields cross the router, and which does it add?

Pure. docs/contract.md section 4 is the rule for each. Hop-by-hop fields (RFC 9110 7.6.1) never cross: those it lists,
those that `Connection` names, and all of `Proxy-*`. Bodies are framed anew, so Content-Length is written by who
frames them.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from router.core.errors import HeadTooLarge
from router.core.http1 import Header, connection_options

_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings")
)
_FORWARDED = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"))
_REQUEST_OWN = frozenset(
    (
        b"content-length",
        b"expect",
        b"authorization",
        b"x-request-id",
        b"x-ms-client-request-id",
        b"traceparent",
        b"tracestate",
    )
)
_NOT_TO_REPLICA = _HOP_BY_HOP | _FORWARDED | _REQUEST_OWN
_NOT_TO_CLIENT = _HOP_BY_HOP | frozenset(
    (b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id", b"azureml-model-deployment")
)
_USUAL_CONNECTION = frozenset((b"keep-alive", b"close", b""))

_MAX_ID_BYTES = 100
_MAX_CLIENT_ID_BYTES = 40
_GUID = re.compile(rb"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")
_NOT_IN_CLIENT_ID = re.compile(rb"[^A-Za-z0-9_-]+")
_TRACEPARENT = re.compile(
    rb"(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


def by_name(headers: list[Header]) -> dict[bytes, bytes]:
    """The values by name; those of a field that came several times are one list (RFC 9110 5.2)."""
    fields = dict(headers)
    if len(fields) != len(headers):
        fields = {}
        for name, value in headers:
            fields[name] = b"%b, %b" % (fields[name], value) if name in fields else value
    return fields


def request_id(given: bytes | None, digits: bytes) -> bytes:
    """The client's `x-request-id` if it is a GUID, else one of version 4 (RFC 9562 5.4). `digits`: 32 random hex
    digits."""
    if given is not None and _GUID.fullmatch(given) is not None:
        return given
    variant = b"89ab"[digits[16] & 3]
    return b"%b-%b-4%b-%c%b-%b" % (digits[:8], digits[8:12], digits[13:16], variant, digits[17:20], digits[20:32])


def client_request_id(given: bytes) -> bytes:
    """`x-ms-client-request-id`: letters, digits, `_`, `-`; the first 40 of them."""
    return _NOT_IN_CLIENT_ID.sub(b"", given)[:_MAX_CLIENT_ID_BYTES]


def check_id_lengths(fields: dict[bytes, bytes]) -> None:
    """Raises HeadTooLarge for `x-request-id` or any `x-ms-*-request-id` over 100 bytes."""
    if max(map(len, fields.values()), default=0) <= _MAX_ID_BYTES:
        return
    for name, value in fields.items():
        if len(value) > _MAX_ID_BYTES and name.endswith(b"request-id") and name.startswith((b"x-ms-", b"x-request-id")):
            raise HeadTooLarge(f"{name.decode()} has {len(value)} characters; {_MAX_ID_BYTES} are taken.")


def trace_context(fields: dict[bytes, bytes], digits: bytes) -> bytes:
    """W3C trace context: the client's passed on, or a new one. `digits`: 48 random hex digits."""
    parent = fields.get(b"traceparent")
    if parent is None or _TRACEPARENT.fullmatch(parent) is None:
        return b"traceparent: 00-%b-%b1-01\r\n" % (digits[:32], digits[32:47])  # not all zeros, ever
    state = fields.get(b"tracestate")
    if state is None:
        return b"traceparent: %b\r\n" % parent
    return b"traceparent: %b\r\ntracestate: %b\r\n" % (parent, state)


def forwarded(client: bytes, scheme: bytes, host: bytes, before: dict[bytes, bytes] | None) -> bytes:
    """X-Forwarded-For, -Proto, -Host and Forwarded (RFC 7239), as lines.

    `before`: the fields of a trusted peer's request, which are appended to; None when the peer is not trusted.
    """
    node = b'"[%b]"' % client if b":" in client else client
    element = b'for=%b;host="%b";proto=%b' % (node, host, scheme)
    if before is not None:
        if earlier := before.get(b"x-forwarded-for"):
            client = b"%b, %b" % (earlier, client)
        if earlier := before.get(b"forwarded"):
            element = b"%b, %b" % (earlier, element)
        scheme = before.get(b"x-forwarded-proto", scheme)
        host = before.get(b"x-forwarded-host", host)
    return b"x-forwarded-for: %b\r\nx-forwarded-proto: %b\r\nx-forwarded-host: %b\r\nforwarded: %b\r\n" % (
        client,
        scheme,
        host,
        element,
    )


def is_address(text: str) -> bool:
    """Whether it is an IP address, and nothing else: no name, no port, no zone."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def to_replica(headers: list[Header], fields: dict[bytes, bytes]) -> bytes:
    """The client's header lines that go to the replica. `fields`: the same headers by name."""
    drop = _NOT_TO_REPLICA
    if fields.get(b"connection", b"").lower() not in _USUAL_CONNECTION or len(fields) != len(headers):
        drop = drop | (connection_options(headers) - {b"host"})
    lines = b"".join([b"%b: %b\r\n" % header for header in headers if header[0] not in drop])
    if b"proxy-" in lines:
        return b"".join([b"%b: %b\r\n" % header for header in headers if _crosses(header[0], drop)])
    return lines


def _crosses(name: bytes, drop: frozenset[bytes] | set[bytes]) -> bool:
    return name not in drop and not name.startswith(b"proxy-")


def to_client(headers: list[Header]) -> list[Header]:
    """The replica's headers that go to the client."""
    drop = _NOT_TO_CLIENT
    for name, value in headers:
        if name == b"connection" and value.lower() not in _USUAL_CONNECTION:
            drop = drop | connection_options(headers)
            break
    return [header for header in headers if header[0] not in drop and header[0][:6] != b"proxy-"]
