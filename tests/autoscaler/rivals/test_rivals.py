"""Is every rival a law that keeps the deployment's bounds and comes to the same on a steady load?"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from autoscaler.observation import Law
from autoscaler.rivals import RIVALS
from router.core.model import ScaleSettings
from tests.autoscaler.rivals.fluid import Fluid
from tests.autoscaler.rivals.seen import seen, settings

Maker = Callable[[ScaleSettings, int], Law]
EACH = pytest.mark.parametrize("make", RIVALS.values(), ids=RIVALS.keys())


def test_they_are_known_by_name() -> None:
    assert list(RIVALS) == ["hpa", "kpa", "ray", "keda", "azureml-v1", "azureml-v2"]


@EACH
def test_steady_load_settles_at_what_it_fills_to_70_percent(make: Maker) -> None:
    cluster = Fluid(make(settings(), 1), 25, cold_start_s=2).run(1000, 14)
    assert cluster.history[-1] == 20


@EACH
def test_a_load_that_grew_is_served_in_the_end(make: Maker) -> None:
    cluster = Fluid(make(settings(), 1), 3, cold_start_s=5).run(60, 2).run(1500, 14)
    assert cluster.waiting == 0
    assert cluster.history[-1] >= 18, "an HPA is content within 10 % of the 20"


@EACH
@pytest.mark.parametrize("least", [0, 1, 3])
def test_no_load_takes_one_out_of_its_bounds(make: Maker, least: int) -> None:
    chance = random.Random(5)
    law = make(settings(least=least, most=17), 2)
    wished = ready = max(1, least)
    for second in range(3_000):
        load = chance.choice((0, 0, 1, 5, 200)) if second % 700 < 300 else 0
        in_flight = min(load, 2 * ready)
        decision = law.decide(
            seen(second, ready, in_flight, queued=load - in_flight, starting=max(0, wished - ready), arrived=second)
        )
        assert least <= decision.replicas <= 17
        assert decision.reason
        ready = min(decision.replicas, ready + chance.randrange(3)) if chance.random() < 0.3 else min(ready, wished)
        wished = decision.replicas


@EACH
def test_between_two_looks_it_answers_with_the_last(make: Maker) -> None:
    law = make(settings(), 1)
    first = law.decide(seen(100.0, 10, 7))
    assert law.decide(seen(100.0 + 0.9 * law.period_s, 10, 10, queued=500)) == first
