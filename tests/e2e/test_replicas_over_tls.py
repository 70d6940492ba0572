"""A replica that speaks HTTPS alone, in front of it a router as a process: is it probed, scored, and believed?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from router.tls import server_context
from tests.certificates import NAME, Authority, pair_of
from tests.front import SCORE
from tests.models import PATIENCE_S
from tests.router_process import RouterProcess, declare, routing

OURS, STRANGERS = Authority("Ours"), Authority("Somebody else's")


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n42")
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.transport.abort()


@asynccontextmanager
async def replica() -> AsyncIterator[int]:
    """Its port."""
    context = server_context(pair_of(OURS.certify()))
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as listening:
        yield listening.sockets[0].getsockname()[1]


def over_tls(file: Path, port: int, authority: Authority) -> None:
    """The endpoints file, whole, as an editor writes it."""
    fresh = declare(file.with_suffix(".new"), port)
    document: dict[str, Any] = json.loads(fresh.read_text())
    (blue,) = document["spec"]["deployments"]
    blue["tls"] = {"serverName": NAME, "caBundle": authority.pem.decode()}
    blue["readinessProbe"] = {"period": 0.1}
    fresh.write_text(json.dumps(document))
    fresh.replace(file)


async def said(router: RouterProcess, words: bytes, times: int = 1) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while router.said.count(words) < times:  # noqa: ASYNC110 - it looks at a process
            await asyncio.sleep(0.01)


async def status(router: RouterProcess) -> int:
    async with router.client() as client:
        return (await client.post(SCORE, content=b"{}")).status_code


async def test_it_becomes_ready_and_is_scored(tmp_path: Path) -> None:
    async with replica() as port:
        over_tls(tmp_path / "endpoints.yaml", port, OURS)
        async with routing(tmp_path) as router:
            await router.ready()
            assert await status(router) == 200


async def test_one_that_can_not_prove_itself_is_never_ready_and_the_log_says_why(tmp_path: Path) -> None:
    async with replica() as port:
        over_tls(tmp_path / "endpoints.yaml", port, STRANGERS)
        async with routing(tmp_path) as router:
            why = b"the replica at 127.0.0.1:%d can't be asked over TLS: its certificate is not good: " % port
            await said(router, why)
            await asyncio.sleep(1)
            assert router.said.count(why) == 1, "said once, though asked often"
            assert (await router.loads())[0]["ready"] == 0
            over_tls(tmp_path / "endpoints.yaml", port, OURS)
            await router.ready()
            assert await status(router) == 200
            over_tls(tmp_path / "endpoints.yaml", port, STRANGERS)
            await router.until_load(ready=0)
            await said(router, why, 2)
            assert router.said.count(why) == 2
