"""What must a wished number of replicas never do?

Pure. Each guard takes the number wanted so far and may correct it; whoever corrects, adds why. In this order: what is
not ours is left alone; what is not known brings nothing down; no step is wild; what can't be placed is not asked for
again; and the bounds of the deployment hold over everything.
"""

from __future__ import annotations

from math import inf

from autoscaler.observation import Observation
from router.core.model import ScaleSettings

LARGEST_GAIN = 1000
"""At most so many times the present number at once (as in Knative): only a wrong reading asks for more."""
LARGEST_LOSS = 2
"""At least the present number over this stays (as in Knative)."""

PAUSE_PERIODS = 5
"""Missing so many observations in a row is a pause; a quarter of the window, where that is longer."""


class Guards:
    """One deployment's. It begins with the first observation that it is shown."""

    def __init__(self, settings: ScaleSettings, concurrency: int) -> None:
        self._settings = settings
        self._concurrency = concurrency
        self._began_s = -inf
        self._seen_s = -inf
        self._present_at_first = 0

    def apply(self, wanted: int, why: str, seen: Observation) -> tuple[int, str]:
        """The number to wish for, and why in words."""
        if seen.at_s - self._seen_s > self._longest_pause_s():
            self._began_s, self._present_at_first = seen.at_s, seen.wished
        self._seen_s = seen.at_s
        if seen.trouble is not None and seen.trouble.kind == "conflict":
            return seen.wished, f"left alone at {seen.wished}: {seen.trouble.reason}"
        for guard in (self._known, self._held_at_first, self._in_steps, self._placeable, self._in_bounds):
            allowed, correction = guard(wanted, seen)
            if allowed != wanted:
                wanted, why = allowed, f"{why}; {correction}"
        return wanted, why

    def _longest_pause_s(self) -> float:
        """After a longer one it is as at the start: what was needed meanwhile nobody knows."""
        return max(PAUSE_PERIODS * self._settings.polling_interval, self._settings.scale_down_window / 4)

    def _known(self, wanted: int, seen: Observation) -> tuple[int, str]:
        """What is reported is the least that there is: enough to go up by, not to go down by."""
        if seen.complete:
            return wanted, ""
        return max(wanted, seen.wished), f"not every router has reported lately: {seen.wished} stay"

    def _held_at_first(self, wanted: int, seen: Observation) -> tuple[int, str]:
        """What was needed before the first observation nobody knows, so it is taken to be what was there."""
        window_s = self._settings.scale_down_window
        if seen.at_s - self._began_s >= window_s:
            return wanted, ""
        held = self._present_at_first
        return max(wanted, held), f"the {held} found at the start stay until {window_s:.0f} s have been seen"

    def _placeable(self, wanted: int, seen: Observation) -> tuple[int, str]:
        if seen.trouble is None:
            return wanted, ""
        most = max(seen.wished, 1)  # one must try, or nothing would ever show that it can be placed again
        return min(wanted, most), f"no more than the present {most} while they can't run: {seen.trouble.reason}"

    def _in_steps(self, wanted: int, seen: Observation) -> tuple[int, str]:
        busy = min(seen.wished, -(-seen.in_flight // self._concurrency))  # others finish on replicas that leave
        half = seen.wished // LARGEST_LOSS
        most = max(seen.wished, 1) * LARGEST_GAIN
        if wanted > most:
            return most, f"at most {LARGEST_GAIN} times as many at once"
        if wanted < busy:
            wanted = busy
        return max(half, wanted), f"{busy} may be busy" if busy > half else f"at most half of {seen.wished} go at once"

    def _in_bounds(self, wanted: int, seen: Observation) -> tuple[int, str]:
        least, most = self._settings.min_instances, self._settings.max_instances
        bound = f"minInstances is {least}" if wanted < least else f"maxInstances is {most}"
        return max(least, min(most, wanted)), bound
