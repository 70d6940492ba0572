"""How does the event loop of a test end, with nothing left to the garbage collector?

I/O: what the loop does itself, until its connections have heard that their other ends are closed. One that never hears
it is an unclosed transport, of which the garbage collector would tell: in another test, some day.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

HEARS_WITHIN_S = 2.0
"""What is open for longer stays so, and is told."""


class ClosingLoop(asyncio.SelectorEventLoop):
    _transports: dict[int, Any]
    """Sockets', by their numbers."""

    def close(self) -> None:
        if not self.is_closed():
            give_up_at = time.monotonic() + HEARS_WITHIN_S
            while self._open() and time.monotonic() < give_up_at:
                self.run_until_complete(asyncio.sleep(0.001))
        super().close()

    def _open(self) -> bool:
        return any(transport._sock is not None for transport in list(self._transports.values()))
