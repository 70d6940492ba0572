"""What is recorded of a decision?

Pure. A file of records (journal.py) begins with the terms under which its decisions are made, and has them again when
they change: it is enough to explain and to replay what happened.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from autoscaler.observation import Decision, Observation
from autoscaler.self_observation import SelfScaling, SizeDecision, SizeSeen
from router.core.model import ScaleSettings

EpochS = Annotated[float, Meta(ge=0, le=253_402_214_400)]
"""Seconds since the epoch, before the year 10000: what a calendar can show."""
Outcome = Literal["keep", "ask", "conflict"]
"""What became of a decision: nothing to change, the platform is asked, or another scales this deployment."""


class Terms(Struct, frozen=True, kw_only=True, tag="terms", rename="camel"):
    """Under what the decisions after this record are made."""

    time: EpochS
    deployment: str
    """Its key."""
    concurrency: int
    """Requests that one replica holds at once."""
    settings: ScaleSettings


class Decided(Struct, frozen=True, kw_only=True, tag="decision", rename="camel", omit_defaults=True):
    """One decision, with all that it was made of."""

    time: EpochS
    seen: Observation
    decision: Decision
    outcome: Outcome = "keep"
    fault: str = ""
    """Why the platform refused what was asked for before."""


class SizeTerms(Struct, frozen=True, kw_only=True, tag="size-terms", rename="camel"):
    """As `Terms`, of the router's own size."""

    time: EpochS
    settings: SelfScaling


class Sized(Struct, frozen=True, kw_only=True, tag="size", rename="camel", omit_defaults=True):
    """One decision on it, with all that it was made of."""

    time: EpochS
    seen: SizeSeen
    decision: SizeDecision
    outcome: Outcome = "keep"
    fault: str = ""
    """Why the platform refused what was asked for before."""


Record = Terms | Decided | SizeTerms | Sized
"""Whatever a line may be."""
