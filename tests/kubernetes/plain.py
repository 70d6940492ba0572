"""What does an API server say to a client that knows nothing of it?

I/O: HTTP, with httpx, so that nothing of the router or of its libraries judges itself. Replies as they come, watches as
lines.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import httpx
import yaml

PATIENCE_S = 20.0
MERGE = "application/merge-patch+json"


class Reply(NamedTuple):
    status: int
    headers: httpx.Headers
    text: str

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.text))

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])

    @property
    def reason(self) -> str:
        """Of a `Status`; checks that it is a whole one."""
        body = self.body
        assert body["kind"] == "Status", body
        assert body["apiVersion"] == "v1", body
        assert body["status"] == "Failure", body
        assert body["code"] == self.status, body
        assert body["message"], body
        return str(body.get("reason", ""))


class Line(NamedTuple):
    type: str
    object: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    @property
    def version(self) -> int:
        return int(self.object["metadata"]["resourceVersion"])


class Watching:
    """The lines of an open watch."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self._lines = response.aiter_lines()

    async def next(self) -> Line | None:
        """None: it ended without error."""
        async with asyncio.timeout(PATIENCE_S):
            async for text in self._lines:
                if text:  # a server that ends a watch may send an empty line before
                    event = json.loads(text)
                    return Line(event["type"], event["object"])
        return None

    async def rest(self) -> list[Line]:
        lines = []
        while (line := await self.next()) is not None:
            lines.append(line)
        return lines


class PlainClient:
    """Of the current context of a kubeconfig: its CA, its client certificate or its token. `async with`."""

    def __init__(self, kubeconfig: Path, *, anonymous: bool = False, token: str = "") -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self.url = str(config["clusters"][0]["cluster"]["server"])
        user = {} if anonymous or token else config["users"][0]["user"]
        token = token or user.get("token", "")
        self._http = httpx.AsyncClient(
            base_url=self.url,
            verify=_trusting(config["clusters"][0]["cluster"], user),
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=PATIENCE_S,
            trust_env=False,
        )

    async def __aenter__(self) -> PlainClient:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def ask(
        self, method: str, path: str, body: Any = None, form: str = "application/json", **query: str
    ) -> Reply:
        """`body`: a dict, or text as it is."""
        content = body if isinstance(body, str) or body is None else json.dumps(body)
        headers = {"content-type": form} if content is not None else {}
        reply = await self._http.request(method, path, content=content, headers=headers, params=query or None)
        return Reply(reply.status_code, reply.headers, reply.text)

    async def get(self, path: str, **query: str) -> Reply:
        return await self.ask("GET", path, **query)

    async def post(self, path: str, body: Any) -> Reply:
        return await self.ask("POST", path, body)

    async def put(self, path: str, body: Any) -> Reply:
        return await self.ask("PUT", path, body)

    async def patch(self, path: str, body: Any, form: str = MERGE) -> Reply:
        return await self.ask("PATCH", path, body, form)

    async def delete(self, path: str, **options: Any) -> Reply:
        return await self.ask("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", **options})

    @asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator[Watching]:
        async with self._http.stream("GET", path, params={"watch": "1", **query}) as response:
            yield Watching(response)


def _trusting(cluster: dict[str, str], user: dict[str, str]) -> ssl.SSLContext | bool:
    if not cluster["server"].startswith("https:"):
        return False
    authority = cluster.get("certificate-authority-data")
    context = ssl.create_default_context(
        cafile=cluster.get("certificate-authority"),
        cadata=None if authority is None else base64.b64decode(authority).decode(),
    )
    with tempfile.TemporaryDirectory() as folder:
        pair = [_file(user, "client-certificate", folder), _file(user, "client-key", folder)]
        if all(pair):
            context.load_cert_chain(*pair)
    return context


def _file(user: dict[str, str], name: str, folder: str) -> str:
    """The path of what the kubeconfig names, or holds: a key can be loaded from a file only."""
    if (data := user.get(f"{name}-data")) is None:
        return user.get(name, "")
    path = Path(folder) / name
    path.touch(mode=0o600)
    path.write_bytes(base64.b64decode(data))
    return str(path)
