"""Which failed request may be sent again, and how many are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.errors import (
    ClientGone,
    Overloaded,
    ReplicaClosed,
    ReplicaMisbehaved,
    ReplicaUnreachable,
    RequestTimeout,
    RouterError,
)
from router.core.retries import MAX_ATTEMPTS, RetryBudget, is_idempotent, is_safe


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize(
    ("error", "by_itself", "if_idempotent"),
    [
        (ReplicaUnreachable("refused"), True, True),  # nothing was sent
        (ReplicaClosed(), False, True),  # sent, and no byte of a reply
        (ReplicaMisbehaved("x"), False, False),  # a byte of a reply came
        (RequestTimeout(1), False, False),
        (Overloaded("iris", 1.0), False, False),
        (ClientGone(), False, False),
        (RouterError("x"), False, False),
    ],
)
def test_only_what_was_not_executed_or_may_be_twice_is_sent_again(
    error: RouterError, by_itself: bool, if_idempotent: bool, idempotent: bool
) -> None:
    assert is_safe(error, idempotent=idempotent) == (if_idempotent if idempotent else by_itself)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("GET", True), ("HEAD", True), ("OPTIONS", True), ("TRACE", True), ("PUT", True), ("DELETE", True),
        ("POST", False), ("PATCH", False), ("get", False), ("LOCK", False), ("", False),
    ],
)  # fmt: skip
def test_methods_are_idempotent_as_rfc_9110_says(method: str, expected: bool) -> None:
    assert is_idempotent(method, has_idempotency_key=False, declared=False) == expected
    assert is_idempotent(method, has_idempotency_key=True, declared=False)
    assert is_idempotent(method, has_idempotency_key=False, declared=True)


@given(st.lists(st.booleans(), max_size=400))
def test_retries_are_at_most_a_fifth_of_the_requests_and_ten(steps: list[bool]) -> None:
    """True: a request. False: an attempt to retry."""
    budget = RetryBudget()
    requests = spent = 0
    for is_request in steps:
        if is_request:
            budget.request()
            requests += 1
        else:
            spent += budget.spend()
        assert spent <= 10 + requests / 5 + 1e-6
    assert budget.retries_total == spent


def test_a_deployment_with_few_requests_has_ten_retries() -> None:
    budget = RetryBudget()
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]


def test_a_lasting_failure_settles_at_one_retry_in_five_requests() -> None:
    budget = RetryBudget()
    for _ in range(1_000):
        budget.request()
        budget.spend()
    assert budget.retries_total in range(205, 212)


def test_a_quiet_time_saves_up_no_more_than_the_reserve() -> None:
    budget = RetryBudget()
    for _ in range(1_000):
        budget.request()
    assert sum(budget.spend() for _ in range(100)) == 10


def test_a_request_has_a_second_chance_and_an_end() -> None:
    assert 2 <= MAX_ATTEMPTS <= 5
