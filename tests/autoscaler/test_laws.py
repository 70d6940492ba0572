"""laws.py: each law by its name takes what a deployment declares, and answers within its bounds."""

from __future__ import annotations

import pytest

from autoscaler.law import ScoregateLaw
from autoscaler.laws import LAWS
from autoscaler.observation import Law
from autoscaler.rivals import RIVALS
from router.core.model import ScaleSettings
from tests.autoscaler.stream import Stream
from tests.autoscaler.test_observation import FULL


def test_ours_and_all_rivals_have_a_name() -> None:
    assert list(LAWS) == ["scoregate", *RIVALS]
    assert LAWS["scoregate"] is ScoregateLaw


@pytest.mark.parametrize("name", LAWS)
def test_every_law_takes_all_that_may_be_seen_and_says_why(name: str) -> None:
    law: Law = LAWS[name](ScaleSettings(max_instances=10), 1)
    assert law.period_s > 0
    assert law.decide(FULL).reason


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("name", LAWS)
def test_every_law_goes_up_to_its_bound_and_down_to_it(name: str, concurrency: int) -> None:
    """A load for half of the most there may be, one for four times the most, and none."""
    law = LAWS[name](ScaleSettings(min_instances=2, max_instances=12), concurrency)
    stream = Stream(law, 2, start_s=5.0, concurrency=concurrency)
    stream.run(60, 4 * concurrency).run(120, 36 * concurrency)
    assert stream.history[-1] == 12
    stream.run(3_000, 0)
    assert stream.history[-1] == 2
    assert (min(stream.history), max(stream.history)) == (2, 12)


@pytest.mark.parametrize("name", LAWS)
def test_every_law_counts_slots_and_not_requests(name: str) -> None:
    """With four slots each, a steady load needs a quarter of the replicas that it needs with one."""
    settled = {}
    for concurrency in (1, 4):
        law = LAWS[name](ScaleSettings(max_instances=100), concurrency)
        settled[concurrency] = Stream(law, 40, start_s=5.0, concurrency=concurrency).run(900, 28).history[-1]
    assert settled[4] == pytest.approx(settled[1] / 4, abs=1)
