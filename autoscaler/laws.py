"""Which laws are there, by name?

Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from autoscaler.law import ScoregateLaw
from autoscaler.observation import Law
from autoscaler.rivals import RIVALS
from router.core.model import ScaleSettings

LAWS: dict[str, Callable[[ScaleSettings, int], Law]] = {"scoregate": ScoregateLaw, **RIVALS}
"""Each is made of the deployment's settings and its concurrency per replica."""
