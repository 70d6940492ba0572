"""Does azureml-fe here decide as Azure ML documents it, and fail as it is known to?"""

from __future__ import annotations

import pytest

from autoscaler.rivals.azureml import AzureMLV1, AzureMLV2
from router.core.model import ScaleSettings
from tests.autoscaler.rivals.fluid import Fluid
from tests.autoscaler.rivals.seen import last_of, seen, settings, shown

BOTH = pytest.mark.parametrize("version", [AzureMLV1, AzureMLV2])
Version = type[AzureMLV1] | type[AzureMLV2]


@BOTH
def test_the_documented_sizing(version: Version) -> None:
    """20 requests a second of 10 s each at 70 %: 286."""
    law = version(settings(), 1)
    assert last_of(law, (seen(at, 286, 200) for at in range(100))).replicas == 286


@BOTH
def test_up_within_a_second(version: Version) -> None:
    law = version(settings(), 1)
    assert shown(law, [seen(0, 10, 7), seen(0.9, 10, 10), seen(1, 10, 10)]) == [10, 10, 15]


@BOTH
def test_down_after_60_s_to_the_highest_need_of_them(version: Version) -> None:
    law = version(settings(), 1)
    loads = [14] + [7] * 30 + [0] * 100
    decided = shown(law, (seen(at, 20, load) for at, load in enumerate(loads)))
    assert decided[:60] == [20] * 60
    assert decided[60:90] == [10] * 30
    assert decided[90] == 1


@BOTH
def test_a_restart_begins_at_the_present_count(version: Version) -> None:
    assert shown(version(settings(), 1), (seen(at, 20, 7) for at in range(62))) == [20] * 60 + [10] * 2


def test_v1_is_busy_over_total_and_never_over_1() -> None:
    law = AzureMLV1(settings(), 1)
    assert law.decide(seen(0, 7, 7, queued=1000)).replicas == 10


def test_even_where_replicas_that_leave_are_busy_too() -> None:
    assert AzureMLV1(settings(), 1).decide(seen(0, 2, 5)).replicas == 3


def test_so_each_step_of_v1_grows_it_by_1_43_and_waits_for_the_last() -> None:
    """knative#2141, ray#24793."""
    cluster = Fluid(AzureMLV1(settings(), 1), 10, cold_start_s=10).run(60, 7).run(60, 100)
    assert cluster.history[60:120:10] == [15, 22, 32, 46, 66, 95]


def test_and_a_spike_outruns_v1() -> None:
    cluster = Fluid(AzureMLV1(settings(), 1), 10, cold_start_s=10).run(60, 7).run(30, 100)
    assert cluster.waiting > 2000
    assert max(cluster.history) < 40, "of the 143 that it takes"


def test_v2_counts_what_waits() -> None:
    assert AzureMLV2(settings(), 1).decide(seen(0, 7, 7, queued=93)).replicas == 143


def test_v2_asks_for_more_while_what_it_asked_for_cannot_be_placed() -> None:
    assert max(Fluid(AzureMLV2(settings(most=96), 1), 3, room=4).run(60, 2).run(60, 8).history) == 96


@pytest.mark.parametrize(("version", "replicas"), [(AzureMLV1, 6), (AzureMLV2, 3)])
def test_a_slot_of_several_is_a_share_of_a_replica(version: Version, replicas: int) -> None:
    law = version(settings(), 10)
    load = 40 if version is AzureMLV1 else 15
    assert law.decide(seen(0, 1, load, starting=3, wished=1)).replicas == replicas


@BOTH
def test_it_keeps_one(version: Version) -> None:
    assert last_of(version(settings(least=0), 1), (seen(at, 1) for at in range(100))).replicas == 1


@BOTH
def test_bounds_hold(version: Version) -> None:
    assert version(settings(most=12), 1).decide(seen(0, 10, 10)).replicas == 12


@BOTH
def test_what_is_ours_is_ignored(version: Version) -> None:
    law = version(ScaleSettings(max_instances=50, polling_interval=30, scale_down_window=5.0), 1)
    assert shown(law, (seen(at, 20, 20 if at == 1 else 7) for at in range(30)))[1:] == [29] + [20] * 28


def test_they_say_why() -> None:
    now = seen(0, 7, 7, queued=93, starting=3)
    first, second = AzureMLV1(settings(), 1).decide(now), AzureMLV2(settings(), 1).decide(now)
    assert (first.need, second.need) == (10, 143)
    assert first.reason == "7 busy slots of 10 replicas ask for 10; the most of 60 s is 10"
    assert second.reason == "7 busy slots and 93 queued requests ask for 143; the most of 60 s is 143"
