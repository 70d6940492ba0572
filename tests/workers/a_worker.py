"""What does a worker do that serves nothing? Run in its place, so that tests of its parent are quick.

I/O: the line to its parent, and a file for each, named by its number and process id, as long as it lives.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

from router.workers.line import LEAVE, READY, receive_order


def main() -> None:
    line = socket.socket(fileno=int(sys.argv[1]))
    order = receive_order(line)
    folder = order.config.state_dir
    if (folder / "fails").exists():
        sys.exit(3)
    file = folder / f"{order.index}-{os.getpid()}"
    file.write_text(str(order.descriptors))
    ended = lambda *_: _end(file)  # noqa: E731 - as a signal takes it
    signal.signal(signal.SIGTERM, ended)
    line.settimeout(0.1)
    while True:
        if not (folder / "silent").exists():
            line.send(READY)
        try:
            if line.recv(1) in (LEAVE, b""):
                _end(file)
        except TimeoutError:
            time.sleep(0)


def _end(file: Path) -> None:
    file.unlink()
    sys.exit(0)


main()
