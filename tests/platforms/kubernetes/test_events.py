"""Are Events written as kubectl wants them, and lost rather than waited for?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import pytest

from router.platforms.kubernetes.leading.events import MOST_WAITING, EventWriter, calendar_now
from router.platforms.kubernetes.leading.status import Event
from tests.platforms.kubernetes.reported import StubApi, account, as_written, refused
from tests.virtual_time import on_virtual_time

BAD = Event("Warning", "WorkloadMissing", "blue: there is no Deployment iris-blue")


@asynccontextmanager
async def writing(api: StubApi, leads: Callable[[], bool] = lambda: True) -> AsyncIterator[EventWriter]:
    writer = EventWriter(api, leads=leads)  # type: ignore[arg-type]
    task = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


@on_virtual_time
async def test_an_event_says_what_happened_to_which_object_when() -> None:
    api = StubApi()
    async with writing(api) as writer:
        writer.tell(account(), [BAD])
        await asyncio.sleep(1)
    (call,) = api.calls
    assert (call.method, call.path) == ("POST", "/api/v1/namespaces/models/events")
    moment = call.body.pop("firstTimestamp")
    assert call.body.pop("lastTimestamp") == moment
    assert abs((calendar_now() - datetime.fromisoformat(moment)).total_seconds()) < 3600
    assert moment.endswith("Z")
    assert call.body == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "iris.", "namespace": "models"},
        "involvedObject": {
            "apiVersion": "scoregate.io/v1",
            "kind": "InferenceEndpoint",
            "namespace": "models",
            "name": "iris",
            "uid": "uid-iris",
        },
        "type": "Warning",
        "reason": "WorkloadMissing",
        "message": "blue: there is no Deployment iris-blue",
        "count": 1,
        "source": {"component": "scoregate"},
        "reportingComponent": "scoregate",
    }


@on_virtual_time
async def test_who_does_not_lead_writes_none() -> None:
    api = StubApi()
    async with writing(api, leads=lambda: False) as writer:
        writer.tell(account(), [BAD])
        await asyncio.sleep(1)
    assert api.calls == []


@on_virtual_time
async def test_a_refusal_is_told_once_and_the_event_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    api = StubApi(lambda _: refused(403, "Forbidden", "no right"))
    async with writing(api) as writer:
        writer.tell(account(), [BAD, BAD])
        await asyncio.sleep(60)
        assert len(api.calls) == 2
        assert [record.getMessage() for record in caplog.records] == [
            "Events in namespace models can't be written, and are lost: PATCH /x: no right"
        ]
        api.answers = as_written
        writer.tell(account(), [BAD])
        await asyncio.sleep(1)
        api.answers = lambda _: refused(403, "Forbidden", "no right")
        writer.tell(account(), [BAD])
        await asyncio.sleep(1)
    assert len(caplog.records) == 2


@on_virtual_time
async def test_there_is_a_limit_to_what_waits() -> None:
    api = StubApi(takes_s=1000.0)
    async with writing(api) as writer:
        writer.tell(account(), [BAD] * (MOST_WAITING + 10))
        api.takes_s = 0.0
        await asyncio.sleep(1)
    assert len(api.calls) == MOST_WAITING
