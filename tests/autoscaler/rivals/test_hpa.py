"""Does the HPA here decide as Kubernetes documents it?"""

from __future__ import annotations

import pytest

from autoscaler.rivals.hpa import HPA
from tests.autoscaler.rivals.fluid import Fluid
from tests.autoscaler.rivals.seen import last_of, seen, settings, shown


def an_hpa(*, concurrency: int = 1, least: int = 1, most: int = 1000) -> HPA:
    return HPA(settings(least=least, most=most), concurrency)


def test_it_looks_every_15_s() -> None:
    decided = shown(an_hpa(), (seen(at, 10, 7 if at < 1 else 14) for at in range(31)))
    assert decided == [10] * 15 + [20] * 16


def test_it_asks_for_what_brings_utilization_to_70_percent_rounded_up() -> None:
    assert an_hpa(concurrency=10).decide(seen(0, 10, 99)).replicas == 15  # 10 x 0.99 / 0.7 = 14.1


def test_what_waits_counts_so_the_metric_is_not_clipped_at_capacity() -> None:
    assert an_hpa().decide(seen(0, 10, 10, queued=3)).replicas == 19


@pytest.mark.parametrize(("load", "replicas"), [(77, 10), (78, 12), (71, 10), (70, 10), (69, 10)])
def test_nothing_is_done_within_10_percent(load: int, replicas: int) -> None:
    assert an_hpa(concurrency=10).decide(seen(0, 10, load)).replicas == replicas


@pytest.mark.parametrize(("load", "replicas"), [(63, 10), (62, 9)])
def test_nor_on_the_way_down(load: int, replicas: int) -> None:
    assert shown(an_hpa(concurrency=10), (seen(at, 10, load) for at in range(0, 315, 15)))[-1] == replicas


@pytest.mark.parametrize(("ready", "replicas"), [(1, 5), (3, 7), (4, 8), (5, 10), (40, 80)])
def test_at_most_twice_as_many_or_four_more_at_once(ready: int, replicas: int) -> None:
    assert an_hpa().decide(seen(0, ready, ready, queued=1000)).replicas == replicas


def test_down_to_the_highest_of_300_s() -> None:
    loads = [14] + [7] * 10 + [0] * 40  # 20 at 0 s, 10 until 150 s, then none
    decided = shown(an_hpa(), (seen(15 * look, 20, load) for look, load in enumerate(loads)))
    assert decided[:20] == [20] * 20
    assert decided[20:30] == [10] * 10
    assert decided[31] == 1


def test_what_the_rate_withheld_is_not_given_later() -> None:
    assert shown(an_hpa(), [seen(0, 10, 10, queued=90), seen(15, 20, 7)]) == [20, 20]


def test_a_restart_begins_at_the_present_count() -> None:
    decided = shown(an_hpa(), (seen(at, 20, 7) for at in range(0, 330, 15)))
    assert decided == [20] * 20 + [10] * 2


@pytest.mark.parametrize(
    ("load", "replicas", "why"),
    [
        (140, 20, "twice what all ten should have"),
        (75, 10, "more than twice what five should have, and within 10 % of what ten should"),
        (50, 10, "more than what five should have, less than what ten should: no reason to act"),
    ],
)
def test_replicas_that_are_not_ready_count_as_unused_on_the_way_up(load: int, replicas: int, why: str) -> None:
    law = an_hpa(concurrency=10)
    assert last_of(law, (seen(at, 5, load, starting=5) for at in range(0, 400, 15))).replicas == replicas, why


@pytest.mark.parametrize(("load", "replicas"), [(70, 20), (50, 8)])
def test_and_not_at_all_on_the_way_down(load: int, replicas: int) -> None:
    law = an_hpa(concurrency=10)
    decided = shown(law, (seen(at, 10, load, starting=10) for at in range(0, 400, 15)))
    assert decided[-1] == replicas, "70 is what the ten that are ready should have"


def test_with_none_ready_nothing_is_known() -> None:
    assert an_hpa().decide(seen(0, 0, queued=50, starting=3)).replicas == 3


def test_it_keeps_one() -> None:
    assert shown(an_hpa(least=0), (seen(at, 1) for at in range(0, 400, 15)))[-1] == 1


def test_bounds_hold() -> None:
    assert an_hpa(most=12).decide(seen(0, 10, 10, queued=90)).replicas == 12


def test_a_step_is_climbed_in_doublings_of_15_s() -> None:
    climb = Fluid(an_hpa(), 3, cold_start_s=0).run(90, 2).run(60, 60).history
    assert climb[90::15] == [7, 14, 28, 56]


def test_it_says_why() -> None:
    told = last_of(an_hpa(), [seen(0, 10, 10, queued=90)])
    assert told.need == 143
    assert told.reason == (
        "100 requests on 10 ready replicas: 143 recommended, 20 after the 300 s window and the rate from 10"
    )
