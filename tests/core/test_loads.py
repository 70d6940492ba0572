"""loads.py: however the same requests are spread over instances, they add up to the same load."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from router.core.loads import merged, utilization
from router.core.model import Load

UIDS = ("a", "b", "c", "d")
NONE = Load(
    endpoint="iris",
    deployment="blue",
    concurrency=2,
    in_flight=0,
    queued=0,
    busy=0,
    ready=3,
    starting=1,
    total=4,
    refused_total=0,
    arrived_total=0,
    finished_total=0,
    held_seconds_total=0.0,
    utilization=0.0,
    replicas=dict.fromkeys(UIDS, 0),
)
COUNTS = ("queued", "refused_total", "arrived_total", "finished_total")

requests = st.lists(st.sampled_from((*UIDS, *COUNTS, "held")), max_size=40)
"""What each of them did last: it is with that replica, or was counted there."""


def load(done: list[str]) -> Load:
    """As an instance tells it that had just these requests."""
    told = Counter(done)
    in_flight = {uid: told[uid] for uid in UIDS}
    return replace(
        NONE,
        in_flight=sum(in_flight.values()),
        busy=sum(count > 0 for count in in_flight.values()),
        held_seconds_total=round(told["held"] * 0.1, 3),
        utilization=utilization(sum(in_flight.values()), told["queued"], 8),
        replicas=in_flight,
        **{name: told[name] for name in COUNTS},
    )


@given(requests, st.integers(1, 6), st.data())
def test_any_split_of_the_same_requests_is_the_same_load(done: list[str], instances: int, data: Any) -> None:
    parts: list[list[str]] = [[] for _ in range(instances)]
    for each in done:
        data.draw(st.sampled_from(parts)).append(each)
    (whole,) = merged([load(part)] for part in parts)
    assert whole == load(done)


def test_deployments_stay_apart_in_the_order_in_which_they_are_told() -> None:
    blue, green = load(["a", "a"]), replace(load(["b"]), deployment="green")
    other = replace(load(["c"]), endpoint="rose")
    assert merged([[blue], [green, other], [blue, green]]) == [
        load(["a"] * 4),
        replace(load(["b"] * 2), deployment="green"),
        other,
    ]
    assert merged([]) == merged([[], []]) == []


def test_where_they_differ_on_the_replicas_for_a_moment_the_most_count() -> None:
    behind = replace(load(["a"]), ready=1, starting=0, total=1, replicas={"a": 1})
    ahead = replace(load(["d"]), ready=2, starting=2, total=5, concurrency=3)
    (both,) = merged([[behind], [ahead]])
    assert (both.ready, both.starting, both.total, both.concurrency) == (2, 2, 5, 3)
    assert (both.replicas, both.busy) == ({"a": 1, "b": 0, "c": 0, "d": 1}, 2)
    assert both.utilization == round(2 / 15, 4)


def test_without_a_slot_or_a_limit_there_is_no_utilization() -> None:
    assert utilization(3, 4, 0) == 0.0
    (unlimited,) = merged([[replace(load(["a"]), concurrency=0)]] * 2)
    assert (unlimited.in_flight, unlimited.utilization) == (2, 0.0)
