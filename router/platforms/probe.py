"""What does a replica answer when it is asked whether it is well?

I/O: one HTTP request to the replica, on a connection of its own, over TLS where its deployment says so.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, cast

import httpx

from router.core.model import Probe, ReplicaTls, Route
from router.core.probing import Answer
from router.platforms.handshake import closing_handshakes
from router.replica_tls import secured, shortcoming
from router.tls import TlsError

_ENOUGH_BODY_BYTES = 64 * 1024
_MOST_TOLD = 1_024

log = logging.getLogger("scoregate.platform")


class Prober:
    """`async with` it. Why a replica can't be asked over TLS is said once, and again when it changes."""

    def __init__(self) -> None:
        self._plain = _client(False)  # of authorities, which are slow to read: it never speaks TLS
        self._told: dict[tuple[str, int], str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._plain.aclose()

    async def ask(self, host: str, port: int, route: Route, probe: Probe, tls: ReplicaTls | None = None) -> Answer:
        """GET the route of the replica at `host` (IPv6 without brackets) within `probe.timeout` seconds.

        A status of 200 to 399 is well, as for Kubernetes' probes; a refused or broken connection is an answer: unwell.
        """
        authority = f"[{host}]" if ":" in host else host
        where = f"{authority}:{route.port or port}{route.path}"
        try:
            async with asyncio.timeout(probe.timeout):
                if tls is None:
                    status = await _asked(self._plain, f"http://{where}", {})
                else:
                    context, name = secured(tls)
                    async with _client(context) as client, closing_handshakes() as trace:
                        extensions = {"sni_hostname": name or host, "trace": trace}
                        status = await _asked(client, f"https://{where}", extensions)
        except (TimeoutError, httpx.TimeoutException):
            return "silent"
        except TlsError as error:
            self._tell(host, port, str(error))
            return "unwell"
        except (httpx.HTTPError, UnicodeError) as error:  # the latter for a host name that DNS can't have
            if (fault := _of_tls(error)) is not None:
                self._tell(host, port, shortcoming(fault))
            return "unwell"
        self._told.pop((host, port), None)
        return "well" if 200 <= status < 400 else "unwell"

    def _tell(self, host: str, port: int, fault: str) -> None:
        if self._told.get((host, port)) != fault:
            if len(self._told) >= _MOST_TOLD:
                self._told.clear()
            self._told[host, port] = fault
            log.warning("the replica at %s:%d can't be asked over TLS: %s", host, port, fault)


def _client(verify: ssl.SSLContext | bool) -> httpx.AsyncClient:
    """A kept-alive connection would occupy a replica that serves one at a time, so there are none."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    headers = {"user-agent": "scoregate-probe", "connection": "close"}
    return httpx.AsyncClient(
        verify=verify, trust_env=False, follow_redirects=False, timeout=None, limits=limits, headers=headers
    )


async def _asked(client: httpx.AsyncClient, url: str, extensions: dict[str, Any]) -> int:
    """The status of the answer."""
    async with client.stream("GET", url, extensions=extensions) as response:
        await _hear_out(response)
    return response.status_code


def _of_tls(error: BaseException | None) -> ssl.SSLError | None:
    """What TLS had against it, beneath what httpx makes of that."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error


async def _hear_out(response: httpx.Response) -> None:
    """Take the body, within reason: a server that writes to a closed connection logs an error for each probe."""
    body_bytes = 0
    async with aclosing(cast(AsyncGenerator[bytes, None], response.aiter_raw())) as chunks:
        async for chunk in chunks:
            body_bytes += len(chunk)
            if body_bytes >= _ENOUGH_BODY_BYTES:
                return
