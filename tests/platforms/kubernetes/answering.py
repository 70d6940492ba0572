"""How is a kubeconfig got that leads to a server which answers as a test wants it to?"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from router.platforms.kubernetes.api import Api, ApiError

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Its address, without the scheme."""
    runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
    runner.app.router.add_route("*", "/{path:.*}", answer)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Login:
    """A kubeconfig that $KUBECONFIG names."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.cluster: dict[str, object] = {}
        self.user: dict[str, object] = {"token": "one"}

    def at(self, host: str) -> None:
        self.cluster["server"] = host
        self.write()

    def write(self) -> None:
        context = {"cluster": "c", "user": "u", "namespace": "models"}
        document = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": context}],
            "clusters": [{"name": "c", "cluster": self.cluster}],
            "users": [{"name": "u", "user": self.user}],
        }
        self.file.write_text(yaml.safe_dump(document))


@asynccontextmanager
async def talking(answer: Answer, login: Login) -> AsyncIterator[Api]:
    async with serving(answer) as address:
        login.at(f"http://{address}")
        async with await Api.open() as api:
            yield api


def status(code: int, reason: str, message: str, **headers: str) -> web.Response:
    body = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return web.json_response(
        body, status=code, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


async def failure(call: Awaitable[object]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await call
    return caught.value
