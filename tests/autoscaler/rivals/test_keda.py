"""Does KEDA's HTTP add-on here decide as it is documented, and fail as it is known to?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoscaler.observation import Observation
from autoscaler.rivals.keda import KEDA
from tests.autoscaler.rivals.seen import last_of, seen, settings, shown


def a_keda(*, concurrency: int = 1, least: int = 0, most: int = 1000) -> KEDA:
    return KEDA(settings(least=least, most=most), concurrency)


def streaming(
    per_s: int, ready: int, since_s: int, until_s: int, *, arrived: int = 0, held_s: float = 1.0
) -> Iterator[Observation]:
    """Requests in bursts that nobody sees at the moment of a poll."""
    for at in range(since_s, until_s):
        total = arrived + per_s * (at - since_s)
        yield seen(at, ready, arrived=total, finished=total, held_s=held_s)


def test_it_polls_every_half_second_and_takes_the_first_from_none_by_itself() -> None:
    law = a_keda()
    assert law.decide(seen(0, 0)).replicas == 0
    assert law.decide(seen(0.4, 0, queued=3)).replicas == 0
    assert law.decide(seen(0.5, 0, queued=3)).replicas == 1


def test_then_the_hpa_every_15_s() -> None:
    law = a_keda()
    decided = shown(law, (seen(at, 10, 7 if at < 1 else 14) for at in range(31)))
    assert decided == [10] * 15 + [20] * 16


def test_with_the_hpas_rate() -> None:
    assert a_keda().decide(seen(0, 3, 3, queued=100)).replicas == 7


@pytest.mark.parametrize(("load", "replicas"), [(77, 10), (78, 12)])
def test_and_its_tolerance(load: int, replicas: int) -> None:
    assert a_keda(concurrency=10).decide(seen(0, 10, load)).replicas == replicas


def test_over_all_replicas_ready_or_not() -> None:
    assert a_keda().decide(seen(0, 5, 5, queued=2, starting=5)).replicas == 10
    assert last_of(a_keda(), (seen(at, 10, 7, starting=10) for at in range(400))).replicas == 10


def test_and_its_300_s() -> None:
    decided = shown(a_keda(), (seen(at, 20, 7) for at in range(316)))
    assert decided == [20] * 300 + [10] * 16


def test_requests_per_second_are_a_mean_of_60_s() -> None:
    law = a_keda()
    assert last_of(law, streaming(7, 10, 0, 121)).reason.startswith("0 requests, 7.0 new ones a second of 1.00 s: 10 ")
    after = [law.decide(each).reason for each in streaming(0, 10, 121, 181, arrived=840)]
    assert after[29].startswith("0 requests, 3.5 new ones a second of 1.00 s: 5 "), "at 150 s"
    assert after[59].startswith("0 requests, 0.0 new ones a second of 1.00 s: 0 "), "at 180 s"


def test_the_metric_that_asks_for_more_counts() -> None:
    many = (seen(at, 20, 14, arrived=7 * at, finished=7 * at, held_s=1.0) for at in range(400))
    assert last_of(a_keda(), many).replicas == 20
    assert last_of(a_keda(), streaming(14, 20, 0, 400)).replicas == 20


def test_requests_per_second_weigh_what_a_request_takes() -> None:
    assert last_of(a_keda(), streaming(7, 20, 0, 400, held_s=3.0)).replicas == 30


def test_while_the_first_ones_start_the_hpa_may_ask_for_more() -> None:
    assert a_keda().decide(seen(0, 0, queued=50, starting=3)).replicas == 7


def test_a_partial_report_is_taken_for_a_drop() -> None:
    """KEDA#1667."""
    law = a_keda()
    shown(law, (seen(at, 20, 14) for at in range(31)))
    partial = [law.decide(seen(at, 20, 7, complete=False)) for at in range(31, 400)]
    assert partial[20].need == 10
    assert partial[-1].replicas == 10


def test_to_none_300_s_after_the_last_sign_of_a_request() -> None:
    law = a_keda()
    law.decide(seen(0, 20, 14))
    decided = shown(law, (seen(at, 20) for at in range(1, 302)))
    assert decided.index(0) == 299
    assert set(shown(law, (seen(at, 0) for at in range(302, 400)))) == {0}


def test_a_request_that_was_is_a_sign_for_60_s() -> None:
    law = a_keda()
    shown(law, streaming(1, 1, 0, 11))
    decided = shown(law, (seen(at, 1, arrived=10, finished=10, held_s=1.0) for at in range(11, 380)))
    assert decided.index(0) + 11 == 10 + 59 + 300


def test_one_that_keeps_one_keeps_it() -> None:
    assert last_of(a_keda(least=1), (seen(at, 1) for at in range(700))).replicas == 1
    assert a_keda(least=1).decide(seen(0, 0)).replicas == 1


def test_bounds_hold() -> None:
    assert a_keda(most=12).decide(seen(0, 10, 10, queued=90)).replicas == 12


def test_it_says_why() -> None:
    told = last_of(a_keda(), [seen(0, 10, 10, queued=90)])
    assert told.need == 143
    assert told.reason == (
        "100 requests, 0.0 new ones a second of 0.00 s: 143 recommended, 20 after the HPA's window and rate from 10"
    )
