"""What the client is told for each way to fail, against the contract's table of codes."""

from __future__ import annotations

import pytest

from router.core import errors
from router.core.errors import (
    MAX_REASON_LENGTH,
    BadRequest,
    CannotVerify,
    ClientGone,
    ClientTooSlow,
    CrossOriginRefused,
    ExpectationFailed,
    Forbidden,
    HeadTooLarge,
    HttpsRequired,
    InternalFault,
    NoReadyReplicas,
    NoRoute,
    NotFound,
    NotImplementedHere,
    Overloaded,
    PayloadTooLarge,
    ReplicaClosed,
    ReplicaMisbehaved,
    ReplicaUnreachable,
    RequestTimeout,
    RouterError,
    SwaggerNotFound,
    TooManyConnections,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)

CLOSES = True
TABLE: list[tuple[RouterError, int, str, str, bool]] = [
    (InternalFault(), 500, "InternalError", "router", False),
    (BadRequest("x"), 400, "BadRequest", "client", CLOSES),
    (Unauthorized("x", presented=True), 401, "Unauthorized", "client", False),
    (NotFound("x"), 404, "NotFound", "client", False),
    (NoRoute(), 404, "NoRoute", "client", False),
    (Forbidden("x"), 403, "Forbidden", "client", False),
    (CrossOriginRefused("origin", "x", "y"), 403, "CrossOriginRefused", "client", False),
    (HttpsRequired("x"), 403, "HttpsRequired", "client", CLOSES),
    (TooManyRequests("iris", "team-a", 0.2), 429, "TooManyRequests", "client", False),
    (SwaggerNotFound(), 404, "SwaggerNotFound", "client", False),
    (ClientTooSlow("x"), 408, "RequestTimeout", "client", CLOSES),
    (PayloadTooLarge(1), 413, "PayloadTooLarge", "client", CLOSES),
    (ExpectationFailed("x"), 417, "ExpectationFailed", "client", CLOSES),
    (HeadTooLarge("x"), 431, "RequestHeaderFieldsTooLarge", "client", CLOSES),
    (ClientGone(), 499, "ClientClosedRequest", "client", False),
    (NotImplementedHere("x"), 501, "NotImplemented", "client", CLOSES),
    (ReplicaUnreachable("x"), 502, "ReplicaUnreachable", "replica", False),
    (ReplicaClosed(), 502, "ReplicaClosed", "replica", False),
    (ReplicaMisbehaved("x"), 502, "ReplicaMisbehaved", "replica", False),
    (Unavailable("x"), 503, "Overloaded", "router", False),
    (Overloaded("iris", None), 503, "Overloaded", "router", False),
    (NoReadyReplicas("iris"), 503, "NoReadyReplicas", "router", False),
    (CannotVerify("x"), 503, "CannotVerify", "router", False),
    (TooManyConnections(1_000), 503, "TooManyConnections", "router", CLOSES),
    (RequestTimeout(5_000), 504, "RequestTimeout", "replica", False),
]


@pytest.mark.parametrize(
    ("error", "status", "code", "source", "closes"), TABLE, ids=[type(row[0]).__name__ for row in TABLE]
)
def test_each_error_is_as_the_contract_says(
    error: RouterError, status: int, code: str, source: str, closes: bool
) -> None:
    """`closes` only where the rest of the request can't be read past: elsewhere the connection goes on."""
    assert (error.status, error.code, error.source, error.closes) == (status, code, source, closes)


def test_the_table_is_complete() -> None:
    def below(kind: type[RouterError]) -> set[type[RouterError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    ours = {kind for kind in below(RouterError) if kind.__module__ == errors.__name__} - {RouterError}
    assert {type(row[0]) for row in TABLE} == ours


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ReplicaClosed(), "Replica closed connection before replying"),
        (Overloaded("iris", 1.0), "Too many requests for service iris (overloaded)"),
        (NoReadyReplicas("iris"), "No ready replicas for service iris"),
        (NoReadyReplicas("iris", "out of memory"), "No ready replicas for service iris: out of memory"),
        (SwaggerNotFound(), "Swagger not found"),
    ],
)
def test_texts_that_clients_match_on(error: RouterError, message: str) -> None:
    assert error.message == str(error) == message


@pytest.mark.parametrize(
    ("wait_s", "seconds"),
    [(None, b"1"), (0.0, b"1"), (0.01, b"1"), (1.0, b"1"), (1.01, b"2"), (59.5, b"60"), (3_600.0, b"3600")],
)
def test_retry_after_is_the_estimated_wait_in_whole_seconds(wait_s: float | None, seconds: bytes) -> None:
    for error in (Overloaded("iris", wait_s), Unavailable("x", wait_s)):
        assert error.headers == ((b"retry-after", seconds),)


def test_every_429_and_503_says_when_to_try_again() -> None:
    for error, status, *_ in TABLE:
        assert (b"retry-after" in dict(error.headers)) == (status in (429, 503))


def test_what_may_be_sent_again_is_what_the_replica_did_not_execute() -> None:
    assert [type(error) for error, *_ in TABLE if error.nothing_sent] == [ReplicaUnreachable]
    assert [type(error) for error, *_ in TABLE if error.unanswered] == [ReplicaClosed]


@pytest.mark.parametrize(("declared", "said"), [(None, "has more"), (104_857_601, "has 104,857,601 bytes")])
def test_a_payload_too_large_names_the_limit(declared: int | None, said: str) -> None:
    message = PayloadTooLarge(104_857_600, declared).message
    assert "104,857,600 bytes" in message
    assert said in message


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("line one\r\n  line two\n", "line one line two"),
        ("\x1b[31mred\x00\x07", "[31mred"),
        ("turned \u202e around, next\u2028line", "turned around, next line"),
        ("a lone \ud800 surrogate", "a lone surrogate"),
        ("Es fehlt Speicher: 4 GB, größer als 2 GB — 不足", "Es fehlt Speicher: 4 GB, größer als 2 GB — 不足"),
    ],
)
def test_a_reason_is_shown_as_one_line_without_control_characters(reason: str, shown: str) -> None:
    error = NoReadyReplicas("iris", reason)
    assert error.message == f"No ready replicas for service iris: {shown}"
    error.message.encode()


@pytest.mark.parametrize("reason", ["", " ", "\n\x00"])
def test_a_reason_that_says_nothing_is_none(reason: str) -> None:
    assert NoReadyReplicas("iris", reason).message == "No ready replicas for service iris"


def test_a_reason_is_bounded() -> None:
    start = "No ready replicas for service iris: "
    longest = "x" * MAX_REASON_LENGTH
    assert NoReadyReplicas("iris", longest).message == start + longest
    assert NoReadyReplicas("iris", longest + "y").message == start + longest[1:] + "…"
    spaced = NoReadyReplicas("iris", "a\n" * 100_000).message.removeprefix(start)
    assert len(spaced) == MAX_REASON_LENGTH
    assert spaced.endswith("a…") or spaced.endswith(" …")


def test_no_more_of_a_reason_is_read_than_could_be_shown() -> None:
    """It may be all that a model ever wrote, and is read for each request that is refused."""
    message = NoReadyReplicas("iris", " " * 4 * MAX_REASON_LENGTH + "too late").message
    assert message == "No ready replicas for service iris"


def test_a_token_that_lacks_something_is_told_which_scopes_would_do() -> None:
    """RFC 6750 section 3.1."""
    headers = dict(Forbidden("x", scopes=("score", "read")).headers)
    assert headers[b"www-authenticate"] == b'Bearer error="insufficient_scope", scope="score read"'
    assert dict(Forbidden("x").headers)[b"www-authenticate"] == b'Bearer error="insufficient_scope"'


@pytest.mark.parametrize(("wait_s", "seconds"), [(0.0, b"1"), (0.2, b"1"), (1.2, b"2"), (60.0, b"60")])
def test_one_over_its_rate_is_told_when_the_next_request_is_taken(wait_s: float, seconds: bytes) -> None:
    assert dict(TooManyRequests("iris", "team-a", wait_s).headers)[b"retry-after"] == seconds
