"""How does an autoscaler run for which a test has the patience?

I/O: what `scoregate autoscaler` does. `python -m tests.e2e.hasty_autoscaler FASTER IDLE_S autoscaler run ...`: with the
router's own size it takes FASTER times less time than it ships with, and IDLE_S is a long quiet time. It does not mind
going back to a size that was too slow: beside the work that a test makes, what idle processes cost is much. All else is
as it ships.
"""

from __future__ import annotations

import sys

from autoscaler import self_loop, self_scaling
from router.cli import main

SHORTER = ("LOOK_S", "WINDOW_S", "VALID_S", "LONGEST_GAP_S", "SLOW_FOR_S", "ROOM_WITHIN_S", "ENOUGH_REQUESTS")
"""In step with each other: of a shorter window fewer requests are enough."""


def hasten(faster: float, idle_s: float) -> None:
    for module in (self_scaling, self_loop):
        for name in SHORTER:
            if name in vars(module):
                setattr(module, name, getattr(module, name) / faster)
    self_scaling.IDLE_FOR_S = idle_s
    self_scaling.COMEBACK = 2.0


if __name__ == "__main__":
    hasten(float(sys.argv[1]), float(sys.argv[2]))
    main(sys.argv[3:])
