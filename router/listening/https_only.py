"""What is answered on the plain port of a router that serves HTTPS?

I/O: through ASGI towards the client. Never a score: either a refusal that says where to go, or a redirect. Nothing of
a body is read, and the connection closes.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from router.core.errors import HttpsRequired, RouterError
from router.core.replies import error_reply

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::([0-9]+))?")
_HTTPS = 443
_ENDED_BEFORE = (
    "Only HTTPS is served; something in front ended it, and came here over plain HTTP: it must come over HTTPS, or "
    "this router must be started with --allow-insecure-connections."
)
"""Sent back to HTTPS, a client would go round for ever."""

Message = MutableMapping[str, Any]


class MovedToHttps(RouterError):
    """With the same method and body (RFC 9110 15.4.9)."""

    status, code, source, closes = 308, "MovedToHttps", "client", True


class HttpsOnly:
    """The ASGI app of the plain port."""

    def __init__(
        self, *, redirects: bool, port: int, tls_port: int, on_refusal: Callable[[RouterError, str], bytes]
    ) -> None:
        """`on_refusal`: told of each, and the client's address; returns an id for the reply."""
        self._redirects = redirects
        self._port = port
        self._tls_port = tls_port
        self._on_refusal = on_refusal

    async def __call__(self, scope: Message, receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"Scoregate serves HTTP; this is ASGI scope type {scope['type']}.")
        fields = dict(scope["headers"])
        url = self.url(fields.get(b"host", b""), scope["raw_path"], scope["query_string"])
        error: RouterError
        if fields.get(b"x-forwarded-proto") == b"https":
            error = HttpsRequired(_ENDED_BEFORE)
        elif self._redirects and url is not None:
            error = MovedToHttps(f"Only HTTPS is served: {url.decode()}", ((b"location", url),))
        else:
            where = "." if url is None else f": {url.decode()}"
            error = HttpsRequired(f"Only HTTPS is served{where}")
        request_id = self._on_refusal(error, (scope.get("client") or ("", 0))[0])
        headers, body = error_reply(error, [(b"x-ms-request-id", request_id), (b"x-request-id", request_id)])
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def url(self, host: bytes, path: bytes, query: bytes) -> bytes | None:
        """Where the same is served over HTTPS; None where the client did not say a host.

        Whoever named our own port reached us directly, and finds our other port as well. Any other number is that of
        something in between, such as a Service, whose other port is the usual one.
        """
        match = _HOST.fullmatch(host)
        if match is None or not path.startswith(b"/"):
            return None
        asked = int(match[2] or 80)
        port = self._tls_port if asked == self._port else _HTTPS
        colon = b"" if port == _HTTPS else b":%d" % port
        return b"https://%b%b%b%b" % (match[1], colon, path, b"?" + query if query else b"")
