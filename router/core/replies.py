"""How does a reply become bytes for the client, and what does one of the router's own say?

Pure. A reply is framed anew, whatever framed it before: by its length where that is known, else in chunks, else
(HTTP/1.0) by the end of the connection. Every error, wherever it comes up, becomes the JSON that docs/contract.md
section 3 shows.
"""

from __future__ import annotations

import msgspec

from router.core.errors import RouterError
from router.core.http1 import Header, status_line

_NO_BODY_STATUSES = (204, 304)


class ReplyFraming:
    """One reply: `head` once, then `piece` for each piece of its body, the last with `has_more` false."""

    __slots__ = ("_drops_body", "_is_chunked", "_is_head", "_is_http_10", "_missing_bytes", "keeps_alive")

    def __init__(self, method: bytes, *, is_http_10: bool, keeps_alive: bool) -> None:
        self._is_head = method == b"HEAD"
        self._is_http_10 = is_http_10
        self._drops_body = False
        self._is_chunked = False
        self._missing_bytes: int | None = None
        self.keeps_alive = keeps_alive
        """Another request may follow; known for good once the head is made."""

    def head(self, status: int, headers: list[Header], date_line: bytes) -> bytes:
        """`date_line`: for a reply that brings no date of its own (RFC 9110 6.6.1)."""
        fields = dict(headers)
        length = fields.get(b"content-length")
        if b"connection" in fields or status == 204:
            self.keeps_alive = self.keeps_alive and fields.get(b"connection") != b"close"
            # RFC 9110 8.6: a 204 has no Content-Length
            own = (b"connection", b"content-length") if status == 204 else (b"connection",)
            headers = [header for header in headers if header[0] not in own]
        lines = [b"%b: %b\r\n" % header for header in headers]
        if b"date" not in fields:
            lines.append(date_line)
        if self._is_head or status in _NO_BODY_STATUSES:
            self._drops_body = True
        elif length is not None:
            self._missing_bytes = int(length)
        elif self._is_http_10:
            self.keeps_alive = False
        else:
            self._is_chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        if not self.keeps_alive:
            lines.append(b"connection: close\r\n")
        elif self._is_http_10:
            lines.append(b"connection: keep-alive\r\n")
        return b"%b%b\r\n" % (status_line(status), b"".join(lines))

    def piece(self, data: bytes, has_more: bool) -> bytes:
        """Raises ValueError for a body that is not as long as its Content-Length says."""
        if self._drops_body:
            return b""
        if self._is_chunked:
            if data:
                data = b"%x\r\n%b\r\n" % (len(data), data)
            return data if has_more else data + b"0\r\n\r\n"
        if self._missing_bytes is not None:
            self._missing_bytes -= len(data)
            if self._missing_bytes < 0 or (self._missing_bytes and not has_more):
                raise ValueError("the reply's body is not as long as its Content-Length says")
        return data


def error_reply(error: RouterError, own_headers: list[Header]) -> tuple[list[Header], bytes]:
    """Headers and body. `own_headers`: what every reply to this request carries."""
    body = msgspec.json.encode({"error": {"code": error.code, "message": error.message}})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *own_headers,
        *error.headers,
    ]
    if error.closes:
        headers.append((b"connection", b"close"))
    return headers, body
