"""How does an OIDC issuer run in a test as it does for a user: as a process of its own?

I/O: processes, loopback sockets. `python -m tests.tokens.issuer_process PORT` is the issuer of tests.tokens.issuer,
over plain HTTP. It does what comes as a line on standard input, `rotate ALGORITHM KEEPS`, says its URL on standard
output, once at the start and again after each line, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.tokens.issuer import CLIENT, SECRET, TOKEN, OidcIssuer

ROOT = Path(__file__).parents[2]
ANSWERS_WITHIN_S = 40.0


class IssuerProcess:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.url = ""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def started(self) -> None:
        self.url = await self._said()

    async def rotate(self, algorithm: str, *, keeps: int = 0) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"rotate {algorithm} {keeps}\n".encode())
        await self._said()

    async def grant(self, client: httpx.AsyncClient, **form: str) -> str:
        """An access token, by `client_credentials`."""
        fields = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET, **form}
        granted: dict[str, Any] = (await client.post(self.url + TOKEN, data=fields)).raise_for_status().json()
        return str(granted["access_token"])

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _said(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            line = (await self._process.stdout.readline()).decode().strip()
        assert line, "the issuer has ended"
        return line


@asynccontextmanager
async def issuing(port: int = 0) -> AsyncIterator[IssuerProcess]:
    """`port`: 0 for a free one."""
    argv = [sys.executable, "-m", "tests.tokens.issuer_process", str(port)]
    one = IssuerProcess(await asyncio.create_subprocess_exec(*argv, cwd=ROOT, stdin=PIPE, stdout=PIPE))
    try:
        await one.started()
        yield one
    finally:
        await one.kill()


def main() -> None:
    with OidcIssuer(tls=False, port=int(sys.argv[1])) as issuer:
        _say(issuer.url)
        for line in sys.stdin:
            _, algorithm, keeps = line.split()
            issuer.rotate(algorithm, keeps=int(keeps))
            _say(issuer.url)


def _say(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
