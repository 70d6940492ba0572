"""What do the clients of a Service get, while its Pods come and go?

I/O: `kubectl`, connections, a monotonic clock. As it is behind kube-proxy: a new connection goes to an address that is
in the Service's Endpoints, a little late, and stays there until one side closes it. Clients are strict: no request is
sent twice, whatever becomes of it, and none is sent on a connection that was seen to be closed.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from threading import Event, Thread, Timer
from typing import NamedTuple

PORT = 8080
PATIENCE_S = 15.0
LAG_S = 1.0
"""From a change of the Endpoints to when nodes send new connections elsewhere."""
FRESH = 0.5
"""The share of requests that have a connection of their own."""
MOST_KEPT = 20
MEAN_WORK_S, LONGEST_WORK_S = 0.05, 0.4


class Pods:
    """Those that were ready LAG_S ago, as the Endpoints say."""

    def __init__(self, kubeconfig: str, namespace: str, name: str) -> None:
        words = "--kubeconfig", kubeconfig, "--namespace", namespace, "get", "endpoints", name, "--watch", "-o"
        told = r'jsonpath={.subsets[*].addresses[*].ip}{"\n"}'
        self.addresses: list[str] = []
        self.are_alike = False
        self._kubectl = subprocess.Popen(["kubectl", *words, told], stdout=subprocess.PIPE, text=True)
        self._reading = Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self._kubectl.stdout is not None
        for line in self._kubectl.stdout:
            Timer(LAG_S, self._take, [sorted(line.split())]).start()

    def _take(self, addresses: list[str]) -> None:
        self.addresses = addresses

    def one(self, chance: random.Random) -> str:
        """Unevenly, unless all are alike: the last of three has half of all."""
        addresses = self.addresses
        if not addresses:
            raise ConnectionError("no Pod is ready")
        return chance.choices(addresses, None if self.are_alike else range(1, 1 + len(addresses)))[0]

    def close(self) -> None:
        self._kubectl.kill()
        self._kubectl.wait()
        self._reading.join()
        assert self._kubectl.stdout is not None
        self._kubectl.stdout.close()


class Sent(NamedTuple):
    """What became of a request. Moments are seconds of CLOCK_MONOTONIC."""

    at: float
    """When it should have been sent."""
    address: str
    """Of the Pod; "" if none was ready."""
    trouble: str
    """Its status, if that is not 200, or why there was no reply; "": none."""
    wait_s: float
    """Until its replica had it."""


@dataclass
class _Connection:
    address: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def is_open(self) -> bool:
        return not (self.reader.at_eof() or self.reader.exception() or self.writer.is_closing())


class Crowd:
    """Of one Service."""

    def __init__(self, pods: Pods, path: str, headers: Mapping[str, str]) -> None:
        self.pods = pods
        self.sent: list[Sent] = []
        self.mean_work_s = MEAN_WORK_S
        self.rate_per_s = 0.0
        """May change while it asks."""
        lines = {"host": "service", "content-type": "application/json", **headers}
        self._head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._chance = random.Random(6)
        self._numbers = count()
        self._idle: list[_Connection] = []

    @contextmanager
    def asking(self, rate_per_s: float) -> Iterator[None]:
        """From now on, until the block ends and the last request has its reply."""
        self.rate_per_s = rate_per_s
        ended = Event()
        thread = Thread(target=lambda: asyncio.run(self._ask_on(ended)))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def troubles(self) -> list[Sent]:
        return [each for each in self.sent if each.trouble]

    def __str__(self) -> str:
        waits = sorted(each.wait_s for each in self.sent if not each.trouble) or [0.0]
        failed = Counter(f"{each.address} {each.trouble}" for each in self.troubles())
        longest = f"wait {waits[len(waits) // 2]:.3f} s in the middle, {waits[-1]:.3f} s at most"
        return f"{len(self.sent)} requests, {failed.total()} failed, {longest}; {dict(failed)}"

    def around(self, moment: float, within_s: float = 10.0) -> str:
        """The longest wait after this moment."""
        sent = [each for each in self.sent if not each.trouble and moment - 1 <= each.at < moment + within_s]
        longest = max(sent, key=lambda each: each.wait_s)
        return f"longest wait {longest.wait_s:.3f} s, of one sent {longest.at - moment:+.3f} s"

    # -- inside --------------------------------------------------------------------------------------------

    async def _ask_on(self, ended: Event) -> None:
        due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while not ended.is_set():
                due += self._chance.expovariate(self.rate_per_s)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                group.create_task(self._send(due))
        while self._idle:
            self._idle.pop().writer.transport.abort()

    async def _send(self, due: float) -> None:
        address, trouble, came = "", "", due
        try:
            kept = self._kept() if self._chance.random() >= FRESH else None
            address = self.pods.one(self._chance) if kept is None else kept.address
            async with asyncio.timeout(PATIENCE_S):
                trouble, came = await self._exchange(kept or await _connected(address))
        except (OSError, EOFError, TimeoutError) as error:
            trouble = f"{'kept' if kept else 'new'}: {error!r}"
        self.sent.append(Sent(due, address, trouble, came - due))

    def _kept(self) -> _Connection | None:
        while self._idle:
            kept = self._idle.pop(self._chance.randrange(len(self._idle)))
            if kept.is_open:
                return kept
            kept.writer.transport.abort()
        return None

    async def _exchange(self, on: _Connection) -> tuple[str, float]:
        """What was wrong with the reply, and when the replica had the request."""
        is_kept = False
        try:
            work_s = min(LONGEST_WORK_S, self._chance.expovariate(1 / self.mean_work_s))
            body = json.dumps({"n": next(self._numbers), "s": work_s})
            on.writer.write(f"{self._head}content-length: {len(body)}\r\n\r\n{body}".encode())
            head = (await on.reader.readuntil(b"\r\n\r\n")).decode().lower()
            text = await on.reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
            is_kept = "connection: close" not in head
            status = head.split(" ", 2)[1]
            return ("", json.loads(text)["came"]) if status == "200" else (f"{status} {text.decode()}", 0.0)
        finally:
            if is_kept and len(self._idle) < MOST_KEPT:
                self._idle.append(on)
            else:
                on.writer.transport.abort()


async def _connected(address: str) -> _Connection:
    return _Connection(address, *await asyncio.open_connection(address, PORT))
