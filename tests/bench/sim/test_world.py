"""Every request is served once, no replica is overfilled, and waits and costs are what they are by hand."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from statistics import mean

import pytest
from msgspec.structs import replace

from autoscaler.laws import LAWS
from autoscaler.observation import Decision, Observation
from bench.arrivals import poisson
from bench.sim.scenarios import SCENARIOS, SEED, exponential
from bench.sim.sweep import BOUNDS
from bench.sim.world import Outcome, World
from tests.bench.sim.scripted import Scripted, always, load
from tests.sim.test_queueing import draw, erlang_c_mean_wait, ideal

DELAY_S = 0.05


def ready_at(law: Scripted) -> dict[float, int]:
    return {round(seen.at_s - DELAY_S, 6): seen.ready for seen in law.shown}


# -- figures by hand ---------------------------------------------------------------------------------------


def test_waits_late_share_and_p99_by_hand() -> None:
    outcome = World(load([0.0, 0.1, 0.2, 0.3], 0.7, 10.0), always(1), cold_start_s=10.0).run()
    assert outcome.late_share == 2 / 4
    assert outcome.mean_wait_s == pytest.approx((0.0 + 0.6 + 1.2 + 1.8) / 4)
    assert outcome.p99_wait_s == pytest.approx(1.8)
    assert (outcome.requests, outcome.unserved, outcome.changes) == (4, 0, 0)
    assert outcome.replica_hours == pytest.approx(10.0 / 3600)


def test_p99_leaves_out_one_in_a_hundred() -> None:
    arrivals = [10.0 * number for number in range(99)]
    outcome = World(load([*arrivals, 980.5], 1.0, 1000.0), always(1), cold_start_s=0.0).run()
    assert (outcome.p99_wait_s, outcome.mean_wait_s) == (0.0, pytest.approx(0.5 / 100))


def test_who_still_waits_at_the_end_has_waited_so_far() -> None:
    outcome = World(load([0.0, 1.0], 100.0, 50.0), always(1), cold_start_s=10.0).run()
    assert (outcome.unserved, outcome.late_share, outcome.mean_wait_s) == (1, 0.5, 49.0 / 2)


def test_a_replica_costs_from_when_it_is_asked_for_until_it_has_finished() -> None:
    wishes = Scripted(lambda now: 3 if 100 < now < 200 else 1)
    idle = World(load([0.0], 0.1, 300.0), wishes, cold_start_s=10.0).run()
    assert (idle.replica_hours * 3600, idle.changes) == (pytest.approx(300 + 2 * 100), 2)
    busy = World(load([190.0, 190.1, 190.2], 50.0, 300.0), wishes, cold_start_s=10.0).run()
    asked_at = 100 + DELAY_S
    assert busy.replica_hours * 3600 == pytest.approx(300 + (240.1 - asked_at) + (240.2 - asked_at))
    assert (busy.late_share, busy.unserved) == (0.0, 0)


def test_those_that_have_not_started_go_first() -> None:
    law = Scripted(lambda now: 2 if now < 20 else 4 if now < 22 else 1)
    World(load([15.0], 20.0, 30.0, initial=2), law, cold_start_s=10.0).run()
    shown = [(seen.ready, len(seen.starting), seen.leaving) for seen in law.shown[20:]]
    assert shown == [(2, 0, 0), (2, 2, 0), (2, 2, 0), *[(1, 0, 0)] * 7]
    assert law.shown[-1].in_flight == 1  # of the two that were ready the idle one went


def test_of_two_the_unwell_one_goes_then_the_idle_one_then_the_newest() -> None:
    fewer = Scripted(lambda now: 2 if now < 5 else 1)
    unwell = replace(load([1.0], 0.1, 10.0, initial=2), flaps=((4.0, 100.0),))
    World(unwell, fewer, cold_start_s=10.0).run()
    assert (fewer.shown[-1].ready, fewer.shown[-1].starting) == (1, ())
    fewer.shown.clear()
    World(load([1.0, 2.0], [2.0, 100.0], 10.0, initial=2), fewer, cold_start_s=10.0).run()
    assert [(seen.in_flight, seen.leaving) for seen in fewer.shown[5:]] == [(1, 0)] * 5


# -- the wait is that of one queue -------------------------------------------------------------------------


def test_with_a_fixed_number_each_wait_is_that_of_one_shared_queue() -> None:
    arrivals, services = draw(5, 15_000)
    outcome = World(load(arrivals, services, arrivals[-1] + 100, initial=20), always(20), cold_start_s=10.0).run()
    assert outcome.mean_wait_s == pytest.approx(mean(ideal(arrivals, services)), abs=1e-9)
    assert outcome.unserved == 0


def test_with_a_fixed_number_the_mean_wait_is_erlangs() -> None:
    arrivals = poisson(7.0, 8000.0, seed=3)
    services = exponential(1.0, len(arrivals), 4)
    outcome = World(load(arrivals, services, 8100.0, initial=10), always(10), cold_start_s=10.0).run()
    assert outcome.mean_wait_s == pytest.approx(erlang_c_mean_wait(10, 0.7), rel=0.1)


# -- nothing is lost ---------------------------------------------------------------------------------------


class Restless:
    """Any number at any time, in the end enough; looks each time whether all that arrived is somewhere, once."""

    period_s = 1.0

    def __init__(self, concurrency: int) -> None:
        self._chance = Random(11)
        self._concurrency = concurrency
        self.world: World | None = None
        self.resent = 0

    def decide(self, seen: Observation) -> Decision:
        self.look()
        whim = self._chance.randint(1, 9)
        return Decision(replicas=whim if seen.at_s < 300 else 12, need=1, reason="whim")

    def look(self) -> None:
        world = self.world
        assert world is not None
        serving = [index for held in world._serving.values() for index in held]
        waiting = list(world._waiting.values())
        assert all(len(held) <= self._concurrency for held in world._serving.values())
        assert len({*serving, *waiting}) == len(serving) + len(waiting)
        assert len(serving) == world._dispatcher.in_flight == sum(router.in_flight for router in world._routers)
        assert len(waiting) == world._dispatcher.queued == sum(router.queued for router in world._routers)
        arrived = sum(arrival <= world.now for arrival in world._scenario.arrivals)
        finished = sum(router.finished for router in world._routers)
        assert finished + len(serving) + len(waiting) == arrived
        self.resent = sum(router.arrived for router in world._routers) - arrived


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("cold_start_s", [0.0, 7.0])
def test_whims_flaps_and_deaths_lose_nothing_and_overfill_nobody(concurrency: int, cold_start_s: float) -> None:
    arrivals = poisson(6.0 * concurrency, 280.0, seed=2)
    scenario = replace(
        load(arrivals, exponential(0.6, len(arrivals), 9), 600.0, initial=4),
        concurrency=concurrency,
        flaps=tuple((float(moment), 5.0) for moment in range(10, 280, 7)),
        deaths=tuple(float(moment) for moment in range(20, 280, 20)),
    )
    law = Restless(concurrency)
    law.world = World(scenario, law, cold_start_s=cold_start_s, routers=3, report_delay_s=0.2)
    outcome = law.world.run()
    law.look()
    assert (outcome.unserved, len(law.world._waiting), law.world._dispatcher.in_flight) == (0, 0, 0)
    assert 0 < law.resent <= len(scenario.deaths) * concurrency
    assert all(router.arrived > len(arrivals) / 4 for router in law.world._routers)


def test_who_was_on_a_replica_that_died_is_served_again_on_another() -> None:
    scenario = replace(load([0.0], 30.0, 60.0), deaths=(10.0,))
    law = always(1)
    outcome = World(scenario, law, cold_start_s=5.0).run()
    assert (outcome.requests, outcome.unserved, outcome.late_share, outcome.changes) == (1, 0, 0.0, 0)
    in_flight = [(seen.at_s, seen.in_flight, seen.queued) for seen in law.shown]
    assert next(at_s for at_s, flying, queued in in_flight if queued and not flying) == pytest.approx(10.0 + DELAY_S)
    assert law.shown[17].in_flight == 1
    assert law.shown[-1].finished_total == 1
    assert outcome.replica_hours == pytest.approx(60.0 / 3600)


def test_an_unwell_replica_finishes_what_it_has_and_takes_nothing_new_until_it_is_well() -> None:
    scenario = replace(load([4.0, 6.0], 3.0, 30.0), flaps=((5.0, 15.0),))
    law = always(1)
    outcome = World(scenario, law, cold_start_s=10.0).run()
    assert ready_at(law)[4.0] == 1
    assert ready_at(law)[19.0] == 0
    assert ready_at(law)[20.0] == 1
    assert law.shown[8].finished_total == 1
    assert outcome.mean_wait_s == pytest.approx((0.0 + 14.0) / 2)


# -- starting, reporting, chance ---------------------------------------------------------------------------


def test_a_replica_takes_its_start_time_and_it_is_measured() -> None:
    law = Scripted(lambda now: 1 if now < 5 else 3)
    outcome = World(load([0.0, 1.0, 1.1], 100.0, 40.0), law, cold_start_s=10.0).run()
    asked_at = 5 + DELAY_S
    before, after = asked_at + 9.0, asked_at + 11.0
    assert {seen.ready for seen in law.shown if seen.at_s < before} == {1}
    assert {seen.ready for seen in law.shown if seen.at_s > after} == {3}
    assert law.shown[-1].start_s == pytest.approx(10.0, abs=1.0)
    assert law.shown[-1].queued == 0
    assert outcome.mean_wait_s * 3 == pytest.approx(2 * (asked_at + 10.0) - 2.1, abs=2.0)
    assert max(seen.starting for seen in law.shown)[0] > 8.0


def test_a_start_of_no_time_is_there_at_once() -> None:
    law = Scripted(lambda now: 1 if now < 5 else 3)
    outcome = World(load([0.0, 4.5, 4.6], 100.0, 40.0), law, cold_start_s=0.0).run()
    assert (outcome.mean_wait_s * 3, outcome.late_share) == (pytest.approx((5 + DELAY_S) * 2 - 9.1), 0.0)
    assert all(not seen.starting for seen in law.shown)


def test_what_is_seen_is_what_was_reported_a_delay_ago() -> None:
    law = always(1)
    World(load([0.5, 1.2], 100.0, 3.5), law, cold_start_s=10.0, report_delay_s=0.4).run()
    seen = [(round(each.at_s, 6), each.in_flight, each.queued, each.arrived_total) for each in law.shown]
    assert seen == [(0.4, 0, 0, 0), (1.4, 1, 0, 1), (1.6, 1, 1, 2), (2.4, 1, 1, 2), (3.4, 1, 1, 2)]


def test_a_queue_that_forms_is_told_at_once_but_not_too_often() -> None:
    law = always(1)
    arrivals, services_s = [0.10, 0.30, 0.34, 0.36], [0.22, 0.03, 0.02, 100.0]  # one waits at 0.30, at 0.34, at 0.36
    World(load(arrivals, services_s, 1.0), law, cold_start_s=10.0).run()
    assert [round(seen.at_s - DELAY_S, 6) for seen in law.shown] == [0.0, 0.3, 0.4]


@pytest.mark.parametrize("name", ["azureml-v2", "keda"])
def test_any_number_of_routers_reports_the_same_totals(name: str) -> None:
    def outcome(routers: int) -> Outcome:
        law = LAWS[name](BOUNDS, 1)
        return World(SCENARIOS["flapping"](SEED), law, cold_start_s=10.0, routers=routers).run()

    assert outcome(1) == outcome(2) == outcome(7)


def test_the_same_seed_is_the_same_outcome_and_another_seed_another() -> None:
    def outcome(seed: int) -> Outcome:
        law = Scripted(lambda now: 1 if now < 5 else 3)
        return World(replace(load([0.0, 1.0, 1.1], 100.0, 40.0), seed=seed), law, cold_start_s=10.0).run()

    assert outcome(1) == outcome(1)
    assert outcome(1).mean_wait_s != outcome(2).mean_wait_s  # only the starts are left to chance here


def test_replicas_do_not_all_start_in_the_same_moment() -> None:
    law = Scripted(lambda now: 1 if now < 5 else 9)
    World(load([0.0], 0.1, 200.0), law, cold_start_s=100.0).run()
    counts = [seen.ready for seen in law.shown]
    assert (counts[94], counts[116]) == (1, 9)
    assert sum(before < after for before, after in pairwise(counts)) >= 4


# -- what others found -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "late_share", "replica_hours"), [("azureml-v1", 0.375, 10.6), ("azureml-v2", 0.137, 28.4)]
)
def test_azure_mls_rules_on_the_trace_do_as_was_measured_elsewhere(
    name: str, late_share: float, replica_hours: float
) -> None:
    outcome = World(SCENARIOS["trace"](SEED), LAWS[name](BOUNDS, 1), cold_start_s=10.0).run()
    assert outcome.requests == 8819
    assert outcome.late_share == pytest.approx(late_share, rel=0.06)
    assert outcome.replica_hours == pytest.approx(replica_hours, rel=0.06)
