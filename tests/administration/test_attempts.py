"""administration/attempts.py: how often somebody may be refused."""

from __future__ import annotations

from router.administration.attempts import MAX_ADDRESSES, MOST, WINDOW_S, Attempts


def test_the_eleventh_in_ten_seconds_is_one_too_many() -> None:
    attempts = Attempts()
    assert [attempts.failed("a", 100.0 + each / 10) for each in range(MOST)] == [0.0] * MOST
    assert attempts.failed("a", 104.0) == WINDOW_S - 4.0


def test_those_that_are_too_many_do_not_make_it_longer() -> None:
    attempts = Attempts()
    for each in range(MOST):
        attempts.failed("a", float(each))
    assert all(attempts.failed("a", 9.5) for _ in range(1_000))
    assert attempts.failed("a", 10.0) == 0.0, "the first is ten seconds ago"
    assert attempts.failed("a", 10.0) == 1.0


def test_each_address_counts_for_itself() -> None:
    attempts = Attempts()
    for _ in range(MOST + 1):
        attempts.failed("a", 0.0)
    assert attempts.failed("b", 0.0) == 0.0


def test_many_addresses_take_bounded_memory_and_the_busy_ones_stay() -> None:
    attempts = Attempts()
    for each in range(3 * MAX_ADDRESSES):
        attempts.failed("busy", 0.0)
        attempts.failed(f"address {each}", 0.0)
    assert len(attempts._failed) == MAX_ADDRESSES
    assert attempts.failed("busy", 0.0) == WINDOW_S
    assert max(len(moments) for moments in attempts._failed.values()) == MOST


def test_a_clock_that_is_set_back_forgets_what_is_yet_to_come() -> None:
    attempts = Attempts()
    for _ in range(MOST):
        attempts.failed("a", 1_000_000.0)
    assert attempts.failed("a", 0.0) == 0.0
