"""How busy are the routers right now, by their own word?

I/O: HTTP to each router instance: to its port between instances, over TLS with certificates on both sides; to its
internal port where it has none. One task for each asks for `/load` again and again; the router holds the answer back
for a period, or gives it at once when a queue forms. Whatever one of them does, the others are asked as before.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
from msgspec.structs import replace

from router.core.model import Instance, Load
from router.platforms import identity
from router.platforms.handshake import Trace, closing_handshakes

MAX_REPLY_BYTES = 8 * 2**20
GAP_S = 0.1
"""At least so long from one question to the next: ten reports a second, however often a queue forms."""
PATIENCE_S = 2.0
"""For an answer, beyond the time for which it was asked to be held back."""
SEQUENCE = "x-scoregate-load-seq"
"""The reply's header that says which state of the queues it tells; sent back as `since`."""

Identify = Callable[[], Awaitable[ssl.SSLContext]]
"""How this process shows who it is, and knows another instance. Raises PlatformError while that is not known."""

Deliver = Callable[[str, list[Load], float], None]
"""Instance id, its load of every deployment, the loop's time of the report."""

log = logging.getLogger("scoregate.autoscaler")


class _Useless(Exception):
    """An answer that is no report; the message says why."""


class Feed:
    """`follow` the instances there are, `close` it in the end."""

    def __init__(self, deliver: Deliver, identify: Identify) -> None:
        self._deliver = deliver
        self._identify = identify
        self._period_s = 1.0
        self._asking: dict[Instance, asyncio.Task[None]] = {}

    def follow(self, instances: Iterable[Instance], period_s: float) -> None:
        """From now on these are asked, for a report every period at least; those that left are not any more. Who begins
        or ceases to take requests is asked on as before."""
        self._period_s = period_s
        present = {replace(instance, serves=True) for instance in instances}
        for instance in self._asking.keys() - present:
            self._asking.pop(instance).cancel()
        for instance in present - self._asking.keys():
            self._asking[instance] = asyncio.create_task(self._ask(instance), name=f"feed of {instance.id}")

    async def close(self) -> None:
        tasks = list(self._asking.values())
        self._asking.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, instance: Instance) -> None:
        """Until it is cancelled. What is wrong is said once, and again when it changes."""
        loop = asyncio.get_running_loop()
        since: str | None = None
        fault = ""
        async with _Line(lambda: self._client(instance)) as line:
            while True:
                asked_s = loop.time()
                try:
                    client = await line.client()
                    asked_s = loop.time()
                    loads, since = await self._fetch(client, instance, since)
                    self._deliver(instance.id, loads, loop.time())
                    pause_s = GAP_S if since is not None else self._period_s
                    if fault:
                        log.info("router %s reports its load again", instance.id)
                    fault = ""
                except Exception as error:
                    since, pause_s = None, self._period_s
                    await line.close()  # the next one may have to be another's: who belongs together can change
                    if fault != (fault := _said(error)):
                        where = instance.peer or instance.admin
                        log.warning("router %s at %s does not report its load: %s", instance.id, where, fault)
                await asyncio.sleep(asked_s + pause_s - loop.time())

    async def _client(self, instance: Instance) -> httpx.AsyncClient:
        """`_fetch` has a deadline."""
        if not instance.peer:
            return httpx.AsyncClient(base_url=instance.admin, trust_env=False, timeout=None)
        return httpx.AsyncClient(base_url=instance.peer, trust_env=False, timeout=None, verify=await self._identify())

    async def _fetch(
        self, client: httpx.AsyncClient, instance: Instance, since: str | None
    ) -> tuple[list[Load], str | None]:
        """Its loads, and what to send back as `since`; None of a router that answers at once, whatever it is asked."""
        wait_s = 0.0 if since is None else self._period_s
        params = {"scope": "instance"}  # its internal port would add up what all instances have
        params |= {} if since is None else {"wait_ms": str(round(wait_s * 1000)), "since": since}
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with (
            asyncio.timeout(wait_s + PATIENCE_S),
            closing_handshakes() as trace,
            client.stream(
                "GET", "/load", params=params, headers=headers, extensions=_over_tls(instance, trace)
            ) as reply,
        ):
            if reply.status_code != 200:
                raise _Useless(f"it answers {reply.status_code}")
            content = bytearray()
            async for piece in reply.aiter_raw():
                content += piece
                if len(content) > MAX_REPLY_BYTES:
                    raise _Useless(f"its answer has more than {MAX_REPLY_BYTES} bytes")
            return msgspec.json.decode(content, type=list[Load]), reply.headers.get(SEQUENCE)


class _Line:
    """The client of one instance, opened when it is needed."""

    def __init__(self, made: Callable[[], Awaitable[httpx.AsyncClient]]) -> None:
        self._made = made
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def client(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = await self._made()
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()


def _over_tls(instance: Instance, trace: Trace) -> dict[str, Any]:
    return {"sni_hostname": identity.NAME, "trace": trace} if instance.peer else {}


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, msgspec.DecodeError | UnicodeDecodeError):
        return f"its answer is not a router's: {error}"
    return str(error) or type(error).__name__
