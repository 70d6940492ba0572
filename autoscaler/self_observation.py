"""What does the law of the router's own size see, and what does it say?

Pure.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from router.platforms.sizing import RouterSize

Step = Literal["stay", "up", "out", "down", "in", "back"]
"""up: one more worker in each Pod; out: one more Pod; down and in: one less; back: the last step undone."""


class SelfScaling(Struct, frozen=True, kw_only=True, rename="camel"):
    """Under what the size is decided."""

    mean_ms: Annotated[float, Meta(gt=0)] = 3.0
    """A router whose own time with a request is more on average is too small."""
    p99_ms: Annotated[float, Meta(gt=0)] = 15.0
    """Or if it is more for one request of a hundred. Both are what Azure ML says that its router keeps to."""
    min_pods: Annotated[int, Meta(ge=1)] = 1
    max_pods: Annotated[int, Meta(ge=1)] = 10
    max_workers: Annotated[int, Meta(ge=1)] = 4
    """Of one Pod; on one machine the router says how many it may have."""


class SizeSeen(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is known of all routers at one moment."""

    at_s: float
    """Seconds of a clock that only goes forward."""
    begins: bool = False
    """The law knows nothing from before."""
    size: RouterSize
    """That the platform works towards."""
    has_pods: bool = False
    present: int
    """Router processes that there are."""
    is_settled: bool = True
    """As far as the platform knows, nothing of the last change is under way."""
    no_room: str = ""
    """Why Pods can't be placed."""
    conflict: str = ""
    """What else scales the routers."""
    most_workers: int = 1
    """That a Pod, or the machine, may have and has CPUs for."""
    complete: bool = False
    """What follows is known of each process, over the whole of the last WINDOW_S."""
    requests: int = 0
    mean_ms: float = 0.0
    p99_ms: float = 0.0
    """At least so much, where it is beyond what is measured."""
    cpus_used: float = 0.0
    """By all processes together."""
    cpus_each: float = 1.0
    """That one process may use, at most 1: its event loop is one thread."""


class SizeDecision(Struct, frozen=True, kw_only=True, rename="camel"):
    size: RouterSize
    step: Step
    reason: str
    """In words, with the figures that decided."""


def sized(size: RouterSize, has_pods: bool) -> str:
    """For people."""
    workers = f"{size.workers} {'worker' if size.workers == 1 else 'workers'}"
    return f"{size.pods} x {workers}" if has_pods else workers
