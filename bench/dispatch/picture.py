"""How do waits behind many routers look?

I/O: writes an SVG or PNG file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from autoscaler.chart import Tail, draw_tails
from bench.dispatch.live import Course
from bench.dispatch.sweep import TAIL
from bench.dispatch.view import described

TITLE = "How long requests wait in the queue behind six routers"
IDEAL = "one ideal queue"


def draw(file: Path, courses: Sequence[Course], titles: Mapping[str, str]) -> None:
    """A panel for each load. Raises ChartError."""
    panels: dict[str, dict[str, Tail]] = {}
    for course in courses:
        panels.setdefault(described(course.load), {})[titles[course.contender]] = _tail(course.tail_s)
    for course in courses:
        panels[described(course.load)][IDEAL] = _tail(course.ideal_tail_s)  # nearly the same for all contenders
    draw_tails(file, panels, TITLE)


def _tail(waits_s: Sequence[float]) -> Tail:
    return [(1000 * wait_s, share) for wait_s, share in zip(waits_s, TAIL, strict=False)]
