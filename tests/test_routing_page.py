"""routing_page.py: what a process has routed, what it cost, and what it may use."""

from __future__ import annotations

import os
import time
from pathlib import Path

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from router import routing_page as page_module
from router.core.model import Routing
from router.routing_page import routing_of, routing_page, usable_cpus


class Timed:
    """As a histogram of the metrics."""

    bounds = ("0.001", "0.01", "+Inf")

    def __init__(self, *counts: int, total: float) -> None:
        self._counts = list(counts)
        self.sum = total

    def cumulative(self) -> list[int]:
        return self._counts


def test_all_deployments_are_added_up() -> None:
    before_s = time.process_time()
    found = routing_of([Timed(1, 2, 3, total=0.5), Timed(0, 5, 5, total=0.25)], 4)
    assert (found.routed_total, found.route_seconds_total, found.most_workers) == (8, 0.75, 4)
    assert found.route_buckets == {"0.001": 1, "0.01": 7, "+Inf": 8}
    assert before_s <= found.cpu_seconds_total <= time.process_time()
    assert 0 < found.cpus <= (os.cpu_count() or 1)


def test_a_router_without_deployments_has_routed_nothing() -> None:
    found = routing_of([], 1)
    assert (found.routed_total, found.route_seconds_total, found.route_buckets) == (0, 0.0, {})


async def test_the_page_says_it_as_json() -> None:
    word = routing_of([Timed(1, 2, 3, total=0.5)], 4)

    class Routed:
        def routing(self) -> Routing:
            return word

    app = Starlette(routes=[Route("/routing", routing_page(Routed()))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://instance") as asking:
        reply = await asking.get("/routing")
    assert reply.headers["content-type"] == "application/json"
    assert msgspec.json.decode(reply.content, type=Routing) == word


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "50000 100000"}, 0.5),
        ({"cpu.max": "max 100000"}, 8.0),
        ({"cpu.max": "100000000 100000"}, 8.0),
        ({"cpu.max": "what"}, 8.0),
        ({"cpu.max": "1 0"}, 8.0),
        ({"quota": "200000", "period": "100000"}, 2.0),
        ({"quota": "-1", "period": "100000"}, 8.0),
        ({}, 8.0),
    ],
)
def test_it_may_use_what_scheduler_and_cgroup_both_give(
    files: dict[str, str], cpus: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setattr(page_module, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(page_module, "_QUOTA_V1", tmp_path / "quota")
    monkeypatch.setattr(page_module, "_PERIOD_V1", tmp_path / "period")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert usable_cpus() == cpus
