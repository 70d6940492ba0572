"""In which ways can a request fail, and what is the client told?

Pure. One class for each way; `router.app` turns any of them into the one JSON reply. Codes and texts follow Azure ML's
router where it has them (docs/contract.md); clients match on them.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

Source = Literal["client", "router", "replica"]
Headers = tuple[tuple[bytes, bytes], ...]

MAX_REASON_LENGTH = 500
"""Characters of a reason that comes from outside: a platform's, or a model's own last words."""


class RouterError(Exception):
    """A request that ends with a reply of the router's own. `message` is shown to the client: no secrets, no traces."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "InternalError"
    source: ClassVar[Source] = "router"
    closes: ClassVar[bool] = False
    """The connection can't be used further, because the rest of the request was not read."""
    nothing_sent: ClassVar[bool] = False
    """No byte of the request reached a replica: safe to send elsewhere, whatever the method."""
    unanswered: ClassVar[bool] = False
    """Sent, but no byte of a reply came: safe to send elsewhere only if the request is idempotent (RFC 9110 9.2.2)."""

    def __init__(self, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.message = message
        self.headers = headers


class InternalFault(RouterError):
    """A fault of the router itself."""

    def __init__(self) -> None:
        super().__init__("The router failed to handle this request; its log says why.")


class BadRequest(RouterError):
    status, code, source, closes = 400, "BadRequest", "client", True


class Unauthorized(RouterError):
    """`presented`: a credential was sent, and is wrong (RFC 6750 section 3: then, and only then, an error code)."""

    status, code, source = 401, "Unauthorized", "client"

    def __init__(self, message: str, *, presented: bool) -> None:
        challenge = b'Bearer error="invalid_token"' if presented else b"Bearer"
        super().__init__(message, ((b"www-authenticate", challenge),))


class Forbidden(RouterError):
    """The credential is good, but not for this."""

    status, code, source = 403, "Forbidden", "client"

    def __init__(self, message: str, *, scopes: tuple[str, ...] = ()) -> None:
        """`scopes`: those that would do (RFC 6750 section 3.1)."""
        wanted = b' scope="%b"' % " ".join(scopes).encode() if scopes else b""
        challenge = b'Bearer error="insufficient_scope"' + (b"," + wanted if wanted else b"")
        super().__init__(message, ((b"www-authenticate", challenge),))


class CrossOriginRefused(RouterError):
    """A preflight asked for what pages of other origins may not do. `thing`: origin, method or header."""

    status, code, source = 403, "CrossOriginRefused", "client"

    def __init__(self, thing: str, value: str, setting: str) -> None:
        super().__init__(f"Pages of other origins may not use the {thing} {value}: {setting} does not have it.")


class HttpsRequired(RouterError):
    """Plain HTTP where only HTTPS is served."""

    status, code, source, closes = 403, "HttpsRequired", "client", True


class NotFound(RouterError):
    status, code, source = 404, "NotFound", "client"


class NoRoute(NotFound):
    """The endpoint exists, but no deployment of it may take this request."""

    code = "NoRoute"

    def __init__(self) -> None:
        super().__init__(
            "No route found or no valid deployments to route to, please check that the endpoint has at least one "
            "deployment with positive weight values or use a deployment specific header to route."
        )


class SwaggerNotFound(NotFound):
    code = "SwaggerNotFound"

    def __init__(self) -> None:
        super().__init__("Swagger not found")


class ClientTooSlow(RouterError):
    status, code, source, closes = 408, "RequestTimeout", "client", True


class PayloadTooLarge(RouterError):
    status, code, source, closes = 413, "PayloadTooLarge", "client", True

    def __init__(self, limit_bytes: int, declared_bytes: int | None = None) -> None:
        size = "more" if declared_bytes is None else f"{declared_bytes:,} bytes"
        super().__init__(f"The request body may have {limit_bytes:,} bytes; this one has {size}.")


class ExpectationFailed(RouterError):
    status, code, source, closes = 417, "ExpectationFailed", "client", True


class TooManyRequests(RouterError):
    """Over the rate limit of the key. `wait_s`: until the next one would be taken."""

    status, code, source = 429, "TooManyRequests", "client"

    def __init__(self, endpoint: str, consumer: str, wait_s: float) -> None:
        message = f"Key {consumer} of endpoint {endpoint} is over its rate limit."
        super().__init__(message, ((b"retry-after", str(max(1, math.ceil(wait_s))).encode()),))


class HeadTooLarge(RouterError):
    status, code, source, closes = 431, "RequestHeaderFieldsTooLarge", "client", True


class ClientGone(RouterError):
    """For the access log and the metrics only: there is nobody left to tell."""

    status, code, source = 499, "ClientClosedRequest", "client"

    def __init__(self) -> None:
        super().__init__("The client closed the connection before it had its reply.")


class NotImplementedHere(RouterError):
    status, code, source, closes = 501, "NotImplemented", "client", True


class ReplicaUnreachable(RouterError):
    """No connection to the replica came about."""

    status, code, source, nothing_sent = 502, "ReplicaUnreachable", "replica", True


class ReplicaClosed(RouterError):
    """The connection ended after the request, or a part of it, had been sent, and before a byte of the reply."""

    status, code, source, unanswered = 502, "ReplicaClosed", "replica", True

    def __init__(self) -> None:
        super().__init__("Replica closed connection before replying")


class ReplicaMisbehaved(RouterError):
    """The reply breaks HTTP, or ended before it was whole."""

    status, code, source = 502, "ReplicaMisbehaved", "replica"


class Unavailable(RouterError):
    """No room. `wait_s`: estimated seconds until there is some, None when nothing is known."""

    status, code = 503, "Overloaded"

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        seconds = 1 if wait_s is None else max(1, math.ceil(wait_s))
        super().__init__(message, ((b"retry-after", str(seconds).encode()),))


class Overloaded(Unavailable):
    def __init__(self, endpoint: str, wait_s: float | None) -> None:
        super().__init__(f"Too many requests for service {endpoint} (overloaded)", wait_s)


class NoReadyReplicas(Unavailable):
    """`reason`: why there is none, in words from anywhere; shown as one line of bounded length."""

    code = "NoReadyReplicas"

    def __init__(self, endpoint: str, reason: str = "") -> None:
        message, reason = f"No ready replicas for service {endpoint}", _one_line(reason)
        super().__init__(f"{message}: {reason}" if reason else message)


class CannotVerify(Unavailable):
    """Nobody can tell at present whether a token is good: what that takes is out of reach."""

    code = "CannotVerify"


class TooManyConnections(Unavailable):
    code, closes = "TooManyConnections", True

    def __init__(self, limit: int) -> None:
        super().__init__(f"The router holds {limit:,} client connections, all in use; it takes no more.")


class RequestTimeout(RouterError):
    status, code, source = 504, "RequestTimeout", "replica"

    def __init__(self, timeout_ms: int) -> None:
        super().__init__(f"The deployment gives a request {timeout_ms:,} ms; no reply was complete by then.")


def _one_line(text: str) -> str:
    """Without control characters, line breaks and what turns the direction of writing."""
    words = "".join(each if each.isprintable() else " " for each in text[: 4 * MAX_REASON_LENGTH]).split()
    line = " ".join(words)
    return line if len(line) <= MAX_REASON_LENGTH else line[: MAX_REASON_LENGTH - 1] + "…"
