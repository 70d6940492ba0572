"""How many workers and Pods should the router itself have?

Pure.

Theory of operation, after Azure ML's: where the time to route is over its threshold the router goes up, by one worker
in each Pod and the CPUs for it; where a Pod has all that it may have and is still too slow, it goes out, by one Pod.
Where its CPUs idle, it goes down, then in. One step at a time, and none before the last has settled: all processes
are there, and what they say covers a whole window of its own.

Up needs two signs. Time to route alone may be a slow client's, or a replica's that is slow to connect, and more
processes would not help; so it counts only where the processes use BUSY of what they may, too. Down needs a long quiet
time in which the smaller size would have been at IDLE at most. Under one and the same load the two can't follow each
other for ever: a size that was too slow for some work is remembered, and gone back to for half of that work only.

1. What something else scales is left alone, and what is not known for sure moves nothing.
2. Never under `min_pods`, nor under HA's three where there were three to begin with; never under one.
3. Never over `max_pods` and `most_workers`; and what can't be placed is taken back, and not tried again for a while.
4. No step within SLOW_FOR_S (up, out) or IDLE_FOR_S (down, in) of the time at which the last one settled.
"""

from __future__ import annotations

from math import inf

from autoscaler.self_observation import SelfScaling, SizeDecision, SizeSeen, Step
from router.platforms.sizing import RouterSize

WINDOW_S = 60.0
"""What the figures of a moment are about."""
LOOK_S = 10.0
"""From one observation to the next."""
LONGEST_GAP_S = 3 * LOOK_S
"""After a longer one it is as at the start."""
SLOW_FOR_S = 30.0
"""So long each look must find it too slow."""
IDLE_FOR_S = 600.0
"""So long each look must find that less would do: a step costs a restart of all Pods, and a burst soon comes again."""
ENOUGH_REQUESTS = 1_000
"""In the window: of fewer, the slowest hundredth says nothing."""
BUSY = 0.2
"""Of what a process may use. Under it hardly any request waits for another one, and more processes help nobody."""
IDLE = 0.35
"""That the processes of the smaller size would use: half of 70 %, at which queues for the CPU grow long."""
COMEBACK = 0.5
"""Of the work that was too much for a size."""
FORGET_S = 86_400.0
"""When that is over: load has days, and a noisy neighbour is gone by then."""
ROOM_WITHIN_S = 300.0
"""Pods that can't be placed may wait so long: a cluster's own autoscaler may be bringing a node."""
TRY_AGAIN_S = 3_600.0
"""After a step for which there was no room."""
HA_PODS = 3


class SelfScalingLaw:
    """Keeps what it must remember. It begins with the size that it is shown first."""

    def __init__(self, settings: SelfScaling) -> None:
        self._settings = settings
        self._min_pods = settings.min_pods
        self._last: SizeSeen | None = None
        self._slow_since_s = inf
        self._idle_since_s = inf
        self._stuck_since_s = inf
        self._too_much: dict[int, tuple[float, float]] = {}
        """By number of processes: work, in CPUs, for which they were too slow, and when that was."""
        self._came_from: tuple[RouterSize, RouterSize, Step] | None = None
        """The last step up or out, while it is under way: its size, the one before, and its kind."""
        self._full: dict[Step, float] = {}
        """Until when there is no room for such a step."""

    def decide(self, seen: SizeSeen) -> SizeDecision:
        """Observations come in the order of their `at_s`."""
        if self._last is None:
            self._min_pods = max(self._settings.min_pods, min(HA_PODS, seen.size.pods))
        elif seen.at_s - self._last.at_s > LONGEST_GAP_S or seen.size != self._last.size:
            self._slow_since_s = self._idle_since_s = self._stuck_since_s = inf
        self._last = seen
        if seen.conflict:
            return self._stay(seen, f"left alone: {seen.conflict}")
        if (back := self._back(seen)) is not None:
            return back
        if (unknown := _unknown(seen)) is not None:
            self._slow_since_s = self._idle_since_s = inf
            return self._stay(seen, unknown)
        return self._by_figures(seen)

    # -- no room -------------------------------------------------------------------------------------------

    def _back(self, seen: SizeSeen) -> SizeDecision | None:
        if not seen.no_room:
            self._stuck_since_s = inf
            return None
        self._stuck_since_s = min(self._stuck_since_s, seen.at_s)
        if self._came_from is None or self._came_from[0] != seen.size:
            return self._stay(seen, f"there is no room: {seen.no_room}")
        _, before, step = self._came_from
        stuck_s = seen.at_s - self._stuck_since_s
        if stuck_s < ROOM_WITHIN_S:
            return self._stay(seen, f"no room for {stuck_s:.0f} s: {seen.no_room}; back after {ROOM_WITHIN_S:.0f} s")
        self._full[step] = seen.at_s + TRY_AGAIN_S
        self._came_from = None
        why = f"no room for {stuck_s:.0f} s: {seen.no_room}; not tried again for {TRY_AGAIN_S / 60:.0f} min"
        return SizeDecision(size=before, step="back", reason=why)

    # -- too slow, or idle ---------------------------------------------------------------------------------

    def _by_figures(self, seen: SizeSeen) -> SizeDecision:
        self._came_from = None  # that step has come off: Pods without a place have another reason from now on
        used = seen.cpus_used / (seen.present * seen.cpus_each)
        told = f"{seen.mean_ms:.2g} ms, p99 {seen.p99_ms:.2g} ms; {used:.0%} of its CPU"
        if self._is_slow(seen):
            self._idle_since_s = inf
            if used < BUSY:
                self._slow_since_s = inf
                return self._stay(seen, f"{told}: slow, but not for lack of CPU: more of it would not help")
            self._slow_since_s = min(self._slow_since_s, seen.at_s)
            return self._grow(seen, told)
        self._slow_since_s = inf
        return self._shrink(seen, told)

    def _is_slow(self, seen: SizeSeen) -> bool:
        if seen.requests < ENOUGH_REQUESTS:
            return False
        return seen.mean_ms > self._settings.mean_ms or seen.p99_ms > self._settings.p99_ms

    def _grow(self, seen: SizeSeen, told: str) -> SizeDecision:
        slow_s = seen.at_s - self._slow_since_s
        told += f"; over {self._settings.mean_ms:g} ms or p99 {self._settings.p99_ms:g} ms"
        if slow_s < SLOW_FOR_S:
            return self._stay(seen, f"{told} for {slow_s:.0f} s of {SLOW_FOR_S:.0f} s")
        workers, pods = seen.size.workers, seen.size.pods
        if workers < seen.most_workers and not self._is_full("up", seen):
            return self._larger(seen, RouterSize(workers=workers + 1, pods=pods), "up", told)
        if seen.has_pods and pods < self._settings.max_pods and not self._is_full("out", seen):
            return self._larger(seen, RouterSize(workers=workers, pods=pods + 1), "out", told)
        return self._stay(seen, f"{told}; it has all that it may have, or that there is room for")

    def _larger(self, seen: SizeSeen, size: RouterSize, step: Step, told: str) -> SizeDecision:
        self._too_much[seen.size.processes] = (seen.cpus_used, seen.at_s)
        self._came_from = (size, seen.size, step)
        return SizeDecision(size=size, step=step, reason=told)

    def _shrink(self, seen: SizeSeen, told: str) -> SizeDecision:
        smaller, step = self._smaller(seen)
        if smaller is None:
            return self._stay(seen, f"{told}; it is as small as it may be")
        use = seen.cpus_used / (smaller.processes * seen.cpus_each)
        if use > IDLE:
            self._idle_since_s = inf
            return self._stay(seen, f"{told}; {smaller.processes} would use {use:.0%}, over {IDLE:.0%}")
        if (work := self._too_much_for(smaller, seen.at_s)) is not None and seen.cpus_used > COMEBACK * work:
            self._idle_since_s = inf
            return self._stay(seen, f"{told}; {smaller.processes} were too slow with {work:.2g} CPUs of work")
        self._idle_since_s = min(self._idle_since_s, seen.at_s)
        idle_s = seen.at_s - self._idle_since_s
        told += f"; {smaller.processes} would use {use:.0%}"
        if idle_s < IDLE_FOR_S:
            return self._stay(seen, f"{told} for {idle_s:.0f} s of {IDLE_FOR_S:.0f} s")
        return SizeDecision(size=smaller, step=step, reason=f"{told} for {idle_s:.0f} s")

    def _smaller(self, seen: SizeSeen) -> tuple[RouterSize | None, Step]:
        workers, pods = seen.size.workers, seen.size.pods
        if workers > 1:
            return RouterSize(workers=workers - 1, pods=pods), "down"
        if pods > self._min_pods:  # on one machine there is one
            return RouterSize(workers=workers, pods=pods - 1), "in"
        return None, "stay"

    def _too_much_for(self, size: RouterSize, now: float) -> float | None:
        """The least work for which so many processes, or more, were too slow lately."""
        work = [
            work
            for processes, (work, at_s) in self._too_much.items()
            if processes >= size.processes and now - at_s < FORGET_S
        ]
        return min(work, default=None)

    def _is_full(self, step: Step, seen: SizeSeen) -> bool:
        return seen.at_s < self._full.get(step, -inf)

    def _stay(self, seen: SizeSeen, reason: str) -> SizeDecision:
        return SizeDecision(size=seen.size, step="stay", reason=reason)


def _unknown(seen: SizeSeen) -> str | None:
    """Why what is seen is not enough to move by."""
    wanted = seen.size.processes
    if not seen.is_settled or seen.present != wanted:
        return f"a change is under way: {seen.present} of {wanted} processes"
    if not wanted:
        return "there are no routers"
    if not seen.complete:
        return f"not every process has told of a whole {WINDOW_S:.0f} s yet"
    return None
