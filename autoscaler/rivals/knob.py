"""What does a deployment's one knob mean to a rival?

Pure. Every rival has a load per replica that it aims for, and bounds. Here they are the deployment's
`targetUtilizationPercentage` of its concurrency, and its `minInstances` and `maxInstances`; a rival's own windows,
delays and rates are its published defaults.
"""

from __future__ import annotations

from math import ceil

from router.core.model import ScaleSettings

ROUNDING = 1e-9
"""So much over a whole number is the floating point's, and no reason for one replica more."""


class Knob:
    """Target and bounds. A rival that cannot go `to_zero` keeps at least one replica."""

    __slots__ = ("least", "most", "target")

    def __init__(self, settings: ScaleSettings, concurrency: int, *, to_zero: bool) -> None:
        self.target = settings.target_utilization_percentage * concurrency / 100
        """Requests, served or waiting, that each replica should have."""
        self.least = settings.min_instances if to_zero else max(1, settings.min_instances)
        self.most = settings.max_instances

    def replicas_for(self, load: float) -> int:
        return ceil(load / self.target - ROUNDING)

    def within(self, replicas: int) -> int:
        return max(self.least, min(self.most, replicas))
