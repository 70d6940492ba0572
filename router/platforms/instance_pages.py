"""What does another instance say on a page of its own?

I/O: HTTP to one instance: to its port between instances, over TLS with certificates on both sides; to its internal port
where it has no other.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

import httpx
import msgspec

from router.core.model import Instance
from router.platforms import identity
from router.platforms.handshake import closing_handshakes

MAX_REPLY_BYTES = 8 * 2**20
_HEADERS = {"accept": "application/json", "accept-encoding": "identity"}

Identify = Callable[[], Awaitable[ssl.SSLContext]]
"""How this process shows who it is, and knows another instance. Raises PlatformError while that is not known."""

T = TypeVar("T")


class UselessAnswer(Exception):
    """What came is no such page; the message says why."""


class Answer(NamedTuple, Generic[T]):
    said: T
    headers: httpx.Headers


class InstancePages:
    """`async with` it, or `close` it in the end. The connection is kept from one question to the next; close it after a
    failure, for the next one may have to show anew who this process is."""

    def __init__(self, instance: Instance, identify: Identify) -> None:
        self._instance = instance
        self._identify = identify
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Nothing, if it is. Raises PlatformError."""
        if self._client is None:
            url, verify = self._instance.admin, False
            if self._instance.peer:
                url, verify = self._instance.peer, await self._identify()  # type: ignore[assignment]
            if self._client is None:  # two may have waited at the same time
                self._client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=None, verify=verify)

    async def read(self, path: str, kind: type[T], params: Mapping[str, str] | None = None) -> Answer[T]:
        """Without a deadline: the caller has one. Raises UselessAnswer, PlatformError, httpx.HTTPError, OSError."""
        await self.open()
        assert self._client is not None
        async with (
            closing_handshakes() as trace,
            self._client.stream(
                "GET",
                path,
                params=params,
                headers=_HEADERS,
                extensions={"sni_hostname": identity.NAME, "trace": trace} if self._instance.peer else {},
            ) as reply,
        ):
            if reply.status_code != 200:
                raise UselessAnswer(f"it answers {reply.status_code}")
            content = bytearray()
            async for piece in reply.aiter_raw():
                content += piece
                if len(content) > MAX_REPLY_BYTES:
                    raise UselessAnswer(f"its answer has more than {MAX_REPLY_BYTES} bytes")
            return Answer(_decoded(content, kind), reply.headers)

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()


def why(error: Exception) -> str:
    """Nothing was read, for a line of a log."""
    return "it does not answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__


def _decoded(content: bytearray, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UselessAnswer(f"its answer is not a router's: {error}") from error
