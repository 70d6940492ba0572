"""What came of the requests of one run so far, and at its end?

Pure.

1. Every intended request is counted once: sent, not sent (too many in flight), or not reached (stopped before).
2. Every request that was sent is counted once: replied, failed, or cut off (stopped while it was in flight).
"""

from __future__ import annotations

from array import array
from collections import defaultdict

import msgspec

from bench.latency import Quantiles, quantiles


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run is."""

    at_s: float
    sent: int
    in_flight: int
    replied: int
    failed: int
    """Without a reply, or with one that is not 2xx."""
    not_sent: int


class Group(msgspec.Struct, frozen=True):
    """Requests that came to the same end."""

    count: int
    latency: Quantiles
    """To that end, from the intended send time."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    intended: int
    sent: int
    not_sent: int
    """Left out because `max_in_flight` were in flight."""
    not_reached: int
    """Their time had not come when it was stopped."""
    cut_off: int
    """In flight when it was stopped."""
    replies: dict[int, Group]
    """By status."""
    failures: dict[str, Group]
    """By reason."""
    latency: Quantiles | None
    """Of all replies, whatever their status. None of none."""
    lateness: Quantiles | None
    """How late requests left: the generator's own fault, and part of the latency."""
    seconds: float
    """From the start to the last reply."""
    intended_per_s: float
    replied_per_s: float
    interrupted: bool

    @property
    def all_fine(self) -> bool:
        """Every request that was reached has a reply, and all are 2xx."""
        return not (self.failures or self.not_sent) and all(map(_is_fine, self.replies))


class Tally:
    """Counts one request after another. Moments and spans are in seconds of the run."""

    def __init__(self, intended: int) -> None:
        self.in_flight = 0
        """For who sends to keep; the tally only tells it."""
        self._intended = intended
        self._not_sent = 0
        self._lateness_s = array("d")
        self._replies_s: defaultdict[int, array[float]] = defaultdict(_no_seconds)
        self._failures_s: defaultdict[str, array[float]] = defaultdict(_no_seconds)

    def leave_out(self) -> None:
        self._not_sent += 1

    def sent(self, late_s: float) -> None:
        self._lateness_s.append(late_s)

    def replied(self, status: int, latency_s: float) -> None:
        self._replies_s[status].append(latency_s)

    def failed(self, reason: str, latency_s: float) -> None:
        self._failures_s[reason].append(latency_s)

    def progress(self, at_s: float) -> Progress:
        replied, bad = self._ended()
        unfit = sum(len(spans) for status, spans in self._replies_s.items() if not _is_fine(status))
        return Progress(
            at_s=at_s,
            sent=len(self._lateness_s),
            in_flight=self.in_flight,
            replied=replied,
            failed=bad + unfit,
            not_sent=self._not_sent,
        )

    def report(self, *, planned_s: float, took_s: float, interrupted: bool) -> Report:
        sent, (replied, failed) = len(self._lateness_s), self._ended()
        return Report(
            intended=self._intended,
            sent=sent,
            not_sent=self._not_sent,
            not_reached=self._intended - sent - self._not_sent,
            cut_off=sent - replied - failed,
            replies={status: _group(self._replies_s[status]) for status in sorted(self._replies_s)},
            failures={reason: _group(self._failures_s[reason]) for reason in sorted(self._failures_s)},
            latency=quantiles([span for spans in self._replies_s.values() for span in spans]),
            lateness=quantiles(self._lateness_s),
            seconds=took_s,
            intended_per_s=_rate(self._intended, planned_s),
            replied_per_s=_rate(replied, took_s),
            interrupted=interrupted,
        )

    def _ended(self) -> tuple[int, int]:
        """With a reply, and without."""
        return sum(map(len, self._replies_s.values())), sum(map(len, self._failures_s.values()))


def _is_fine(status: int) -> bool:
    return 200 <= status < 300


def _no_seconds() -> array[float]:
    return array("d")


def _group(latencies_s: array[float]) -> Group:
    latency = quantiles(latencies_s)
    assert latency is not None, "a group has members"
    return Group(len(latencies_s), latency)


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds else 0.0
