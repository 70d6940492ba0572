"""Does the KPA here decide as Knative documents it, and fail as it is known to?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoscaler.observation import Observation
from autoscaler.rivals.kpa import KPA
from tests.autoscaler.rivals.fluid import Fluid
from tests.autoscaler.rivals.seen import last_of, seen, settings, shown


def a_kpa(*, concurrency: int = 1, least: int = 0, most: int = 10_000) -> KPA:
    return KPA(settings(least=least, most=most), concurrency)


def steady(load: int, ready: int, since_s: int, until_s: int) -> Iterator[Observation]:
    return (seen(at, ready, min(ready, load), queued=max(0, load - ready)) for at in range(since_s, until_s))


def settled(load: int, ready: int) -> KPA:
    """One that has seen this for 130 s, so that the panic that it began in is over."""
    law = a_kpa()
    shown(law, steady(load, ready, 0, 130))
    return law


def test_it_aims_for_70_percent_of_the_limit() -> None:
    assert last_of(a_kpa(concurrency=10), steady(71, 10, 0, 100)).replicas == 11


def test_it_decides_every_2_s() -> None:
    law = settled(7, 10)
    decided = shown(law, steady(140, 10, 130, 136))
    assert decided[0] == decided[1] < decided[2] == decided[3] < decided[4] == decided[5]


def test_the_stable_window_is_a_mean_of_60_s() -> None:
    law = settled(7, 10)
    decided = shown(law, steady(0, 10, 130, 161))
    assert decided[0] == 10  # 59 s of 7: 9.8
    assert decided[14] == 8  # 45 s of 7: 7.5
    assert decided[28] == 6  # 31 s of 7: 5.2


def test_at_most_half_of_what_is_ready_goes_at_once() -> None:
    assert shown(settled(7, 10), steady(0, 10, 130, 330))[-1] == 5


def test_at_most_a_thousand_times_what_is_ready_comes_at_once() -> None:
    assert a_kpa().decide(seen(0, 1, 1, queued=5000)).replicas == 1000


@pytest.mark.parametrize(("load", "replicas"), [(13, 11), (14, 20)])
def test_panic_begins_where_6_s_ask_for_twice_what_is_ready(load: int, replicas: int) -> None:
    decided = shown(settled(7, 10), steady(load, 10, 130, 137))
    assert decided[6] == replicas, "without panic, the mean of 60 s counts: 53 of 7 and 7 of 13"


def test_the_panic_window_is_a_mean_of_6_s() -> None:
    decided = shown(settled(7, 10), steady(28, 10, 130, 137))
    assert decided[2] == 25  # three of 7, three of 28
    assert decided[6] == 40  # six of 28


def test_nothing_decreases_in_panic_and_panic_lasts_60_s_after_its_last_reason() -> None:
    law = settled(7, 10)
    assert shown(law, steady(70, 10, 130, 137))[-1] == 100
    decided = shown(law, steady(0, 100, 137, 210))
    assert decided[:60] == [100] * 60
    assert decided[-1] == 50


def test_in_panic_the_higher_of_both_windows_counts() -> None:
    law = settled(70, 100)
    assert shown(law, steady(7, 1, 130, 137))[-1] == 99, "of 60 s, when panic began; the last 6 ask for 10"


def test_a_panic_that_is_over_is_forgotten() -> None:
    law = settled(7, 10)
    shown(law, steady(70, 10, 130, 137))
    shown(law, steady(7, 10, 137, 300))
    assert shown(law, steady(14, 10, 300, 307))[-1] == 20


def test_the_backlog_of_a_cold_start_is_counted_as_steady_load() -> None:
    """knative#4344."""
    cluster = Fluid(a_kpa(least=1), 3, cold_start_s=10).run(120, 2).run(200, 20)
    needed = 29
    assert max(cluster.history) > 9 * needed
    assert cluster.history[-1] == needed
    assert sum(wished > 9 * needed for wished in cluster.history) >= 60, "and panic keeps them"


def test_starting_replicas_are_no_capacity() -> None:
    few, many = (a_kpa().decide(seen(0, 1, 1, queued=20, starting=starting)).replicas for starting in (0, 29))
    assert few == many == 30


def test_a_restart_panics_at_what_is_ready() -> None:
    decided = shown(a_kpa(), steady(0, 10, 0, 64))
    assert decided[:62] == [10] * 62
    assert decided[62] == 5


def test_a_restart_forgets_what_is_starting_and_what_was_needed() -> None:
    assert a_kpa().decide(seen(0, 1, 0, starting=9)).replicas == 0, "one ready replica is no panic"
    assert a_kpa().decide(seen(0, 3, 3, starting=9)).replicas == 5


def test_the_first_request_at_none_is_answered_at_once() -> None:
    law = a_kpa()
    idle = shown(law, (seen(at, 0) for at in range(1001)))
    assert set(idle) == {0}
    assert law.decide(seen(1000.5, 0, queued=1)).replicas == 2  # 1 / 0.7: an idle time is no mean of zeros
    assert law.decide(seen(1001.5, 0, queued=9, starting=2)).replicas == 2, "the next tick is at 1,002 s"


def test_to_none_when_nothing_came_for_60_s() -> None:
    law = a_kpa(concurrency=10)
    law.decide(seen(0, 1, 1))
    decided = shown(law, steady(0, 1, 1, 70))
    assert decided.index(0) == 59


def test_a_deployment_that_keeps_one_keeps_it_where_there_is_none_yet() -> None:
    assert a_kpa(least=1).decide(seen(0, 0)).replicas == 1


def test_bounds_hold() -> None:
    assert a_kpa(most=12).decide(seen(0, 10, 10, queued=90)).replicas == 12


def test_it_says_why() -> None:
    told = last_of(settled(7, 10), [seen(130, 10, 10, queued=60)])
    assert told.need == 100
    assert told.reason == "mean of 60 s 8.1, of 6 s 17.5: 12 or, in panic, 25; panic, no decrease"
