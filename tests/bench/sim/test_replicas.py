"""Each replica costs from when it is asked for until it is gone."""

from __future__ import annotations

import pytest

from bench.sim.replicas import Replicas


def test_each_costs_from_when_it_is_asked_for_until_it_is_gone() -> None:
    replicas = Replicas()
    first = replicas.add(0.0, ready=True)
    second = replicas.add(10.0, ready=False)
    replicas.turn(second, ready=True)
    replicas.leave(first)
    assert replicas.seconds(20.0) == 20 + 10
    replicas.forget(first, 25.0)
    assert replicas.seconds(25.0) == 25 + 15
    assert replicas.seconds(100.0) == 25 + 90


def test_who_is_there_ready_or_leaving() -> None:
    replicas = Replicas()
    first, second, third = (replicas.add(0.0, ready=ready) for ready in (True, False, True))
    assert len({first, second, third}) == len(replicas) == 3
    assert replicas.first_ready() == first
    replicas.leave(first)
    assert (replicas.first_ready(), replicas.is_leaving(first), replicas.is_leaving(third)) == (third, True, False)
    assert [each.uid for each in replicas.staying()] == [second, third]
    replicas.forget(first, 1.0)
    assert [each.uid for each in replicas] == [second, third]
    assert (first in replicas, replicas.is_leaving(first)) == (False, False)
    replicas.turn(third, ready=False)
    assert replicas.first_ready() is None
    with pytest.raises(KeyError):
        replicas.turn(first, ready=True)
