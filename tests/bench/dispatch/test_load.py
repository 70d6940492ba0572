"""Requests come as often, as unevenly and with such lengths as the load says, and the same for the same seed."""

from __future__ import annotations

import statistics
from collections import Counter
from itertools import pairwise

import pytest
from msgspec.structs import replace

from bench.dispatch.load import LENGTHS, Load, quantile, requests_of

LOAD = Load(replicas=12, share=0.9, requests=20_000)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_lengths_have_the_mean_and_the_work_takes_the_share(lengths: str) -> None:
    load = replace(LOAD, lengths=lengths, requests=100_000)
    requests = requests_of(load)
    mean_s = statistics.fmean(request.length_s for request in requests)
    assert mean_s == pytest.approx(0.1, rel=0.03)
    assert sum(request.length_s for request in requests) / requests[-1].at_s / 12 == pytest.approx(0.9, rel=0.03)


def test_variances_are_what_the_names_say() -> None:
    of = {name: [each.length_s for each in requests_of(replace(LOAD, lengths=name))] for name in LENGTHS}
    spread = {name: statistics.pstdev(values) / statistics.fmean(values) for name, values in of.items()}
    assert spread["constant"] == 0
    assert spread["exponential"] == pytest.approx(1.0, rel=0.05)
    assert spread["heavy-tailed"] > 2


def test_the_last_instance_gets_as_many_times_the_firsts_as_there_are() -> None:
    counts = Counter(request.instance for request in requests_of(LOAD))
    assert sorted(counts) == list(range(6))
    for instance, count in counts.items():
        assert count == pytest.approx(20_000 * (instance + 1) / 21, rel=0.1)


def test_arrivals_are_in_order_and_as_far_apart_as_chance_has_it() -> None:
    moments = [request.at_s for request in requests_of(LOAD)]
    gaps = [later - sooner for sooner, later in pairwise(moments)]
    assert min(gaps) >= 0
    assert statistics.pstdev(gaps) / statistics.fmean(gaps) == pytest.approx(1.0, rel=0.05)


def test_a_seed_is_one_draw_of_chance_and_what_differs_otherwise_is_all_that_differs() -> None:
    assert requests_of(LOAD) == requests_of(LOAD)
    assert requests_of(LOAD) != requests_of(replace(LOAD, seed=2))
    shorter = requests_of(replace(LOAD, lengths="constant"))
    assert [each[:2] for each in shorter] == [each[:2] for each in requests_of(LOAD)]


def test_a_quantile_is_a_value_that_was_there() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [quantile(values, share) for share in (0.0, 0.001, 0.5, 0.99, 1.0)] == [1.0, 1.0, 50.0, 99.0, 100.0]
    assert quantile([7.0], 0.99) == 7.0
