"""What do a parent and its worker say to each other?

I/O: one pair of sockets for each worker. First the parent sends the order; then the worker says every second that its
event loop turns, and whether it is ready; the parent says when it shall leave. When the parent is gone, however it
ended, the line is closed, and the worker stops.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from router.config import RouterConfig
from router.listening.sockets import Descriptors
from router.platforms import ClusterSettings
from router.pulse import pulse

BEAT_S = 1.0
STARTING, READY, LEAVE = b"s", b"r", b"l"
_LENGTH = struct.Struct("!I")


@dataclass(frozen=True, kw_only=True)
class Order:
    """All that a worker is told."""

    config: RouterConfig
    cluster: ClusterSettings
    index: int
    descriptors: Descriptors
    parent: int
    """Its process id."""


def send_order(line: socket.socket, order: Order) -> None:
    """The line's buffer holds it: nobody has to read yet."""
    content = pickle.dumps(order)
    line.sendall(_LENGTH.pack(len(content)) + content)


def receive_order(line: socket.socket) -> Order:
    """Raises EOFError where the parent has gone."""
    (length,) = _LENGTH.unpack(_received(line, _LENGTH.size))
    order = pickle.loads(_received(line, length))  # from the process that started this one, over a line of its own
    assert isinstance(order, Order)
    return order


async def keep(
    line: socket.socket, is_ready: Callable[[], bool], leave: Callable[[], None], stop: Callable[[], None]
) -> None:
    """The worker's side, for as long as it lives."""
    reader, writer = await asyncio.open_connection(sock=line)
    listening = asyncio.create_task(_listen(reader, leave, stop))
    try:
        while True:
            writer.write(READY if is_ready() else STARTING)
            await pulse(BEAT_S)
    finally:
        listening.cancel()
        writer.transport.abort()


async def _listen(reader: asyncio.StreamReader, leave: Callable[[], None], stop: Callable[[], None]) -> None:
    try:
        while await reader.read(1) == LEAVE:
            leave()
    except ConnectionError:  # as good as closed
        pass
    stop()


def _received(line: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        if not (piece := line.recv(count - len(content))):
            raise EOFError("the parent of this worker has gone")
        content += piece
    return content
