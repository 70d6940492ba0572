"""What does a law see, what does it say, and what is a law?

Pure. Every law, ours or a rival, takes one `Observation` of one deployment after another and answers each with a
`Decision`; so each can run live, in the simulator, and over what was recorded.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from router.core.model import Trouble


class Observation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is known of one deployment at one moment, added up over all routers."""

    at_s: float
    """Seconds of any one clock that only goes forward."""
    wished: int
    """Replicas that the platform works towards."""
    ready: int
    """Replicas that take requests."""
    starting: tuple[float, ...] = ()
    """For each replica that is not ready yet: since how many seconds, oldest first."""
    leaving: int = 0
    in_flight: int = 0
    queued: int = 0
    arrived_total: int = 0
    """Requests that asked for a slot since the observer began. This and the next three only grow."""
    finished_total: int = 0
    held_seconds_total: float = 0.0
    """How long the finished ones held their slots, summed up."""
    refused_total: int = 0
    """Requests refused for lack of room."""
    queue_wait_s: float | None = None
    """How long a request may wait before it is refused; None is without end."""
    start_s: float | None = None
    """How long a replica takes to start, as measured; None while none was seen to."""
    heard_s: float | None = None
    """Of what moment the counters are, on the clock of `at_s`: the mean of the routers' reports. None is now."""
    complete: bool = True
    """Every known router has reported lately. If not, the load is at least what is said here."""
    trouble: Trouble | None = None


class Decision(Struct, frozen=True, kw_only=True, rename="camel"):
    """How many replicas there should be, and why."""

    replicas: int
    need: int
    """What this moment's load alone asks for, before windows, guards and bounds."""
    reason: str
    """In words, with the figures that decided."""


class Law(Protocol):
    """Keeps what it has to remember of one deployment; decides nothing but by what it is shown."""

    period_s: float
    """How often it wants to look; it may be shown more."""

    def decide(self, seen: Observation) -> Decision:
        """Observations come in the order of their `at_s`."""
