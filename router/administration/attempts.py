"""How often may somebody be refused?

Pure. A few times in a while, by address; after that it is told apart from a plain refusal, and costs neither a line in
the log nor memory. It never counts against who has the right key.
"""

from __future__ import annotations

from collections import OrderedDict, deque

MOST = 10
WINDOW_S = 10.0
MAX_ADDRESSES = 1_000


class Attempts:
    """Those that failed, the last few of each address."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def failed(self, client: str, now_s: float) -> float:
        """One more. Seconds until one would not be one too many; 0 when this one is not."""
        moments = self._failed.setdefault(client, deque())
        self._failed.move_to_end(client)
        while moments and not 0 <= now_s - moments[0] < WINDOW_S:  # what is yet to come: the clock was set back
            moments.popleft()
        if len(moments) >= MOST:
            return WINDOW_S - (now_s - moments[0])
        moments.append(now_s)
        if len(self._failed) > MAX_ADDRESSES:
            self._failed.popitem(last=False)
        return 0.0
