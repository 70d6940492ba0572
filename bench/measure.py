"""What does each proxy do with the same load, round after round?

I/O: puts load on running proxies, reads CPU clocks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import msgspec

from bench import wrk
from bench.proxies import Proxy


class Cores(msgspec.Struct, frozen=True):
    """Which core runs the proxies, and which the load and the replica; the same if there is only one."""

    proxy: int
    load: int


class Plan(msgspec.Struct, frozen=True):
    connections: tuple[int, ...]
    rounds: int
    seconds: int
    """Of each measurement."""
    warm_up_seconds: int = 1
    """Of each proxy, once, at the most connections; thrown away."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy under load for a few seconds."""

    proxy: str
    connections: int
    round: int
    requests: int
    duration_us: int
    cpu_us: float
    """User and system time of all of the proxy's processes."""
    p50_us: float
    p99_us: float
    failed: int

    @classmethod
    def of(cls, proxy: Proxy, connections: int, round_number: int, counts: wrk.Counts, cpu_us: float) -> Sample:
        return cls(
            proxy=proxy.name,
            connections=connections,
            round=round_number,
            requests=counts.requests,
            duration_us=counts.duration_us,
            cpu_us=cpu_us,
            p50_us=counts.p50_us,
            p99_us=counts.p99_us,
            failed=counts.failed,
        )


def choose_cores() -> Cores:
    """The first two that this process may use."""
    first, *others = sorted(os.sched_getaffinity(0))
    return Cores(proxy=first, load=others[0] if others else first)


class Course:
    """All measurements of a run. A proxy that breaks down takes no part in the rest; `broken` says why."""

    def __init__(self, proxies: Sequence[Proxy], plan: Plan, cores: Cores) -> None:
        self.samples: list[Sample] = []
        self.broken: dict[str, str] = {}
        """By the proxy's name."""
        self.steps = len(proxies) * (1 + plan.rounds * len(plan.connections))
        self._proxies = proxies
        self._plan = plan
        self._cores = cores

    def run(self) -> Iterator[str]:
        """Yields `steps` times, before each measurement, what comes next.

        Rounds are interleaved (A B C, A B C), so that what slows the machine for a while slows all alike.
        """
        for proxy in self._proxies:
            yield f"{proxy.title}, warming up"
            self._measure(proxy, max(self._plan.connections), self._plan.warm_up_seconds)
        for round_number in range(1, self._plan.rounds + 1):
            for connections in self._plan.connections:
                for proxy in self._proxies:
                    yield f"{proxy.title}, {connections} at once, round {round_number}"
                    measured = self._measure(proxy, connections, self._plan.seconds)
                    if measured:
                        self.samples.append(Sample.of(proxy, connections, round_number, *measured))

    def _measure(self, proxy: Proxy, connections: int, seconds: int) -> tuple[wrk.Counts, float] | None:
        """What wrk counted, and the CPU microseconds that the proxy took for it; None if it is broken."""
        if proxy.name in self.broken:
            return None
        cpu_before_us = proxy.group.cpu_us()
        try:
            counts = wrk.load(
                proxy.url,
                proxy.authorization,
                connections=connections,
                seconds=seconds,
                core=self._cores.load,
            )
        except wrk.LoadError as error:
            self.broken[proxy.name] = f"{error}\nIts output ends: {proxy.group.last_words()}"
            return None
        return counts, proxy.group.cpu_us() - cpu_before_us
