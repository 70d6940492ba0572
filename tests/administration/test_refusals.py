"""administration/refusals.py: which error is which status."""

from __future__ import annotations

import pytest

from router.administration.refusals import MAX_MESSAGE_CHARACTERS, Refusal, bad_request, fault, refusal_of
from router.core.errors import RouterError, Unavailable
from router.core.keys import BadKey, NoSuchKey
from router.platforms import PlatformError
from router.platforms.administration import Conflict, NotPermitted, Unfit, Unknown


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unknown("no"), 404, "NotFound"),
        (NoSuchKey("no"), 404, "NotFound"),
        (Conflict("no"), 409, "Conflict"),
        (Unfit("no"), 422, "Unfit"),
        (BadKey("no"), 422, "Unfit"),
        (NotPermitted("no"), 403, "NotPermitted"),
        (PlatformError("no"), 503, "PlatformUnavailable"),
        (bad_request("no"), 400, "BadRequest"),
        (RouterError("no"), 500, "InternalError"),
    ],
)
def test_every_foreseen_error_has_its_status(error: Exception, status: int, code: str) -> None:
    refusal = refusal_of(error)
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.message) == (status, code, "no")
    assert refusal.shown() == {"error": {"code": code, "message": "no"}}


def test_what_the_router_says_of_waiting_is_passed_on() -> None:
    refusal = refusal_of(Unavailable("no key yet", 4.2))
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.headers) == (503, "Overloaded", {"retry-after": "5"})


@pytest.mark.parametrize("error", [RuntimeError("x"), ValueError("x"), KeyError("x"), OSError("x")])
def test_an_error_that_nobody_foresaw_is_none_of_them(error: Exception) -> None:
    assert refusal_of(error) is None


def test_a_fault_tells_nothing() -> None:
    assert (fault().status, fault().code) == (500, "InternalError")


def test_a_message_has_bounded_length() -> None:
    text = Refusal(422, "Unfit", "x" * 100_000).shown()["error"]["message"]
    assert len(text) == MAX_MESSAGE_CHARACTERS
    assert text.endswith("…")
    assert Refusal(422, "Unfit", "x" * 1_000).shown()["error"]["message"] == "x" * 1_000
