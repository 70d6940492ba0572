"""request.py: what is known of a request, and its head as the replica gets it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from router.core.model import Addresses, Deployment, Endpoint, Route
from router.core.routes import RouteTable
from router.core.sharing import Sharing
from router.core.tally import Memory
from router.fleet import LiveDeployment
from router.pressure import Pressure
from router.request import ARRIVED, RandomDigits, Request

DIGITS = b"0123456789abcdef" * 3
GUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def request_of(*headers: tuple[bytes, bytes], **scope: Any) -> Request:
    whole = {
        "method": "POST",
        "scheme": "http",
        "path": "/api/v1/endpoint/iris/score",
        "raw_path": b"/api/v1/endpoint/iris/score",
        "query_string": b"",
        "client": ("192.0.2.1", 5),
        "headers": list(headers),
    }
    return Request(whole | scope, DIGITS)


async def head_of(request: Request, *, path: str = "/score", **endpoint: Any) -> list[bytes]:
    """Its lines, without the forwarded ones. Asynchronous, as what is live needs an event loop."""
    deployment = Deployment(
        endpoint="iris", name="blue", workload=Addresses(addresses=()), scoring_route=Route(path=path)
    )
    noun = Endpoint(name="iris", deployments=(deployment,), **endpoint)
    live = LiveDeployment(deployment, Pressure(), Memory(), Sharing("here", lambda: None))
    head = request.head(RouteTable([noun]).match(request.path), live, b"forwarded: x\r\n")
    assert head.endswith(b"\r\n")
    return head.split(b"\r\n")[:-1]


def test_digits_are_hexadecimal_and_nobody_gets_those_of_another() -> None:
    digits = RandomDigits()
    taken = [digits.take() for _ in range(5_000)]
    assert all(re.fullmatch(rb"[0-9a-f]{48}", each) for each in taken)
    assert len({each[:32] for each in taken}) == len(taken)
    assert RandomDigits().take() not in taken


def test_a_request_without_an_id_gets_a_random_guid() -> None:
    request = request_of()
    assert GUID.fullmatch(request.request_id)
    other = Request(request.scope, DIGITS[1:] + b"0")
    assert other.request_id != request.request_id


def test_every_reply_carries_the_ids_and_one_that_was_routed_its_deployment() -> None:
    request = request_of((b"x-ms-client-request-id", b"my id" + b"9" * 50))
    assert dict(request.own_reply_headers()) == {
        b"x-request-id": request.request_id,
        b"x-ms-request-id": request.request_id,
        b"x-ms-client-request-id": b"myid" + b"9" * 36,
    }


async def test_the_deployment_is_named_once_it_is_known() -> None:
    request = request_of()
    deployment = Deployment(endpoint="iris", name="blue", workload=Addresses(addresses=()))
    request.live = LiveDeployment(deployment, Pressure(), Memory(), Sharing("here", lambda: None))
    assert (b"azureml-model-deployment", b"blue") in request.own_reply_headers()


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ({"raw_path": b"/a%2Fb", "path": "/a/b"}, b"/a%2Fb"),
        ({"raw_path": None, "path": "/a b"}, b"/a%20b"),
        ({"raw_path": None, "path": "/\u00e9?"}, b"/%C3%A9%3F"),
    ],
)
def test_the_path_is_as_it_was_sent_or_quoted_again(scope: dict[str, Any], path: bytes) -> None:
    assert request_of(**scope).path == path


def test_it_arrived_when_the_server_says_so() -> None:
    assert request_of(**{ARRIVED: 12.5}).arrived == 12.5
    assert request_of().arrived > 0


async def test_the_head_has_the_deployments_route_the_query_and_the_ids() -> None:
    request = request_of((b"host", b"router"), (b"accept", b"*/*"), (b"connection", b"close"), query_string=b"a=1")
    lines = await head_of(request, path="/v2/models/iris/infer")
    assert lines[0] == b"POST /v2/models/iris/infer?a=1 HTTP/1.1"
    assert set(lines[1:]) >= {b"host: router", b"accept: */*", b"forwarded: x", b"x-request-id: " + request.request_id}
    assert not [line for line in lines if line.startswith((b"connection", b"content-length", b"transfer-encoding"))]
    assert re.fullmatch(rb"traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01\r\n", request.trace)
    assert request.trace.strip() in lines


@pytest.mark.parametrize("forward", [False, True])
async def test_the_credential_goes_to_the_replica_only_if_that_is_declared(forward: bool) -> None:
    lines = await head_of(request_of((b"authorization", b"Bearer k")), forward_authorization=forward)
    assert (b"authorization: Bearer k" in lines) is forward
    assert (b"Bearer" in b"".join(lines)) is forward


async def test_the_clients_trace_and_id_are_passed_on() -> None:
    parent = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"
    request = request_of((b"traceparent", parent), (b"tracestate", b"a=1"), (b"x-ms-client-request-id", b"mine"))
    lines = await head_of(request)
    assert {b"traceparent: " + parent, b"tracestate: a=1", b"x-ms-client-request-id: mine"} <= set(lines)
    assert len([line for line in lines if line.startswith((b"trace", b"x-ms-client"))]) == 3


async def test_a_trace_state_on_several_lines_is_passed_on_whole() -> None:
    """W3C Trace Context 3.3.1.1: several lines are one list, in their order."""
    parent = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"
    request = request_of((b"traceparent", parent), (b"tracestate", b"a=1"), (b"tracestate", b"b=2"))
    states = [line.partition(b": ")[2] for line in await head_of(request) if line.startswith(b"tracestate")]
    assert b",".join(states).replace(b" ", b"") == b"a=1,b=2"


@pytest.mark.parametrize("options", [[b"x-hop"], [b"x-hop", b"keep-alive"], [b"keep-alive", b"X-Hop, close"]])
async def test_a_field_that_any_line_of_connection_names_stays_here(options: list[bytes]) -> None:
    headers = [(b"x-hop", b"1"), (b"x-end", b"2"), *((b"connection", option) for option in options)]
    lines = await head_of(request_of(*headers))
    assert b"x-end: 2" in lines
    assert b"x-hop: 1" not in lines


@pytest.mark.parametrize(
    ("method", "declared", "first", "has_more", "framing"),
    [
        ("POST", 5, b"12345", False, b"content-length: 5\r\n\r\n"),
        ("POST", 9, b"12345", True, b"content-length: 9\r\n\r\n"),
        ("POST", None, b"12345", True, b"transfer-encoding: chunked\r\n\r\n"),
        ("POST", None, b"12345", False, b"content-length: 5\r\n\r\n"),
        ("POST", None, b"", False, b"content-length: 0\r\n\r\n"),
        ("GET", None, b"", False, b"\r\n"),
        ("GET", 0, b"", False, b"content-length: 0\r\n\r\n"),
        ("DELETE", None, b"x", False, b"content-length: 1\r\n\r\n"),
    ],
)
def test_the_body_is_framed_by_what_is_known_of_its_length(
    method: str, declared: int | None, first: bytes, has_more: bool, framing: bytes
) -> None:
    headers = [] if declared is None else [(b"content-length", b"%d" % declared)]
    request = request_of(*headers, method=method)
    request.first_body, request.has_more_body = first, has_more
    assert request.framing() == framing
