"""load_page.py: what another process of the installation may ask. How the page waits is in test_admin.py."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from router.core.model import Load, Routing
from router.load_page import GENERATION_HEADER, instances_app
from router.pressure import Pressure
from router.routing_page import routing_of
from tests.autoscaler.nouns import load


class Loaded:
    def __init__(self) -> None:
        self.pressure = Pressure()

    def load(self) -> list[Load]:
        return [load(2, 1)]

    def routing(self) -> Routing:
        return routing_of([], 4)


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(instances_app(Loaded())), base_url="http://instance")


async def test_another_instance_hears_of_the_load() -> None:
    async with client() as asking:
        reply = await asking.get("/load")
    assert reply.status_code == 200
    assert reply.headers[GENERATION_HEADER] == "0"
    assert msgspec.json.decode(reply.content, type=list[Load]) == [load(2, 1)]


async def test_and_of_its_work() -> None:
    async with client() as asking:
        reply = await asking.get("/routing")
    assert msgspec.json.decode(reply.content, type=Routing).most_workers == 4


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/admin/v1/endpoints", "/load/", "/openapi.json"])
async def test_and_of_nothing_else(path: str) -> None:
    async with client() as asking:
        assert (await asking.get(path)).status_code == 404
        assert (await asking.post("/load")).status_code == 405
