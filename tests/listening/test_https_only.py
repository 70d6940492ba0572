"""https_only.py: who comes over plain HTTP is told where to go, and scores nothing."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from router.core.errors import RouterError
from router.listening.https_only import HttpsOnly

ID = b"11111111-2222-4333-8444-555555555555"


class Site:
    def __init__(self, *, redirects: bool, port: int = 8080, tls_port: int = 8443) -> None:
        self.seen: list[tuple[RouterError, str]] = []
        self.app = HttpsOnly(redirects=redirects, port=port, tls_port=tls_port, on_refusal=self.note)

    def note(self, error: RouterError, client: str) -> bytes:
        self.seen.append((error, client))
        return ID

    async def ask(self, method: str = "POST", path: str = "/score?a=b%20c", **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=("192.0.2.1", 5))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://router.example:8080") as client:
            return await client.request(method, path, headers=headers)


async def test_it_refuses_and_says_where_to_go() -> None:
    site = Site(redirects=False)
    reply = await site.ask()
    assert reply.status_code == 403
    assert reply.json() == {
        "error": {
            "code": "HttpsRequired",
            "message": "Only HTTPS is served: https://router.example:8443/score?a=b%20c",
        }
    }
    assert reply.headers["connection"] == "close"
    assert reply.headers["x-ms-request-id"] == reply.headers["x-request-id"] == ID.decode()
    ((error, client),) = site.seen
    assert (error.status, error.code, client) == (403, "HttpsRequired", "192.0.2.1")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
async def test_it_redirects_each_method_with_its_body(method: str) -> None:
    site = Site(redirects=True)
    reply = await site.ask(method)
    assert (reply.status_code, reply.headers["location"]) == (308, "https://router.example:8443/score?a=b%20c")
    assert reply.headers["connection"] == "close"
    assert site.seen[0][0].status == 308


@pytest.mark.parametrize(
    ("ports", "host", "expected"),
    [
        ((8080, 8443), "a.example:8080", "https://a.example:8443/x"),
        ((8080, 443), "a.example:8080", "https://a.example/x"),
        ((8080, 8443), "a.example", "https://a.example/x"),
        ((8080, 8443), "a.example:80", "https://a.example/x"),
        ((8080, 8443), "a.example:30080", "https://a.example/x"),
        ((80, 8443), "a.example", "https://a.example:8443/x"),
        ((80, 443), "a.example", "https://a.example/x"),
        ((8080, 8443), "10.1.2.3:8080", "https://10.1.2.3:8443/x"),
        ((8080, 8443), "[2001:db8::1]:8080", "https://[2001:db8::1]:8443/x"),
    ],
)
def test_the_other_port_is_ours_for_who_reached_ours(ports: tuple[int, int], host: str, expected: str) -> None:
    app = Site(redirects=True, port=ports[0], tls_port=ports[1]).app
    assert app.url(host.encode(), b"/x", b"") == expected.encode()


@pytest.mark.parametrize("host", ["", "a b", "a.example:x", "evil@a.example", "a/b", "a.example:8080:1", "a\\b"])
async def test_without_a_host_that_can_be_one_nobody_is_sent_anywhere(host: str) -> None:
    site = Site(redirects=True)
    messages: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {"type": "http", "headers": [(b"host", host.encode())], "raw_path": b"/x", "query_string": b""}
    await site.app(scope, None, send)
    assert messages[0]["status"] == 403
    assert b"location" not in dict(messages[0]["headers"])
    assert site.seen[0][1] == ""


def test_a_path_that_is_none_leads_nowhere() -> None:
    assert Site(redirects=True).app.url(b"a.example", b"*", b"") is None


async def test_it_serves_http_alone() -> None:
    with pytest.raises(NotImplementedError, match="websocket"):
        await Site(redirects=True).app({"type": "websocket"}, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("redirects", [False, True])
async def test_who_came_over_https_to_something_in_front_is_not_sent_round(redirects: bool) -> None:
    site = Site(redirects=redirects)
    reply = await site.ask(**{"x-forwarded-proto": "https"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "HttpsRequired")
    assert "--allow-insecure-connections" in reply.json()["error"]["message"]
    assert "location" not in reply.headers
