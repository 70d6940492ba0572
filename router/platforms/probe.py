"""What does a replica answer when it is asked whether it is well?

I/O: one HTTP request to the replica, on a connection of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import httpx

from router.core.model import Probe, Route
from router.core.probing import Answer

_ENOUGH_BODY_BYTES = 64 * 1024


def probing_client() -> httpx.AsyncClient:
    """For `ask`. A kept-alive connection would occupy a replica that serves one at a time, so there are none."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    headers = {"user-agent": "scoregate-probe", "connection": "close"}
    return httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=None, limits=limits, headers=headers)


async def ask(client: httpx.AsyncClient, host: str, port: int, route: Route, probe: Probe) -> Answer:
    """GET the route of the replica at `host` (IPv6 without brackets) within `probe.timeout` seconds.

    A status of 200 to 399 is well, as for Kubernetes' probes; a refused or broken connection is an answer: unwell.
    """
    authority = f"[{host}]" if ":" in host else host
    url = f"http://{authority}:{route.port or port}{route.path}"
    try:
        async with asyncio.timeout(probe.timeout), client.stream("GET", url) as response:
            await _hear_out(response)
    except (TimeoutError, httpx.TimeoutException):
        return "silent"
    except (httpx.HTTPError, UnicodeError):  # the latter for a host name that DNS can't have
        return "unwell"
    return "well" if 200 <= response.status_code < 400 else "unwell"


async def _hear_out(response: httpx.Response) -> None:
    """Take the body, within reason: a server that writes to a closed connection logs an error for each probe."""
    body_bytes = 0
    async with aclosing(cast(AsyncGenerator[bytes, None], response.aiter_raw())) as chunks:
        async for chunk in chunks:
            body_bytes += len(chunk)
            if body_bytes >= _ENOUGH_BODY_BYTES:
                return
