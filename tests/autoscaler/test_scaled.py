"""scaled.py: what is remembered of a deployment, what was asked, and who should go first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from autoscaler import scaled
from autoscaler.observation import Decision, Observation
from autoscaler.scaled import ASK_AGAIN_S, ScaledDeployment
from autoscaler.share import NO_SHARE, shares
from router.core.model import Deployment, Hold, Instance, ScaleSettings, Trouble
from tests.autoscaler.nouns import KEY, ROUTER, deployment, load, replicas, snapshot

NOON_S = 1_800_014_400.0
"""A noon, in UTC, since the epoch."""
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
    each.follow(noun, shares(seen).get(noun.key, NO_SHARE), {each.id: each.serves for each in seen.instances}, now)


def test_a_law_lives_as_long_as_its_settings_and_concurrency(made: list[tuple[ScaleSettings, int]]) -> None:
    noun = deployment(polling_interval=3)
    each = following(noun)
    each.decide(0.0, NOON_S)
    for same in (noun, deployment(polling_interval=3)):
        show(each, same, 1.0)
        each.decide(1.0, NOON_S)
    assert each.decide(2.0, NOON_S)[1].replicas == 4
    assert each.due_s == 5.0
    for other in (deployment(polling_interval=4), deployment(polling_interval=4, concurrency=2)):
        show(each, other, 3.0)
        assert each.decide(3.0, NOON_S)[1].replicas == 1
    assert made == [(noun.scale, 1), (other.scale, 1), (other.scale, 2)]


def test_the_law_is_told_how_long_a_request_may_wait() -> None:
    noun = deployment()
    each = following(replace(noun, request=replace(noun.request, max_queue_wait_ms=1_250)))
    assert each.decide(0.0, NOON_S)[0].queue_wait_s == 1.25


def test_more_to_do_than_before_and_any_queue_can_not_wait() -> None:
    each = following(deployment(), instances=(R1, R2))
    said = [(2, 0), (2, 0), (1, 0), (2, 0), (1, 1), (1, 1), (1, 0)]
    urgent = [each.report("r1", load(in_flight, queued), 0.0) for in_flight, queued in said]
    assert urgent == [True, False, False, True, True, True, False]
    assert each.report("r2", load(1), 0.0)


def test_reports_of_all_routers_are_seen_together() -> None:
    each = following(deployment(), instances=(R1, R2))
    each.report("r1", load(2, 1), 0.0)
    assert not each.decide(0.0, NOON_S)[0].complete
    each.report("r2", load(3), 0.0)
    observation, _ = each.decide(0.0, NOON_S)
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
    assert each.decide(0.0, NOON_S)[0].trouble == start
    show(each, noun, troubles=(start, hpa))
    assert each.conflict == each.decide(0.0, NOON_S)[0].trouble == hpa
    show(each, noun)
    assert each.conflict is each.decide(0.0, NOON_S)[0].trouble is None


def test_each_change_is_seen_and_what_stays_goes_on() -> None:
    noun = deployment()
    each = following(noun, replicas=replicas("a"))
    for at in (1.0, 2.0):
        show(each, noun, at, replicas=(*replicas("a"), *replicas("b", ready=False)))
    assert each.decide(3.0, NOON_S)[0].starting == (2.0,)
    show(each, noun, 4.0, replicas=replicas("a", "b"))
    assert (each.decide(4.0, NOON_S)[0].ready, each.decide(4.0, NOON_S)[0].start_s) == (2, 3.0)
    each.report(ROUTER.id, load(2), 4.0)
    show(each, noun, 5.0, replicas=replicas("a", "b"), instances=(R1,))
    assert not each.decide(5.0, NOON_S)[0].complete


# -- held by hand ------------------------------------------------------------------------------------------------


def held(replicas: int, for_s: float = 300.0) -> dict[str, Hold]:
    return {KEY: Hold(replicas=replicas, until_s=NOON_S + for_s)}


def test_what_is_held_has_that_number_until_its_time_is_over(made: list[tuple[ScaleSettings, int]]) -> None:
    each = following(deployment(), holds=held(5), wished={KEY: 2})
    each.report("router-1", load(7), 0.0)
    _, decision = each.decide(0.0, NOON_S)
    assert decision == Decision(replicas=5, need=7, reason="held at 5 by hand until 12:05:00Z")
    assert each.decide(1.0, NOON_S + 299.9)[1].replicas == 5
    assert each.decide(2.0, NOON_S + 300.0)[1] == Decision(replicas=3, need=7, reason="")
    assert len(made) == 1, "the law was asked all the time"


def test_a_hold_that_is_taken_back_counts_no_more() -> None:
    noun = deployment()
    each = following(noun, holds=held(5), wished={KEY: 2})
    show(each, noun, wished={KEY: 2})
    assert "by hand" not in each.decide(0.0, NOON_S)[1].reason


def test_a_change_of_the_hold_is_decided_at_once() -> None:
    noun = deployment(polling_interval=9)
    each = following(noun)
    each.decide(0.0, NOON_S)
    for now, holds, due_s in ((1.0, {}, 9.0), (2.0, held(5), 2.0), (3.0, held(5), 2.0), (4.0, {}, 4.0)):
        show(each, noun, now, holds=holds)
        assert each.due_s == due_s


@pytest.mark.parametrize(("asked", "replicas"), [(0, 2), (1, 2), (2, 2), (6, 6), (7, 6)])
def test_the_bounds_of_the_deployment_hold_over_a_hand(asked: int, replicas: int) -> None:
    each = following(deployment(min_instances=2, max_instances=6), holds=held(asked))
    decision = each.decide(0.0, NOON_S)[1]
    assert decision.replicas == replicas
    assert (f", as near to {asked} as its bounds allow" in decision.reason) == (asked != replicas)


def test_what_something_else_scales_is_not_held() -> None:
    hpa = Trouble(deployment=KEY, kind="conflict", reason="an HPA")
    each = following(deployment(), holds=held(5), wished={KEY: 2}, troubles=(hpa,))
    assert each.decide(0.0, NOON_S)[1].reason == "left alone at 2: an HPA"
    full = Trouble(deployment=KEY, kind="placement", reason="full")
    each = following(deployment(), holds=held(5), wished={KEY: 2}, troubles=(full,))
    assert each.decide(0.0, NOON_S)[1].replicas == 5


@pytest.mark.parametrize(
    ("for_s", "moment"),
    [(1.0, "12:00:01Z"), (86_399.0, "11:59:59Z"), (86_400.0, "2027-01-16T12:00:00Z"), (1e300, "9999-12-31T00:00:00Z")],
)
def test_the_moment_has_its_day_where_it_is_not_clear(for_s: float, moment: str) -> None:
    each = following(deployment(), holds=held(5, for_s))
    assert each.decide(0.0, NOON_S)[1].reason == f"held at 5 by hand until {moment}"


@given(
    looks=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.booleans()), min_size=1, max_size=40),
    number=st.integers(0, 15),
    ends_after=st.integers(0, 40),
)
def test_a_hold_changes_the_number_and_nothing_that_the_law_remembers(
    looks: list[tuple[int, int, bool]], number: int, ends_after: int
) -> None:
    """Two that see the same, one of them held: it has just that number until the end, and then what the other has."""
    noun = deployment(min_instances=1, max_instances=12, scale_down_window=10.0)
    free, bound = following(noun), following(noun, holds=held(number, ends_after))
    for at_s, (in_flight, queued, has_conflict) in enumerate(looks):
        hpa = (Trouble(deployment=KEY, kind="conflict", reason="an HPA"),) if has_conflict else ()
        for each, holds in ((free, {}), (bound, held(number, ends_after))):
            show(each, noun, at_s, wished={KEY: 3}, holds=holds, troubles=hpa)
            each.report("router-1", load(in_flight, queued), at_s)
        mine, its = bound.decide(at_s, NOON_S + at_s), free.decide(at_s, NOON_S + at_s)
        assert mine[0] == its[0]
        if at_s < ends_after and not has_conflict:
            assert (mine[1].replicas, mine[1].need) == (min(12, max(1, number)), its[1].need)
        else:
            assert mine[1] == its[1]
