"""What would the law of the router's own size, or other thresholds, have made of what was recorded?

Pure. Open loop: each moment's size is the one that was recorded, whatever the replayed law asks for. With the recorded
settings it says again what was decided, word for word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from autoscaler.records import Record, Sized, SizeTerms
from autoscaler.self_observation import SelfScaling, SizeDecision
from autoscaler.self_scaling import SelfScalingLaw


class Redecided(NamedTuple):
    record: Sized
    decision: SizeDecision
    """By the replayed law."""


class Thresholds(NamedTuple):
    """Instead of the recorded ones, where given."""

    mean_ms: float | None = None
    p99_ms: float | None = None

    def of(self, recorded: SelfScaling) -> SelfScaling:
        mean_ms = recorded.mean_ms if self.mean_ms is None else self.mean_ms
        p99_ms = recorded.p99_ms if self.p99_ms is None else self.p99_ms
        return replace(recorded, mean_ms=mean_ms, p99_ms=p99_ms)


def redecided(records: Iterable[Record], thresholds: Thresholds) -> Iterator[Redecided]:
    """Raises ValueError, saying which rule is broken, for records that are not of a router's size."""
    settings: SelfScaling | None = None
    law: SelfScalingLaw | None = None
    for record in records:
        if isinstance(record, SizeTerms):
            settings = thresholds.of(record.settings)
        elif not isinstance(record, Sized):
            raise ValueError("it holds decisions on a deployment: it must hold those on the router alone")
        elif settings is None:
            raise ValueError("a decision comes before the first line of kind size-terms")
        else:
            if law is None or record.seen.begins:
                law = SelfScalingLaw(settings)
            yield Redecided(record, law.decide(record.seen))
