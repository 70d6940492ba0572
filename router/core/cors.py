"""What may a page of another origin do with this endpoint, in a browser?

Pure. The CORS protocol of the Fetch standard (fetch.spec.whatwg.org, section 3.3), as far as a scoring endpoint needs
it: bearer credentials are in a header that the page sets itself, so `Access-Control-Allow-Credentials` is never said.
CORS protects pages' users, not the endpoint: what is asked for without a browser is served as ever.
"""

from __future__ import annotations

from router.core.errors import CrossOriginRefused
from router.core.http1 import Header
from router.core.model import Cors

_PREFIX = b"access-control-"
_ALWAYS = frozenset((b"GET", b"HEAD", b"POST"))
"""Methods that need no permission (Fetch: CORS-safelisted methods)."""
_SAFE_HEADERS = frozenset((b"accept", b"accept-language", b"content-language", b"content-type", b"range"))
"""Those a page may set anyway (Fetch: CORS-safelisted request-headers)."""
_ASKED = b"access-control-request-method"
_ASKED_HEADERS = b"access-control-request-headers"
_MOST_HEADERS = 100
"""A browser may ask for so many at once."""


def is_preflight(method: str, fields: dict[bytes, bytes]) -> bool:
    """Whether a browser only asks what it may do. Such a request never has a credential."""
    return method == "OPTIONS" and b"origin" in fields and _ASKED in fields


def reply_headers(cors: Cors, fields: dict[bytes, bytes]) -> list[Header]:
    """What every reply of the endpoint carries, errors too."""
    origin = _allowed_origin(cors, fields.get(b"origin"))
    headers: list[Header] = [] if origin == b"*" else [(b"vary", b"Origin")]
    if origin is not None:
        headers.append((b"access-control-allow-origin", origin))
        if cors.expose_headers:
            headers.append((b"access-control-expose-headers", ", ".join(cors.expose_headers).encode()))
    return headers


def preflight_headers(cors: Cors, fields: dict[bytes, bytes]) -> list[Header]:
    """What the reply to a preflight says. Raises CrossOriginRefused, naming what may not be."""
    origin, given = _allowed_origin(cors, fields.get(b"origin")), fields.get(b"origin", b"")
    if origin is None:
        raise CrossOriginRefused("origin", _shown(given), "spec.cors.allowOrigins")
    method = fields[_ASKED]
    if method not in _ALWAYS and method.decode("latin-1") not in cors.allow_methods:
        raise CrossOriginRefused("method", _shown(method), "spec.cors.allowMethods")
    asked = fields.get(_ASKED_HEADERS, b"")
    names = _names(asked)
    for name in names:
        if not _may_set(cors, name):
            raise CrossOriginRefused("header", _shown(name), "spec.cors.allowHeaders")
    allowed = asked if "*" in cors.allow_headers else b", ".join(_listed(cors, names))
    headers: list[Header] = [
        (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", ", ".join(cors.allow_methods).encode()),
        (b"access-control-max-age", str(cors.max_age).encode()),
    ]
    return [*headers, (b"access-control-allow-headers", allowed)] if allowed else headers


def without_replicas_own(headers: list[Header]) -> list[Header]:
    """A reply's headers without what the model itself says of other origins: the router speaks for it."""
    return [header for header in headers if not header[0].startswith(_PREFIX)]


def _allowed_origin(cors: Cors, origin: bytes | None) -> bytes | None:
    """What `Access-Control-Allow-Origin` says; None where it says nothing. Compared byte for byte (RFC 6454)."""
    if "*" in cors.allow_origins:
        return b"*"
    if origin is not None and origin.decode("latin-1") in cors.allow_origins:
        return origin
    return None


def _names(asked: bytes) -> list[bytes]:
    names = [name.strip().lower() for name in asked.split(b",", _MOST_HEADERS)]
    return [name for name in names if name]


def _listed(cors: Cors, asked: list[bytes]) -> list[bytes]:
    """A browser asks for a header that is safe by name where its value is not, as a content-type of JSON is, and then
    wants to read it."""
    listed = [name.encode() for name in cors.allow_headers]
    return list(dict.fromkeys([*listed, *(name for name in asked if name in _SAFE_HEADERS)]))


def _may_set(cors: Cors, name: bytes) -> bool:
    allowed = cors.allow_headers
    if name in _SAFE_HEADERS or "*" in allowed:
        return True
    return name.decode("latin-1") in (each.lower() for each in allowed)


def _shown(value: bytes) -> str:
    return value[:100].decode("ascii", "backslashreplace")
