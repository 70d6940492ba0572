"""administration/endpoints.py: what is served, traffic, scale by hand, draining."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from router.administration.endpoints import MAX_DECISIONS, endpoint_view, traffic_version
from router.administration.shapes import MAX_HOLD_S
from router.core.model import Hold
from tests.administration.office import BLUE, IRIS, NOW_S, ROOT, Office, a_load, audited
from tests.core.nouns import an_endpoint

FIRST = "iris/blue@10.0.0.1:5001#1"
FIRST_QUOTED = "iris%2Fblue%4010.0.0.1%3A5001%231"


def weights(office: Office) -> dict[str, int]:
    return dict(office.platform.snapshot.endpoints[0].weights)


# -- reading ---------------------------------------------------------------------------------------------------


async def test_endpoints_are_listed_and_shown_alike(client: httpx.AsyncClient) -> None:
    iris = {
        "name": "iris",
        "authMode": "key",
        "alsoAccepts": ["token"],
        "traffic": {"blue": 90, "green": 10},
        "trafficVersion": traffic_version({"blue": 90, "green": 10}),
        "deployments": ["blue", "green"],
        "scoringPath": "/api/v1/endpoint/iris/score",
    }
    listed = (await client.get(f"{ROOT}/endpoints")).json()
    assert [each["name"] for each in listed] == ["iris", "wine"]
    assert listed[0] == iris == (await client.get(IRIS)).json()


async def test_a_deployment_is_shown_with_load_settings_hold_and_troubles(
    office: Office, client: httpx.AsyncClient
) -> None:
    hold = Hold(replicas=3, until_s=NOW_S + 60)
    office.platform.publish(replace(office.platform.snapshot, holds={"iris/blue": hold}))
    shown = (await client.get(BLUE)).json()
    assert (shown["name"], shown["endpoint"]) == ("blue", "iris")
    assert shown["load"]["heldSecondsTotal"] == 1.5
    assert shown["settings"]["requestSettings"]["maxConcurrentRequestsPerInstance"] == 1
    assert shown["settings"]["name"] == "blue"
    assert shown["hold"] == {"replicas": 3, "until": "2027-01-15T08:01:00.500000Z"}
    assert shown["troubles"] == [{"kind": "placement", "reason": "no room"}]
    green = (await client.get(f"{IRIS}/deployments/green")).json()
    assert (green["settings"]["name"], green["load"], green["hold"], green["troubles"]) == ("green", None, None, [])


async def test_a_hold_that_is_over_is_none(office: Office, client: httpx.AsyncClient) -> None:
    hold = Hold(replicas=3, until_s=NOW_S)
    office.platform.publish(replace(office.platform.snapshot, holds={"iris/blue": hold}))
    assert (await client.get(BLUE)).json()["hold"] is None


async def test_replicas_are_those_of_the_deployment(office: Office, client: httpx.AsyncClient) -> None:
    stranger = replace(office.platform.snapshot.replicas[0], uid="other", deployment="iris/green")
    office.platform.publish(replace(office.platform.snapshot, replicas=(*office.platform.snapshot.replicas, stranger)))
    assert (await client.get(f"{BLUE}/replicas")).json() == [
        {"uid": FIRST, "host": "127.0.0.1", "port": 5001, "ready": True, "leaving": False, "inFlight": 1},
        {"uid": "two", "host": "127.0.0.1", "port": 5001, "ready": False, "leaving": False, "inFlight": 0},
    ]
    office.loads = []
    assert [each["inFlight"] for each in (await client.get(f"{BLUE}/replicas")).json()] == [0, 0]


async def test_decisions_are_the_last_ones_the_newest_last(office: Office, client: httpx.AsyncClient) -> None:
    office.administration.told["iris/blue"] = [{"n": each} for each in range(50)]
    assert (await client.get(f"{BLUE}/decisions")).json() == [{"n": each} for each in range(30, 50)]
    assert (await client.get(f"{BLUE}/decisions?last=1")).json() == [{"n": 49}]
    assert len((await client.get(f"{BLUE}/decisions?last={MAX_DECISIONS}")).json()) == 50
    assert (await client.get(f"{IRIS}/deployments/green/decisions")).json() == []


@pytest.mark.parametrize(
    "path",
    [
        f"{ROOT}/endpoints/none",
        f"{ROOT}/endpoints/none/deployments/blue",
        f"{IRIS}/deployments/none",
        f"{IRIS}/deployments/none/replicas",
        f"{IRIS}/deployments/none/decisions",
        f"{ROOT}/endpoints/..%2F..%2Fetc",
        f"{ROOT}/endpoints/%2E%2E",
        f"{ROOT}/endpoints/{'x' * 5_000}",
    ],
)
async def test_what_there_is_not_is_404(client: httpx.AsyncClient, path: str) -> None:
    reply = await client.get(path)
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "NotFound")
    assert len(reply.text) < 300


async def test_what_there_is_not_is_told_with_what_there_is(client: httpx.AsyncClient) -> None:
    told = (await client.get(f"{ROOT}/endpoints/irsi")).json()["error"]["message"]
    assert told == "there is no endpoint 'irsi': known are iris, wine"
    told = (await client.get(f"{IRIS}/deployments/bleu")).json()["error"]["message"]
    assert told == "endpoint iris has no deployment 'bleu': known are blue, green"


# -- traffic ---------------------------------------------------------------------------------------------------


async def test_traffic_is_set_and_told(
    office: Office, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    version = (await client.get(IRIS)).json()["trafficVersion"]
    reply = await client.put(f"{IRIS}/traffic", json={"traffic": {"green": 100}, "version": version})
    assert reply.status_code == 200
    assert weights(office) == {"blue": 0, "green": 100}
    assert reply.json() == (await client.get(IRIS)).json()
    assert reply.json()["traffic"] == {"blue": 0, "green": 100}
    assert reply.json()["trafficVersion"] != version
    assert audited(caplog) == [
        {
            "action": "setTraffic",
            "endpoint": "iris",
            "from": {"blue": 90, "green": 10},
            "to": {"green": 100},
            "status": 200,
            "outcome": "done",
        }
    ]


async def test_two_changes_at_once_are_one_and_a_conflict(office: Office, client: httpx.AsyncClient) -> None:
    version = (await client.get(IRIS)).json()["trafficVersion"]
    bodies = [{"traffic": {"blue": 100}, "version": version}, {"traffic": {"green": 100}, "version": version}]
    replies = await asyncio.gather(*(client.put(f"{IRIS}/traffic", json=body) for body in bodies))
    assert sorted(reply.status_code for reply in replies) == [200, 409]
    done = next(body for body, reply in zip(bodies, replies, strict=True) if reply.status_code == 200)
    assert {name: percent for name, percent in weights(office).items() if percent} == done["traffic"]


async def test_a_store_that_is_ahead_of_what_is_followed_is_a_conflict(
    office: Office, client: httpx.AsyncClient
) -> None:
    """The platform is asked for what was read, not for what it has."""
    asked: list[Any] = []

    async def set_traffic(*words: Any) -> None:
        asked.append(words)

    office.administration.set_traffic = set_traffic  # type: ignore[method-assign]
    version = (await client.get(IRIS)).json()["trafficVersion"]
    await client.put(f"{IRIS}/traffic", json={"traffic": {"blue": 100}, "version": version})
    await client.put(f"{IRIS}/traffic", json={"traffic": {"blue": 100}})
    assert asked == [("iris", {"blue": 100}, {"blue": 90, "green": 10}), ("iris", {"blue": 100}, None)]


async def test_an_old_version_is_409_and_says_to_read_again(office: Office, client: httpx.AsyncClient) -> None:
    reply = await client.put(f"{IRIS}/traffic", json={"traffic": {"blue": 100}, "version": "old"})
    assert reply.status_code == 409
    assert reply.json()["error"]["message"] == "the traffic of iris is blue 90, green 10 by now: read it again"
    assert weights(office) == {"blue": 90, "green": 10}


@pytest.mark.parametrize(
    ("traffic", "status", "words"),
    [
        ({"red": 100}, 422, "traffic is for 'red', but it must be for blue, green"),
        ({"blue": 50}, 422, "sum"),
        ({"blue": 100, "green": 100}, 422, "sum"),
        ({"blue": 101}, 400, "<= 100"),
        ({"blue": -1}, 400, ">= 0"),
        ({"blue": 99.5}, 400, "int"),
        ({"blue": "100"}, 400, "int"),
        ({"blue": None}, 400, "int"),
        ([], 400, "object"),
        (None, 400, "object"),
    ],
)
async def test_traffic_that_can_not_be_changes_nothing(
    office: Office, client: httpx.AsyncClient, traffic: Any, status: int, words: str
) -> None:
    reply = await client.put(f"{IRIS}/traffic", json={"traffic": traffic})
    assert reply.status_code == status
    assert words in reply.json()["error"]["message"]
    assert weights(office) == {"blue": 90, "green": 10}


async def test_no_traffic_at_all_may_be(office: Office, client: httpx.AsyncClient) -> None:
    assert (await client.put(f"{IRIS}/traffic", json={"traffic": {}})).json()["traffic"] == {"blue": 0, "green": 0}
    assert weights(office) == {"blue": 0, "green": 0}


def test_the_version_is_of_the_weights_and_not_of_how_they_are_written() -> None:
    assert traffic_version({"a": 50, "b": 50}) == traffic_version({"b": 50, "a": 50, "c": 0})
    assert len({traffic_version(each) for each in ({}, {"a": 100}, {"b": 100}, {"a": 90, "b": 10})}) == 4


def test_deployments_without_a_weight_are_shown_with_none() -> None:
    endpoint = replace(an_endpoint(weights={"blue": 100, "green": 0}), weights=(("blue", 100),))
    assert endpoint_view(endpoint).traffic == {"blue": 100, "green": 0}


# -- scale by hand ---------------------------------------------------------------------------------------------


async def test_a_number_is_held_until_its_end_and_released(
    office: Office, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reply = await client.put(f"{BLUE}/scale", json={"replicas": 4, "forSeconds": 3_600})
    held = {"replicas": 4, "until": "2027-01-15T09:00:00.500000Z"}
    assert (reply.status_code, reply.json()["hold"]) == (200, held)
    assert office.platform.snapshot.holds == {"iris/blue": Hold(replicas=4, until_s=NOW_S + 3_600)}
    assert (await client.get(BLUE)).json() == reply.json()
    reply = await client.delete(f"{BLUE}/scale")
    assert (reply.status_code, reply.json()["hold"]) == (200, None)
    assert office.platform.snapshot.holds == {}
    told = [(line["action"], line["deployment"], line["from"], line["to"]) for line in audited(caplog)]
    assert told == [("holdScale", "iris/blue", None, held), ("releaseScale", "iris/blue", held, None)]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (BLUE, {"replicas": 11, "forSeconds": 60}, 422),
        (BLUE, {"replicas": 0, "forSeconds": 60}, 422),
        (BLUE, {"replicas": -1, "forSeconds": 60}, 400),
        (BLUE, {"replicas": 2**31, "forSeconds": 60}, 400),
        (BLUE, {"replicas": 2, "forSeconds": 0}, 400),
        (BLUE, {"replicas": 2, "forSeconds": MAX_HOLD_S + 1}, 400),
        (BLUE, {"replicas": 2}, 400),
        (BLUE, {"forSeconds": 2}, 400),
        (BLUE, {"replicas": True, "forSeconds": 60}, 400),
        (f"{IRIS}/deployments/green", {"replicas": 2, "forSeconds": 60}, 409),
        (f"{IRIS}/deployments/none", {"replicas": 2, "forSeconds": 60}, 404),
    ],
)
async def test_a_number_that_can_not_be_is_not_held(
    office: Office, client: httpx.AsyncClient, path: str, body: dict[str, Any], status: int
) -> None:
    assert (await client.put(f"{path}/scale", json=body)).status_code == status
    assert office.platform.snapshot.holds == {}


# -- draining --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelled", [FIRST_QUOTED, "iris/blue@10.0.0.1:5001%231"])
async def test_a_replica_is_drained_and_taken_back(
    office: Office, client: httpx.AsyncClient, spelled: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reply = await client.post(f"{ROOT}/replicas/{spelled}/drain")
    assert (reply.status_code, reply.json()) == (200, {"uid": FIRST, "drained": True})
    assert [replica.leaving for replica in office.platform.snapshot.replicas] == [True, False]
    reply = await client.delete(f"{ROOT}/replicas/{spelled}/drain")
    assert (reply.status_code, reply.json()) == (200, {"uid": FIRST, "drained": False})
    assert [replica.leaving for replica in office.platform.snapshot.replicas] == [False, False]
    told = [(line["action"], line["replica"], line["from"], line["to"]) for line in audited(caplog)]
    assert told == [("drainReplica", FIRST, False, True), ("undoDrain", FIRST, True, False)]


@pytest.mark.parametrize("uid", ["none", "", "%2E%2E%2Ftwo", "two%00", "two/drain"])
async def test_a_replica_that_is_not_there_is_404(client: httpx.AsyncClient, uid: str) -> None:
    assert (await client.post(f"{ROOT}/replicas/{uid}/drain")).status_code == 404


def test_the_load_of_the_tests_is_of_the_deployment() -> None:
    assert (a_load().endpoint, a_load().deployment) == ("iris", "blue")
