"""line.py: a worker is told all it must know, says that it lives, and hears when it shall go."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.config import Limits, RouterConfig
from router.listening.sockets import Descriptors
from router.platforms import ClusterSettings
from router.workers import line
from router.workers.line import LEAVE, READY, STARTING, Order, keep, receive_order, send_order
from tests.models import until


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    parents, workers = socket.socketpair()
    with parents, workers:
        yield parents, workers


def test_an_order_arrives_as_it_was(ends: tuple[socket.socket, socket.socket]) -> None:
    order = Order(
        config=RouterConfig(
            platform="kubernetes",
            state_dir=Path("state"),
            trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"),),
            limits=Limits(max_headers=7),
        ),
        cluster=ClusterSettings(namespaces=("a", "b")),
        index=3,
        descriptors=Descriptors(4, None, 5),
        parent=6,
    )
    send_order(ends[0], order)
    assert receive_order(ends[1]) == order


def test_a_worker_whose_parent_is_gone_has_no_order(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[0].send(b"\0\0")
    ends[0].close()
    with pytest.raises(EOFError, match="parent"):
        receive_order(ends[1])


class Worker:
    def __init__(self) -> None:
        self.ready = self.left = self.stopped = False

    def leave(self) -> None:
        self.left = True

    def stop(self) -> None:
        self.stopped = True


async def test_it_beats_says_that_it_is_ready_and_hears(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "BEAT_S", 0.01)
    parents, workers = ends
    worker = Worker()
    keeping = asyncio.create_task(keep(workers, lambda: worker.ready, worker.leave, worker.stop))
    reader, writer = await asyncio.open_connection(sock=parents)
    assert await reader.readexactly(3) == STARTING * 3
    worker.ready = True
    async with asyncio.timeout(10):
        assert await reader.readuntil(READY)
    writer.write(LEAVE)
    await until(lambda: worker.left)
    assert not worker.stopped
    writer.transport.abort()
    await until(lambda: worker.stopped)
    assert not keeping.done(), "its drain may take long, and nobody listens any more"
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
