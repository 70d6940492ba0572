"""Which port may the next replica listen on?

I/O: binds a socket for a moment, to ask the kernel.
"""

from __future__ import annotations

import socket


class Ports:
    """Free ports of one host.

    None is given out twice until it comes back, also while nobody listens on it yet: two replicas on one port
    would answer each other's probes.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self._taken: set[int] = set()

    def take(self) -> int:
        refused: list[socket.socket] = []
        try:
            while True:
                asked = socket.create_server((self.host, 0))
                port: int = asked.getsockname()[1]
                if port not in self._taken:
                    asked.close()
                    self._taken.add(port)
                    return port
                refused.append(asked)  # stays open, so that the kernel names another
        finally:
            for asked in refused:
                asked.close()

    def give_back(self, port: int) -> None:
        self._taken.discard(port)
