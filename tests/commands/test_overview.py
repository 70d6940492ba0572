"""overview.py: what is served, by which replicas, why so many, and how much is logged."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from tests.administered import Administered


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


async def test_endpoints(router: Administered) -> None:
    assert rows(await router.printed("endpoints")) == [
        ["Endpoint", "Opened", "by", "Traffic", "Path"],
        ["iris", "key,", "token", "blue=100", "green=0", "/api/v1/endpoint/iris/score"],
    ]
    [said] = json.loads(await router.printed("endpoints", "--json"))
    assert (said["name"], said["authMode"], said["deployments"]) == ("iris", "key", ["blue", "green"])


@pytest.mark.parametrize(
    ("words", "deployments"),
    [((), ["iris/blue", "iris/green"]), (("iris",), ["iris/blue", "iris/green"]), (("iris/green",), ["iris/green"])],
)
async def test_replicas_of_all_of_an_endpoint_or_of_a_deployment(
    router: Administered, words: tuple[str, ...], deployments: list[str]
) -> None:
    header, *found = rows(await router.printed("replicas", *words))
    assert header == ["Deployment", "Replica", "Address", "State", "In", "flight"]
    assert [row[:2] for row in found] == [[name, f"{name}#1"] for name in deployments]
    said = json.loads(await router.printed("replicas", *words, "--json"))
    assert [each["deployment"] for each in said] == deployments
    assert said[0].keys() == {"deployment", "uid", "host", "port", "ready", "leaving", "inFlight"}


async def test_the_state_of_replicas(router: Administered) -> None:
    snapshot = router.platform.snapshot
    one = replace(snapshot.replicas[0], host="fe80::1", port=5001)
    states = (one, replace(one, uid="a", ready=False), replace(one, uid="[b]", ready=False, leaving=True))
    router.platform.publish(replace(snapshot, replicas=states))
    assert [row[1:] for row in rows(await router.printed("replicas"))[1:]] == [
        ["iris/blue#1", "[fe80::1]:5001", "ready", "0"],
        ["a", "[fe80::1]:5001", "not", "ready", "0"],
        ["[b]", "[fe80::1]:5001", "leaving", "0"],
    ]


async def test_replicas_of_what_is_not_there(router: Administered) -> None:
    assert "'rose': known are iris" in await router.failed("replicas", "rose")
    assert "'red': known are blue, green" in await router.failed("replicas", "iris/red")
    for name in ("", "/", "iris/", "/blue", "a/b/c"):
        assert (await router.run("replicas", name)).exit_code == 2


async def test_decisions_are_shown_with_their_reasons_the_newest_last(router: Administered) -> None:
    router.administration.told["iris/blue"] = [
        {"time": 1_800_000_000.5 + number, "decision": {"replicas": number, "need": 1, "reason": f"[{number}] busy"}}
        for number in range(3)
    ]
    text = await router.printed("decisions", "iris/blue", "--last", "2")
    assert rows(text)[1:] == [
        ["2027-01-15", "08:00:01", "UTC", "1", "[1]", "busy"],
        ["2027-01-15", "08:00:02", "UTC", "2", "[2]", "busy"],
    ]
    said = json.loads(await router.printed("decisions", "iris/blue", "--json"))
    assert [each["decision"]["replicas"] for each in said] == [0, 1, 2]


async def test_a_decision_of_another_shape_is_shown_as_it_is(router: Administered) -> None:
    router.administration.told["iris/blue"] = [{"wish": 3}, {"time": 1e300, "decision": {"replicas": 1, "reason": ""}}]
    text = await router.printed("decisions", "iris/blue")
    assert '{"wish":3}' in text
    assert '"time":1e300' in text


@pytest.fixture
def levels() -> Iterator[logging.Logger]:
    logger = logging.getLogger("scoregate")
    before = logger.level
    yield logger
    logger.setLevel(before)


async def test_the_log_level_is_shown_and_set(router: Administered, levels: logging.Logger) -> None:
    levels.setLevel(logging.INFO)
    assert await router.printed("log-level") == "info\n"
    assert await router.printed("log-level", "DEBUG") == "debug\n"
    assert levels.level == logging.DEBUG
    assert json.loads(await router.printed("log-level", "--json")) == {"level": "debug"}
    assert (await router.run("log-level", "loud")).exit_code == 2
