"""How long do requests wait behind real processes, against one ideal queue with the very same requests?

I/O: processes, loopback sockets, a monotonic clock.

A request's wait goes from the moment at which it should have been sent to the moment at which its replica began to
work on it, less what the same way takes where nothing waits: the median of `PROBES` requests through each instance, one
after the other, before the load. The ideal queue gets the same arrivals, and the lengths that the replicas measured in
this very run, so that a timer that rings late is not charged to anybody.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench.dispatch.contenders import PATIENCE_S, Contender, replicas, started
from bench.dispatch.counting import Account, Served, Work
from bench.dispatch.load import Load, Request, requests_of
from bench.dispatch.policies import ideal
from bench.dispatch.sending import Sender, Sent, send_all
from bench.dispatch.sweep import Wait, tail_of
from bench.measure import Cores

PROBES = 20
PROBE_GAP_S = 0.02
SETTLE_S = 2.0
"""Instances of ours meet, and agree, before anything is measured."""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """One contender under one load."""

    contender: str
    load: Load
    requests: int
    failures: dict[str, int]
    """By reason."""
    path_ms: float
    """Of a request that finds all idle."""
    late_p99_ms: float
    """Of the sender."""
    wait: Wait
    ideal: Wait
    tail_s: list[float]
    """The waits that so many were not longer than: of the shares of sweep.TAIL."""
    ideal_tail_s: list[float]
    most_in_flight: int
    """In any one replica."""
    overlaps: int
    """Times in which a replica had more than one request."""
    cpu_us: float
    """Of all its processes, for each request, the few before the load included."""

    @property
    def ratio(self) -> float:
        return self.wait.p99_s / self.ideal.p99_s if self.ideal.p99_s else float("nan")


def measured(contender: Contender, load: Load, cores: Cores, done: Callable[[float], None]) -> Course:
    """Raises PeerError."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            replicas(load.replicas, folder, cores.load) as (account_port, ports),
            started(contender, folder, cores.proxy, ports) as running,
        ):
            time.sleep(SETTLE_S)
            requests = spread_over(requests_of(load), contender.instances)
            before_us = sum(group.cpu_us() for group in running.groups)
            path_s, sent = asyncio.run(_sent(Sender(running.addresses), requests, account_port, done))
            cpu_us = (sum(group.cpu_us() for group in running.groups) - before_us) / len(sent)
            return course_of(contender, load, path_s, sent, account(account_port), cpu_us)


def spread_over(requests: Sequence[Request], instances: int) -> list[Request]:
    """The same requests, where clients can choose among fewer: two of six behind one."""
    most = 1 + max(request.instance for request in requests)
    return [request._replace(instance=request.instance * instances // most) for request in requests]


def account(port: int) -> list[Account]:
    """What each replica has seen since the last time."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as asked:
        asked.sendall(b"?")
        told = b"".join(iter(lambda: asked.recv(65536), b""))
    return msgspec.json.decode(told, type=list[Account])


async def _sent(
    sender: Sender, requests: Sequence[Request], account_port: int, done: Callable[[float], None]
) -> tuple[float, list[Sent]]:
    try:
        path_s = await _path_s(sender, 1 + max(request.instance for request in requests))
        account(account_port)
        return path_s, await send_all(sender, requests, PATIENCE_S, done)
    finally:
        sender.close()


async def _path_s(sender: Sender, instances: int) -> float:
    taken = []
    for _ in range(PROBES):
        for instance in range(instances):
            asked = time.monotonic()
            served = await sender.ask(instance, Work(0, 0.001))
            taken.append(served.began - asked)
            await asyncio.sleep(PROBE_GAP_S)
    return statistics.median(taken)


def course_of(  # house: one parameter for each thing that was measured
    contender: Contender,
    load: Load,
    path_s: float,
    sent: Sequence[Sent],
    accounts: Sequence[Account],
    cpu_us: float,
) -> Course:
    waits_s, served = _waits(sent, path_s)
    ideal_s = ideal(served, load.replicas)
    failures: dict[str, int] = {}
    for each in sent:
        if each.failure:
            failures[each.failure] = failures.get(each.failure, 0) + 1
    return Course(
        contender=contender.name,
        load=load,
        requests=len(sent),
        failures=failures,
        path_ms=1000 * path_s,
        late_p99_ms=1000 * sorted(each.late_s for each in sent)[int(0.99 * len(sent))],
        wait=Wait.of(waits_s),
        ideal=Wait.of(ideal_s),
        tail_s=tail_of(waits_s),
        ideal_tail_s=tail_of(ideal_s),
        most_in_flight=max(each.most for each in accounts),
        overlaps=sum(len(each.overlaps) for each in accounts),
        cpu_us=cpu_us,
    )


def _waits(sent: Sequence[Sent], path_s: float) -> tuple[list[float], list[Request]]:
    """Of those that were served, and what the ideal queue is to serve."""
    pairs: list[tuple[Sent, Served]] = [(each, each.served) for each in sent if each.served is not None]
    waits_s = [max(0.0, served.began - each.intended - path_s) for each, served in pairs]
    return waits_s, [Request(each.intended, each.instance, served.ended - served.began) for each, served in pairs]
