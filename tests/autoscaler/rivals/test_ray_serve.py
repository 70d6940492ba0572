"""Does Ray Serve here decide as Ray documents it, and fail as it is known to?"""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.observation import Observation
from autoscaler.rivals.ray_serve import RayServe
from tests.autoscaler.rivals.fluid import Fluid
from tests.autoscaler.rivals.seen import last_of, seen, settings, shown


def a_ray(*, concurrency: int = 1, least: int = 1, most: int = 1000) -> RayServe:
    return RayServe(settings(least=least, most=most), concurrency)


def steady(load: int, ready: int, since_s: int, until_s: int) -> Iterator[Observation]:
    return (seen(at, ready, min(ready, load), queued=max(0, load - ready)) for at in range(since_s, until_s))


def test_it_asks_for_the_total_over_the_ongoing_requests_wanted_of_each() -> None:
    assert last_of(a_ray(concurrency=10), steady(141, 10, 0, 31)).replicas == 21


def test_up_after_30_s_of_agreement() -> None:
    decided = shown(a_ray(), steady(14, 10, 0, 31))
    assert decided == [10] * 30 + [20]


def test_a_step_is_told_10_s_later_at_most_and_answered_after_30_s_more() -> None:
    law = a_ray()
    shown(law, steady(7, 10, 0, 121))
    decided = shown(law, steady(14, 10, 121, 200))
    assert decided[:39] == [10] * 39, "told at 130 s, agreed on at 160 s"
    assert decided[39] > 10


def test_an_agreement_that_breaks_begins_anew() -> None:
    law = a_ray()
    loads = [14] * 10 + [0] * 20 + [14] * 60  # the means that are pushed ask for more at 0, 10 and 50 s
    decided = shown(law, (seen(at, 10, min(10, load), queued=max(0, load - 10)) for at, load in enumerate(loads)))
    assert decided[:80] == [10] * 80
    assert decided[80] == 20


def test_the_load_is_a_mean_of_30_s() -> None:
    law = a_ray()
    loads = [7] * 21 + [70] * 10
    asked = [law.decide(seen(at, 10, load)) for at, load in enumerate(loads)][-1]
    assert asked.reason.startswith("a mean of 28.0 requests over 30 s asks for 40; 10 until")  # 20 of 7, 10 of 70


def test_what_is_done_is_what_is_asked_for_at_that_moment() -> None:
    law = a_ray()
    loads = [14] * 20 + [140] * 11
    assert shown(law, (seen(at, 10, load) for at, load in enumerate(loads)))[-1] == 86  # 19 of 14, 11 of 140


def test_down_after_600_s_of_agreement() -> None:
    decided = shown(a_ray(), steady(7, 20, 0, 601))
    assert decided == [20] * 600 + [10]


def test_one_moment_of_more_starts_the_600_s_anew() -> None:
    law = a_ray()
    shown(law, steady(7, 20, 0, 501))
    shown(law, steady(300, 20, 501, 502))
    assert set(shown(law, steady(7, 20, 502, 1100))) == {20}


def test_the_backlog_that_built_up_in_the_delay_is_asked_for_and_kept_600_s() -> None:
    cluster = Fluid(a_ray(), 3, cold_start_s=10).run(120, 2).run(700, 20)
    assert cluster.history[:150] == [3] * 150, "30 s behind, 540 requests wait"
    assert cluster.history[150] > 10 * 29
    assert set(cluster.history[150:750]) == {cluster.history[150]}


def test_totals_do_not_move_with_the_number_that_is_ready() -> None:
    """ray#18925 was a mean per replica, over a number that had just changed."""
    halves = (seen(at, 5 if at % 2 else 10, 5, queued=2, wished=10) for at in range(700))
    assert set(shown(a_ray(), halves)) == {10}


def test_no_delay_is_shorter_than_the_look_back() -> None:
    """ray#26455: then what is past would be acted on again, up and down. So one burst is one change."""
    law = a_ray()
    cluster = Fluid(law, 10, cold_start_s=2).run(100, 7).run(40, 14).run(400, 7)
    assert len(set(cluster.history)) == 2


def test_with_none_running_the_first_request_starts_one_at_once_and_no_more() -> None:
    law = a_ray(least=0)
    assert set(shown(law, (seen(at, 0) for at in range(5)))) == {0}
    assert law.decide(seen(5, 0, queued=1)).replicas == 1
    assert set(shown(law, (seen(6 + at, 0, queued=50 * at, starting=1) for at in range(100)))) == {1}


def test_to_none_only_from_one() -> None:
    law = a_ray(least=0)
    assert last_of(law, steady(0, 4, 0, 601)).replicas == 1
    decided = shown(law, steady(0, 1, 601, 1202))
    assert decided == [1] * 600 + [0], "after another 600 s"


def test_a_restart_forgets_what_was_agreed_on() -> None:
    before, after = a_ray(), a_ray()
    shown(before, steady(14, 10, 0, 29))
    assert before.decide(seen(30, 10, 10, queued=4)).replicas == 20
    assert after.decide(seen(30, 10, 10, queued=4)).replicas == 10


def test_bounds_hold() -> None:
    assert a_ray(most=12).decide(seen(0, 20, 20)).replicas == 12
    told = last_of(a_ray(most=12), steady(50, 12, 0, 60))
    assert told.reason == "a mean of 50.0 requests over 30 s asks for 12", "what it has is all that it asks for"


def test_it_looks_once_a_second() -> None:
    law = a_ray()
    assert law.decide(seen(0, 10, 7)) is law.decide(seen(0.5, 10, 1000))


def test_it_says_why() -> None:
    law = a_ray()
    told = last_of(law, steady(14, 10, 0, 31))
    assert told.need == 20
    assert told.reason == "a mean of 14.0 requests over 30 s asks for 20, and did for 30 s"
