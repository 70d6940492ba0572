"""Is one look in each period a look, and the others not?"""

from __future__ import annotations

from itertools import accumulate, repeat

from autoscaler.rivals.pace import Pace


def test_one_look_in_each_period() -> None:
    pace = Pace(15.0)
    assert [at for at in range(100, 150) if pace.due(at)] == [100, 115, 130, 145]


def test_a_late_look_moves_the_next() -> None:
    pace = Pace(2.0)
    assert [at for at in (0.0, 3.0, 4.0, 5.0) if pace.due(at)] == [0.0, 3.0, 5.0]


def test_sums_of_seconds_that_come_a_hair_early_are_in_time() -> None:
    pace = Pace(1.0)
    tenths = list(accumulate(repeat(0.1, 1000)))
    assert sum(pace.due(at) for at in tenths) == 100
