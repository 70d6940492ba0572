"""scaled.py: what is remembered of a deployment, what was asked, and who should go first."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from autoscaler import scaled
from autoscaler.observation import Decision, Observation
from autoscaler.scaled import ASK_AGAIN_S, ScaledDeployment
from autoscaler.share import NO_SHARE, shares
from router.core.model import Deployment, Instance, ScaleSettings, Trouble
from tests.autoscaler.nouns import KEY, ROUTER, deployment, load, replicas, snapshot

R1, R2 = Instance(id="r1", admin="http://a"), Instance(id="r2", admin="http://b")


class Counting:
    """A law that says how often it was asked, and keeps what it was made of."""

    made: list[tuple[ScaleSettings, int]] = []  # noqa: RUF012

    def __init__(self, settings: ScaleSettings, concurrency: int) -> None:
        self.period_s = float(settings.polling_interval)
        self._asked = 0
        Counting.made.append((settings, concurrency))

    def decide(self, seen: Observation) -> Decision:
        self._asked += 1
        return Decision(replicas=self._asked, need=seen.in_flight + seen.queued, reason="")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ScaleSettings, int]]:
    monkeypatch.setitem(scaled.LAWS, scaled.LAW, Counting)
    Counting.made = []
    return Counting.made


def following(noun: Deployment, **more: object) -> ScaledDeployment:
    each = ScaledDeployment(noun)
    show(each, noun, **more)
    return each


def show(each: ScaledDeployment, noun: Deployment, now: float = 0.0, **more: object) -> None:
    """A snapshot with this deployment in it."""
    seen = snapshot(noun, **more)
    each.follow(noun, shares(seen).get(noun.key, NO_SHARE), frozenset(each.id for each in seen.instances), now)


def test_a_law_lives_as_long_as_its_settings_and_concurrency(made: list[tuple[ScaleSettings, int]]) -> None:
    noun = deployment(polling_interval=3)
    each = following(noun)
    each.decide(0.0)
    for same in (noun, deployment(polling_interval=3)):
        show(each, same, 1.0)
        each.decide(1.0)
    assert each.decide(2.0)[1].replicas == 4
    assert each.due_s == 5.0
    for other in (deployment(polling_interval=4), deployment(polling_interval=4, concurrency=2)):
        show(each, other, 3.0)
        assert each.decide(3.0)[1].replicas == 1
    assert made == [(noun.scale, 1), (other.scale, 1), (other.scale, 2)]


def test_the_law_is_told_how_long_a_request_may_wait() -> None:
    noun = deployment()
    each = following(replace(noun, request=replace(noun.request, max_queue_wait_ms=1_250)))
    assert each.decide(0.0)[0].queue_wait_s == 1.25


def test_more_to_do_than_before_and_any_queue_can_not_wait() -> None:
    each = following(deployment(), instances=(R1, R2))
    said = [(2, 0), (2, 0), (1, 0), (2, 0), (1, 1), (1, 1), (1, 0)]
    urgent = [each.report("r1", load(in_flight, queued), 0.0) for in_flight, queued in said]
    assert urgent == [True, False, False, True, True, True, False]
    assert each.report("r2", load(1), 0.0)


def test_reports_of_all_routers_are_seen_together() -> None:
    each = following(deployment(), instances=(R1, R2))
    each.report("r1", load(2, 1), 0.0)
    assert not each.decide(0.0)[0].complete
    each.report("r2", load(3), 0.0)
    observation, _ = each.decide(0.0)
    assert (observation.in_flight, observation.queued, observation.complete) == (5, 1, True)


def test_the_idle_go_first_then_the_youngest_over_all_routers() -> None:
    each = following(deployment(), instances=(R1, R2), replicas=replicas("a", "b", "c", "d", "e"))
    each.report("r1", load(a=1, b=1, c=1), 0.0)
    each.report("r2", load(c=1, e=2, gone=0), 0.0)
    assert each.leave_first() == ("d", "b", "a", "e", "c")


def test_who_leaves_or_whose_router_left_does_not_count() -> None:
    noun = deployment()
    each = following(noun, instances=(R1, R2), replicas=replicas("a", "b"))
    each.report("r1", load(b=1), 0.0)
    staying = (*replicas("a", "b"), *replicas("c", leaving=True))
    show(each, noun, instances=(R2,), replicas=staying)
    assert each.leave_first() == ("b", "a")


def test_what_was_asked_stands_until_the_platform_shows_it_or_long_enough() -> None:
    noun = deployment()
    each = following(noun, wished={KEY: 3})
    assert each.stands(0.0) == 3
    each.ask(5, 0.0)
    assert each.stands(ASK_AGAIN_S - 0.1) == 5
    assert each.stands(ASK_AGAIN_S) == 3
    show(each, noun, 1.0, wished={KEY: 5})
    show(each, noun, 2.0, wished={KEY: 4})
    assert each.stands(2.0) == 4


def test_where_the_platform_knows_no_wish_it_is_what_stays() -> None:
    there = (*replicas("a", "b"), *replicas("c", leaving=True), *replicas("z", key="iris/green"))
    assert following(deployment(), replicas=there).stands(0.0) == 2


def test_a_refusal_is_remembered_and_asks_again_at_once() -> None:
    each = following(deployment(), wished={KEY: 3})
    each.ask(5, 0.0)
    each.asked_in_vain("no")
    assert (each.stands(0.0), each.fault) == (3, "no")


def test_only_a_conflict_leaves_its_number_alone_and_while_it_lasts() -> None:
    noun = deployment()
    start, hpa = (Trouble(deployment=KEY, kind=kind, reason=kind) for kind in ("start", "conflict"))
    each = following(noun, troubles=(start,))
    assert each.conflict is None
    assert each.decide(0.0)[0].trouble == start
    show(each, noun, troubles=(start, hpa))
    assert each.conflict == each.decide(0.0)[0].trouble == hpa
    show(each, noun)
    assert each.conflict is each.decide(0.0)[0].trouble is None


def test_each_change_is_seen_and_what_stays_goes_on() -> None:
    noun = deployment()
    each = following(noun, replicas=replicas("a"))
    for at in (1.0, 2.0):
        show(each, noun, at, replicas=(*replicas("a"), *replicas("b", ready=False)))
    assert each.decide(3.0)[0].starting == (2.0,)
    show(each, noun, 4.0, replicas=replicas("a", "b"))
    assert (each.decide(4.0)[0].ready, each.decide(4.0)[0].start_s) == (2, 3.0)
    each.report(ROUTER.id, load(2), 4.0)
    show(each, noun, 5.0, replicas=replicas("a", "b"), instances=(R1,))
    assert not each.decide(5.0)[0].complete
