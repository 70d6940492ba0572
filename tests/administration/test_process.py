"""administration/process.py: the load, and from which level on this process logs."""

from __future__ import annotations

import logging

import httpx
import pytest

from tests.administration.office import ROOT, audited

LEVEL = f"{ROOT}/log-level"


async def test_the_load_is_that_of_the_open_page(client: httpx.AsyncClient) -> None:
    reply = await client.get(f"{ROOT}/load")
    assert reply.status_code == 200
    assert reply.json() == (await client.get("/load")).json()
    assert reply.json()[0]["deployment"] == "blue"


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
async def test_the_level_is_set_and_shown(client: httpx.AsyncClient, level: str) -> None:
    reply = await client.put(LEVEL, json={"level": level})
    assert (reply.status_code, reply.json()) == (200, {"level": level})
    assert (await client.get(LEVEL)).json() == {"level": level}
    written = [each for each in ("debug", "info", "warning", "error") if _writes(each)]
    assert written[0] == level


def _writes(level: str) -> bool:
    return logging.getLogger("scoregate.router").isEnabledFor(getattr(logging, level.upper()))


async def test_the_change_is_told_at_any_level(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    await client.put(LEVEL, json={"level": "info"})
    await client.put(LEVEL, json={"level": "error"})
    await client.put(LEVEL, json={"level": "debug"})
    assert [(line["from"], line["to"]) for line in audited(caplog)][1:] == [("info", "error"), ("error", "debug")]


@pytest.mark.parametrize("number", [logging.CRITICAL, logging.CRITICAL + 1])
async def test_a_level_above_all_of_them_is_the_last(client: httpx.AsyncClient, number: int) -> None:
    logging.getLogger("scoregate").setLevel(number)
    assert (await client.get(LEVEL)).json() == {"level": "error"}


@pytest.mark.parametrize("body", [{"level": "loud"}, {"level": "INFO"}, {"level": 10}, {}, {"level": "info", "x": 1}])
async def test_what_is_no_level_changes_nothing(client: httpx.AsyncClient, body: dict[str, object]) -> None:
    before = logging.getLogger("scoregate").level
    assert (await client.put(LEVEL, json=body)).status_code == 400
    assert logging.getLogger("scoregate").level == before
