"""Which keys does an OIDC issuer sign with, by its own word?

I/O: HTTPS to the issuer: its discovery document (OpenID Connect Discovery 1.0 section 4), then the key set named there.
No redirect is followed and no proxy of the environment used: what is configured is what is asked.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import NamedTuple, Self

import httpx

from router.core.claims import shown
from router.core.model import JwtSettings
from router.platforms.handshake import closing_handshakes
from router.tokens import jwks
from router.tokens.jwks import VerifyingKey
from router.tokens.signature import json_object

PATIENCE_S = 5.0
"""For both answers together."""
MAX_REPLY_BYTES = 2**20
KEPT_S = 600.0
"""A set whose issuer does not say how long it may be kept."""
SHORTEST_KEPT_S, LONGEST_KEPT_S = 60.0, 86_400.0

_HERE = ("localhost", "127.0.0.1", "::1")
_MAX_AGE = re.compile(r'(?:^|[\s,])max-age="?([0-9]{1,9})\b', re.IGNORECASE)


class Useless(Exception):
    """The issuer's keys can't be had; the message says why, for an operator."""


class Source(NamedTuple):
    """Where keys come from. Endpoints with the same source share them."""

    issuer: str
    jwks_uri: str | None
    ca_bundle: str | None

    @classmethod
    def of(cls, settings: JwtSettings) -> Self:
        return cls(settings.issuer, settings.jwks_uri, settings.ca_bundle)

    def __repr__(self) -> str:
        return f"Source({self.issuer!r})"


class Found(NamedTuple):
    keys: tuple[VerifyingKey, ...]
    kept_s: float
    """For how long they need not be asked for again."""


async def fetch(source: Source) -> Found:
    """Raises Useless, within PATIENCE_S."""
    try:
        async with asyncio.timeout(PATIENCE_S), await _client(source.ca_bundle) as client:
            reply = await _get(client, source.jwks_uri or await _discovered(client, source.issuer))
            return Found(jwks.read(reply.content), _kept_s(reply.headers))
    except jwks.NoKeys as error:
        raise Useless(str(error)) from None
    except TimeoutError:
        raise Useless(f"it does not answer within {PATIENCE_S:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
        raise Useless(str(error) or type(error).__name__) from None


async def _client(ca_bundle: str | None) -> httpx.AsyncClient:
    # In a thread: to read the system's certificates takes longer than a request.
    try:
        trusted = await asyncio.to_thread(ssl.create_default_context, cadata=ca_bundle)
    except (ssl.SSLError, ValueError, TypeError):
        raise Useless("caBundle holds no certificates in PEM") from None
    headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "scoregate"}
    return httpx.AsyncClient(verify=trusted, trust_env=False, follow_redirects=False, timeout=None, headers=headers)


async def _discovered(client: httpx.AsyncClient, issuer: str) -> str:
    """Where the issuer's keys are."""
    reply = await _get(client, issuer.removesuffix("/") + "/.well-known/openid-configuration")
    try:
        document = json_object(reply.content)
    except ValueError as error:
        raise Useless(f"its discovery document is not JSON as it must be: {error}") from None
    if document.get("issuer") != issuer:
        raise Useless(f"its discovery document is of the issuer {shown(document.get('issuer'))}, not of {issuer}")
    uri = document.get("jwks_uri")
    if not isinstance(uri, str) or not _is_as_safe(httpx.URL(uri), httpx.URL(issuer)):
        raise Useless(f"jwks_uri in its discovery document is {shown(uri)}, but it must be a URL with https")
    return uri


def _is_as_safe(uri: httpx.URL, issuer: httpx.URL) -> bool:
    """Plain HTTP only to this very machine, and only for an issuer that is there, too."""
    if not uri.host or uri.userinfo:
        return False
    both_here = uri.host in _HERE and issuer.host in _HERE
    return uri.scheme == "https" or (uri.scheme == "http" and issuer.scheme == "http" and both_here)


async def _get(client: httpx.AsyncClient, url: str) -> httpx.Response:
    """Whole. Raises Useless for any status but 200."""
    if not 0 < (httpx.URL(url).port or 443) < 65_536:
        raise Useless(f"{shown(url)} has a port that can't be")
    async with (
        closing_handshakes() as trace,
        client.stream("GET", url, extensions={"trace": trace} if url.startswith("https:") else {}) as reply,
    ):
        if reply.status_code != 200:
            raise Useless(f"{url} answers {reply.status_code}")
        content = bytearray()
        async for piece in reply.aiter_raw():
            content += piece
            if len(content) > MAX_REPLY_BYTES:
                raise Useless(f"{url} answers more than {MAX_REPLY_BYTES:,} bytes")
    return httpx.Response(200, headers=reply.headers, content=bytes(content))


def _kept_s(headers: httpx.Headers) -> float:
    said = _MAX_AGE.search(headers.get("cache-control", ""))
    return KEPT_S if said is None else max(SHORTEST_KEPT_S, min(LONGEST_KEPT_S, float(said[1])))
