"""What does the law of the router's own size meet in tests?

Pure. Moments as short as they can be said; and a whole installation under a load, whose time to route grows with the
CPU that its processes use, as a queue for one server does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from autoscaler.self_observation import SelfScaling, SizeDecision, SizeSeen
from autoscaler.self_scaling import LOOK_S, SelfScalingLaw
from router.platforms.sizing import RouterSize

SERVICE_S = 0.0004
"""CPU that one request costs."""
P99_OVER_MEAN = 4.6
"""Of an exponential sojourn time."""
WINDOW_LOOKS = 6


def size(workers: int = 1, pods: int = 3) -> RouterSize:
    return RouterSize(workers=workers, pods=pods)


def seen(at_s: float = 0.0, of: RouterSize | None = None, **more: Any) -> SizeSeen:
    """A moment of three Pods that is known whole, and in which there is nothing to do."""
    of = of or size()
    known = {
        "present": of.processes,
        "complete": True,
        "requests": 100_000,
        "mean_ms": 1.0,
        "p99_ms": 4.0,
        "cpus_used": 0.5 * of.processes,
        "most_workers": 4,
        "has_pods": True,
    }
    return SizeSeen(at_s=at_s, size=of, **{**known, **more})


class Moment(NamedTuple):
    seen: SizeSeen
    decision: SizeDecision


class Installation:
    """Obeys its law. `room`: processes that can be placed; what is beyond waits without a place."""

    def __init__(
        self,
        start: RouterSize,
        settings: SelfScaling,
        *,
        has_pods: bool = True,
        room: int = 1000,
        settles_after: int = 2,
    ) -> None:
        self.size = start
        self.law = SelfScalingLaw(settings)
        self.story: list[Moment] = []
        self._settings = settings
        self._has_pods = has_pods
        self._room = room
        self._settles_after = settles_after
        self._since_step = WINDOW_LOOKS
        self._at_s = 0.0

    def run(
        self, looks: int, work: Callable[[int], float], partial: Callable[[int], bool] = lambda look: False
    ) -> None:
        """`work`: the CPUs that the load needs at each look."""
        for look in range(looks):
            moment = self._moment(work(look), partial(look))
            decision = self.law.decide(moment)
            self.story.append(Moment(moment, decision))
            self._since_step += 1
            if decision.size != self.size:
                self.size, self._since_step = decision.size, 0
            self._at_s += LOOK_S

    @property
    def steps(self) -> list[str]:
        return [each.decision.step for each in self.story if each.decision.step != "stay"]

    def _moment(self, work: float, is_partial: bool) -> SizeSeen:
        placed = min(self.size.processes, self._room)
        has_room = placed == self.size.processes
        is_settled = has_room and self._since_step >= self._settles_after
        used = min(0.99, work / placed)
        mean_ms = 1000 * SERVICE_S / (1 - used)
        return SizeSeen(
            at_s=self._at_s,
            size=self.size,
            has_pods=self._has_pods,
            present=placed,
            is_settled=is_settled,
            no_room="" if has_room else "Insufficient cpu",
            most_workers=self._settings.max_workers,
            complete=is_settled and not is_partial and self._since_step >= self._settles_after + WINDOW_LOOKS,
            requests=int(60 * min(work, placed) / SERVICE_S),
            mean_ms=mean_ms,
            p99_ms=P99_OVER_MEAN * mean_ms,
            cpus_used=min(work, placed),
        )
