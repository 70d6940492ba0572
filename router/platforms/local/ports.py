"""Which port may the next replica listen on?

I/O: binds sockets, to ask the kernel and to tell other processes.

Between the moment in which a port is found free and the one in which a replica listens there, anybody may take it: the
kernel for a connection that goes out, which a router makes all the time, or another process that looks for one too. So
ports are of below those that the kernel gives by itself (ip_local_port_range), and each has a mark, an abstract Unix
socket (unix(7)), which one process of this machine can hold and which ends with it.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

_FIRST = 10_000
"""Below, services that are known by their number listen."""
_FEWEST = 1_000
"""Where fewer are left below the kernel's own, those are taken after all."""
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Ports:
    """Free ports of one host.

    None is given out twice until it comes back, also while nobody listens on it yet, and by no other process either:
    two replicas on one port would answer each other's probes.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self._marks: dict[int, socket.socket] = {}

    def take(self) -> int:
        """Raises OSError: all are taken, or this machine has no such host."""
        for port in _candidates():
            if port not in self._marks and self._mark(port):
                return port
        raise OSError(errno.EADDRINUSE, f"no free port from {_FIRST} on at {self.host}")

    def give_back(self, port: int) -> None:
        if (mark := self._marks.pop(port, None)) is not None:
            mark.close()

    def give_all_back(self) -> None:
        for port in list(self._marks):
            self.give_back(port)

    def _mark(self, port: int) -> bool:
        """First, for looking whether it is free is in the way of whoever is about to listen there."""
        with ExitStack() as unless_kept:
            mark = unless_kept.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            try:
                mark.bind(f"\0scoregate/port/{port}")
                socket.create_server((self.host, port)).close()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                return False
            unless_kept.pop_all()
            self._marks[port] = mark
            return True


def _candidates() -> Iterator[int]:
    """Who asks next begins elsewhere."""
    kernels, last = (int(word) for word in _RANGE.read_text().split())
    end = kernels if kernels >= _FIRST + _FEWEST else last + 1
    begin = random.randrange(_FIRST, end)
    yield from range(begin, end)
    yield from range(_FIRST, begin)
