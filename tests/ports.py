"""How does a server of a test keep its port while it is stopped?

I/O: a loopback socket.
"""

from __future__ import annotations

import socket


def held(port: int) -> socket.socket:
    """Until it is closed: whoever connects is refused, and nobody else gets the port."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock
