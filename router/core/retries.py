"""May this failed request be sent again, to another replica?

Pure. Only if nothing of it reached the first one, or it was not answered and is idempotent (RFC 9110 9.2.2); and only
while the budget lasts, so that retries never become the load that keeps a deployment down.
"""

from __future__ import annotations

from router.core.errors import RouterError

MAX_ATTEMPTS = 3
_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))
_SHARE = 0.2
_RESERVE = 10.0


class RetryBudget:
    """At most a fifth as many retries as requests, and a reserve of ten for deployments with few."""

    __slots__ = ("_tokens", "retries_total")

    def __init__(self) -> None:
        self._tokens = _RESERVE
        self.retries_total = 0

    def request(self) -> None:
        if self._tokens < _RESERVE:
            self._tokens += _SHARE

    def spend(self) -> bool:
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        self.retries_total += 1
        return True


def is_safe(error: RouterError, *, idempotent: bool) -> bool:
    return error.nothing_sent or (error.unanswered and idempotent)


def is_idempotent(method: str, *, has_idempotency_key: bool, declared: bool) -> bool:
    """By method, by the client's `Idempotency-Key`, or because the deployment says `idempotent: true`."""
    return declared or has_idempotency_key or method in _IDEMPOTENT
