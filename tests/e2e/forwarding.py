"""How does a person reach a Pod's internal port?

I/O: sockets. As `kubectl port-forward` does it: whoever connects to a port of this machine arrives in the Pod from its
own loopback.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

_IP_FREEBIND = 15
"""Of Linux; Python has no name for it yet."""


class _Forwarding(ThreadingTCPServer):
    daemon_threads = True
    to: tuple[str, int]

    def server_bind(self) -> None:
        """Also to an address that is this machine's only later."""
        self.socket.setsockopt(socket.SOL_IP, _IP_FREEBIND, 1)
        super().server_bind()


class _Connection(BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Forwarding)
        with suppress(OSError), socket.create_connection(self.server.to, source_address=("127.0.0.1", 0)) as pod:
            back = Thread(target=_copy, args=(pod, self.request), daemon=True)
            back.start()
            _copy(self.request, pod)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def forwarded(address: str, port: int, at: str = "127.0.0.1") -> Iterator[str]:
    """The URL that leads there, with a port of `at`."""
    with _Forwarding((at, 0), _Connection) as server:
        server.to = address, port
        serving = Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"http://{at}:{server.server_address[1]}"
        finally:
            server.shutdown()
            serving.join()
