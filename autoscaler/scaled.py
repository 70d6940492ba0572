"""What does the autoscaler keep of one deployment that it scales?

Pure. Its observer, its law, what was last asked for, and which replicas could best go. The loop (loop.py) shows it
what comes in and carries out what it says. While its number is held by hand, the law is asked all the same, so that
it knows all when the hold ends; only what something else scales is stronger than a hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec.structs import replace

from autoscaler.laws import LAWS
from autoscaler.observation import Decision, Law, Observation
from autoscaler.observer import Observer
from autoscaler.share import Share
from router.core.model import Deployment, Hold, Load, Trouble
from router.platforms.asked import LATEST_S

LAW = "scoregate"
"""The one that decides live, of `LAWS`."""
REPORTS_VALID_S = 5.0
"""A router that has said nothing for so long is missing."""
ASK_AGAIN_S = 5.0
"""So long a platform has to show what it was asked for; then it is asked again."""
_DAY_S = 86_400.0


class ScaledDeployment:
    """One deployment with scale settings, from its first to its last snapshot. Times are of the loop's clock."""

    def __init__(self, deployment: Deployment) -> None:
        self.noun = deployment
        self.due_s = 0.0
        """When it is to be decided at the latest."""
        self.conflict: Trouble | None = None
        """Something else scales it: then its number is left alone."""
        self.fault = ""
        """Why the platform refused what was last asked for."""
        self._observer = Observer(REPORTS_VALID_S)
        self._law: Law | None = None
        self._wished = 0
        self._asked: tuple[int, float] | None = None
        self._uids: list[str] = []
        self._loads: dict[str, Load] = {}
        self._hold: Hold | None = None
        self._share: Share | None = None
        self._instances: Mapping[str, bool] = {}

    @property
    def key(self) -> str:
        return self.noun.key

    def follow(self, deployment: Deployment, share: Share, instances: Mapping[str, bool], now: float) -> None:
        """`instances`: ids of the routers there are, and whether each takes requests. A law keeps what it remembers
        until the settings it was made of change."""
        if (deployment.scale, _concurrency(deployment)) != (self.noun.scale, _concurrency(self.noun)):
            self._law = None
        self.noun = deployment
        if (share, instances) == (self._share, self._instances):
            return  # as for most at most times: a snapshot may have thousands of deployments
        gravest = share.gravest
        if share.hold != self._hold:
            self._hold, self.due_s = share.hold, now
        self.conflict = gravest if gravest is not None and gravest.kind == "conflict" else None
        self._uids = [replica.uid for replica in share.replicas if not replica.leaving]
        self._wished = len(self._uids) if share.wished is None else share.wished
        if self._asked is not None and self._asked[0] == self._wished:
            self._asked = None
        self._loads = {instance: load for instance, load in self._loads.items() if instance in instances}
        aside = frozenset(instance for instance, serves in instances.items() if not serves)
        self._observer.follow(share.replicas, share.wished, instances, gravest, now, aside)
        self._share, self._instances = share, instances

    def report(self, instance: str, load: Load, at_s: float) -> bool:
        """A router's word. True if there is more to do than at its last one: then a decision can't wait."""
        before = self._loads.get(instance)
        self._loads[instance] = load
        self._observer.report(instance, load, at_s)
        demand = load.in_flight + load.queued
        return load.queued > 0 or before is None or demand > before.in_flight + before.queued

    def decide(self, now: float, calendar_s: float) -> tuple[Observation, Decision]:
        """`calendar_s`: now, since the epoch. Raises what the law raises."""
        if self._law is None:
            assert self.noun.scale is not None
            self._law = LAWS[LAW](self.noun.scale, _concurrency(self.noun))
        self.due_s = now + self._law.period_s
        seen = replace(self._observer.observe(now), queue_wait_s=self.noun.request.max_queue_wait_ms / 1000)
        return seen, self._held(self._law.decide(seen), calendar_s)

    def _held(self, decision: Decision, calendar_s: float) -> Decision:
        """What is set by hand instead, if anything is and it is not over."""
        hold = self._hold
        if hold is None or hold.until_s <= calendar_s or self.conflict is not None:
            return decision
        replicas = self.noun.allowed(hold.replicas)
        bounds = "" if replicas == hold.replicas else f", as near to {hold.replicas} as its bounds allow"
        return replace(
            decision,
            replicas=replicas,
            reason=f"held at {replicas} by hand until {_moment(hold.until_s, calendar_s)}{bounds}",
        )

    def stands(self, now: float) -> int:
        """The number asked for lately, or else the one that the platform works towards."""
        if self._asked is not None and now - self._asked[1] < ASK_AGAIN_S:
            return self._asked[0]
        return self._wished

    def ask(self, replicas: int, now: float) -> None:
        self._asked = (replicas, now)

    def asked_in_vain(self, fault: str) -> None:
        """The next decision asks again."""
        self._asked, self.fault = None, fault

    def leave_first(self) -> tuple[str, ...]:
        """uids of replicas in the order in which they should go: the least in flight first, then the youngest."""
        in_flight = dict.fromkeys(self._uids, 0)
        for load in self._loads.values():
            for uid, count in load.replicas.items():
                if uid in in_flight:
                    in_flight[uid] += count
        return tuple(sorted(reversed(self._uids), key=in_flight.__getitem__))  # a snapshot has the oldest first


def _moment(at_s: float, now_s: float) -> str:
    """With its day, unless that is clear."""
    moment = datetime.fromtimestamp(min(at_s, LATEST_S), UTC)
    return moment.strftime("%H:%M:%SZ" if at_s - now_s < _DAY_S else "%Y-%m-%dT%H:%M:%SZ")


def _concurrency(deployment: Deployment) -> int:
    return deployment.request.max_concurrent_requests_per_instance
