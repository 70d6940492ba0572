"""Does a following go on when what goes wrong is ours?"""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from router.platforms import UP_TO_DATE
from router.platforms.kubernetes.api import Api, ApiError
from router.platforms.kubernetes.following import Collection, Following
from tests.platforms.kubernetes.scripted import PODS, Pod, ScriptedApi, Watch, event, following, page, pod
from tests.virtual_time import on_virtual_time


@on_virtual_time
async def test_an_object_that_can_not_be_taken_in_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is wrong with us: a collection that nobody follows any more would look as if nothing changed."""
    told = []

    def changed(key: str, thing: Pod | None) -> None:
        if key == "models/bad":
            raise KeyError("ours")
        told.append(key)

    page_of_three = page(5, pod("a", 1), pod("bad", 2), pod("b", 3))
    api = ScriptedApi((page_of_three, Watch((event("MODIFIED", pod("bad", 6)), event("ADDED", pod("c", 7))))))
    subject = Following(cast(Api, api), Collection(PODS, Pod), changed, chance=lambda: 0.5)
    task = asyncio.create_task(subject.run())
    await asyncio.sleep(1)
    assert (told, task.done()) == (["models/a", "models/b", "models/c"], False)
    task.cancel()
    assert "pods: models/bad can't be taken in" in caplog.text
    assert "KeyError: 'ours'" in caplog.text


@on_virtual_time
async def test_a_fault_of_ours_is_told_and_ends_in_a_new_list(caplog: pytest.LogCaptureFixture) -> None:
    fault = cast(ApiError, RuntimeError("Session is closed"))
    async with following(page(5), Watch(ends_s=0, error=fault), page(6, pod("a", 6)), Watch()) as world:
        await asyncio.sleep(0.01)
        assert world.standing().reason == "pods: a fault of the router: RuntimeError: Session is closed"
        await asyncio.sleep(1)
        assert (world.known, world.standing()) == ({"a": "a6"}, UP_TO_DATE)
    assert "Traceback" in caplog.text
