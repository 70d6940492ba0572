"""administration/keys.py: reading keys, replacing them, named ones; and that no line in the log has one."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from router.core.auth import is_key
from router.core.keys import Keys, NamedKey
from tests.administration.office import IRIS, ROOT, Office, audited
from tests.core.nouns import PRIMARY, SECONDARY

KEYS = f"{IRIS}/keys"
NEW = "a-new-key-of-the-tests"


def kept(office: Office) -> Keys:
    return office.administration.kept["iris"]


async def test_keys_are_shown_and_that_is_told(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reply = await client.get(KEYS)
    assert reply.status_code == 200
    assert reply.json() == {
        "primaryKey": PRIMARY,
        "secondaryKey": SECONDARY,
        "namedKeys": {},
        "version": Keys(PRIMARY, SECONDARY).version,
    }
    assert audited(caplog) == [{"action": "showKeys", "endpoint": "iris", "status": 200, "outcome": "done"}]


async def test_an_endpoint_without_keys_is_404(client: httpx.AsyncClient) -> None:
    reply = await client.get(f"{ROOT}/endpoints/wine/keys")
    assert reply.status_code == 404
    assert "endpoint wine has no keys" in reply.json()["error"]["message"]
    assert (await client.post(f"{ROOT}/endpoints/wine/keys/primary/regenerate")).status_code == 404
    assert (await client.get(f"{ROOT}/endpoints/none/keys")).status_code == 404


@pytest.mark.parametrize(("which", "field"), [("primary", "primaryKey"), ("secondary", "secondaryKey")])
@pytest.mark.parametrize("content", [b"", b"{}", b'{"keyValue": null, "version": null}'])
async def test_a_key_is_replaced_by_a_random_one(
    office: Office, client: httpx.AsyncClient, which: str, field: str, content: bytes
) -> None:
    before = (await client.get(KEYS)).json()
    reply = await client.post(f"{KEYS}/{which}/regenerate", content=content)
    assert reply.status_code == 200
    after = reply.json()
    assert after == (await client.get(KEYS)).json()
    assert is_key(after[field])
    assert len(after[field]) == 43
    assert {name for name in before if before[name] != after[name]} == {field, "version"}
    assert office.platform.snapshot.endpoints[0].keys == kept(office).hashes


async def test_a_key_is_replaced_by_a_given_one(
    office: Office, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    reply = await client.post(f"{KEYS}/secondary/regenerate", json={"keyValue": NEW})
    assert (reply.status_code, reply.json()["secondaryKey"]) == (200, NEW)
    assert kept(office) == Keys(PRIMARY, NEW)
    assert audited(caplog) == [
        {"action": "regenerateKey", "endpoint": "iris", "key": "secondary", "status": 200, "outcome": "done"}
    ]
    assert NEW not in caplog.text


async def test_two_changes_at_once_are_one_and_a_conflict(office: Office, client: httpx.AsyncClient) -> None:
    version = (await client.get(KEYS)).json()["version"]
    bodies = [{"keyValue": f"{NEW}-{each}", "version": version} for each in range(2)]
    replies = await asyncio.gather(*(client.post(f"{KEYS}/primary/regenerate", json=body) for body in bodies))
    assert sorted(reply.status_code for reply in replies) == [200, 409]
    done = next(body for body, reply in zip(bodies, replies, strict=True) if reply.status_code == 200)
    assert kept(office).primary_key == done["keyValue"]


@pytest.mark.parametrize(("method", "path"), [("POST", "primary/regenerate"), ("PUT", "team")])
async def test_an_old_version_is_409_and_changes_nothing(
    office: Office, client: httpx.AsyncClient, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reply = await client.request(method, f"{KEYS}/{path}", json={"keyValue": NEW, "version": "old"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "Conflict")
    assert reply.json()["error"]["message"] == "the keys are others by now: read them again"
    assert kept(office) == Keys(PRIMARY, SECONDARY)
    assert audited(caplog)[0]["outcome"] == "refused"


@pytest.mark.parametrize(
    "value", ["", "too-short", "x" * 257, "with a space in the middle", "a-key-with-a-é-in-it", "a-key-with-a-\n-in-it"]
)
@pytest.mark.parametrize(("method", "path"), [("POST", "primary/regenerate"), ("PUT", "team")])
async def test_a_value_that_is_no_key_is_422_with_the_rule_and_without_the_value(
    office: Office, client: httpx.AsyncClient, method: str, path: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    reply = await client.request(method, f"{KEYS}/{path}", json={"keyValue": value})
    assert reply.status_code == 422
    assert "16 to 256 printable ASCII characters" in reply.json()["error"]["message"]
    assert not value or value not in reply.text + caplog.text
    assert kept(office) == Keys(PRIMARY, SECONDARY)


@pytest.mark.parametrize("value", [1, True, ["a-key-in-a-list-of-keys"], {"a": "b"}])
async def test_a_value_of_another_type_is_400(client: httpx.AsyncClient, value: Any) -> None:
    reply = await client.post(f"{KEYS}/primary/regenerate", json={"keyValue": value})
    assert reply.status_code == 400
    assert "$.keyValue" in reply.json()["error"]["message"]
    assert "a-key-in" not in reply.text


# -- named keys ------------------------------------------------------------------------------------------------


async def test_a_named_key_is_made_changed_regenerated_and_removed(
    office: Office, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    limit = {"requestsPerSecond": 2.5, "burst": 5}
    reply = await client.put(f"{KEYS}/team", json={"expiresAt": "2027-06-01T00:00:00Z", "rateLimit": limit})
    assert reply.status_code == 201
    made = reply.json()["namedKeys"]["team"]
    assert len(made["key"]) == 43
    assert made == {"key": made["key"], "expiresAt": "2027-06-01T00:00:00Z", "rateLimit": limit}
    reply = await client.put(f"{KEYS}/team", json={"rateLimit": {"requestsPerSecond": 9}})
    assert reply.status_code == 200
    changed = {"requestsPerSecond": 9.0, "burst": None}
    assert reply.json()["namedKeys"]["team"] == {**made, "rateLimit": changed}, "what is not given stays"
    reply = await client.post(f"{KEYS}/team/regenerate", json={"keyValue": NEW})
    assert reply.json()["namedKeys"]["team"] == {**made, "key": NEW, "rateLimit": changed}
    reply = await client.put(f"{KEYS}/team", json={"expiresAt": None, "rateLimit": None})
    assert (reply.status_code, reply.json()["namedKeys"]) == (200, {"team": {"key": NEW}})
    assert kept(office).named_keys == {"team": NamedKey(key=NEW)}
    reply = await client.delete(f"{KEYS}/team")
    assert (reply.status_code, reply.json()["namedKeys"]) == (200, {})
    told = audited(caplog)
    assert [(line["action"], line["key"], line["status"]) for line in told] == [
        ("putKey", "team", 201),
        ("putKey", "team", 200),
        ("regenerateKey", "team", 200),
        ("putKey", "team", 200),
        ("removeKey", "team", 200),
    ]
    assert told[0]["from"] is None
    assert told[1]["from"] == told[0]["to"] == {"expiresAt": "2027-06-01T00:00:00Z", "rateLimit": limit}
    assert told[3]["to"] == {"expiresAt": None, "rateLimit": None}
    assert made["key"] not in caplog.text
    assert NEW not in caplog.text


async def test_a_named_key_may_be_given(office: Office, client: httpx.AsyncClient) -> None:
    assert (await client.put(f"{KEYS}/team", json={"keyValue": NEW})).status_code == 201
    assert kept(office).named_keys["team"].key == NEW
    assert (await client.put(f"{KEYS}/team", json={"keyValue": NEW + "2"})).status_code == 200
    assert kept(office).named_keys["team"].key == NEW + "2"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("which", ["primary", "secondary"])
async def test_the_first_two_are_no_named_keys(
    office: Office, client: httpx.AsyncClient, method: str, which: str
) -> None:
    reply = await client.request(method, f"{KEYS}/{which}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "Unfit")
    assert which in reply.json()["error"]["message"]
    assert kept(office) == Keys(PRIMARY, SECONDARY)


@pytest.mark.parametrize(("method", "path"), [("DELETE", "nobody"), ("POST", "nobody/regenerate")])
async def test_a_name_that_nobody_has_is_404(client: httpx.AsyncClient, method: str, path: str) -> None:
    reply = await client.request(method, f"{KEYS}/{path}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "NotFound")
    assert "known are primary, secondary" in reply.json()["error"]["message"]


@pytest.mark.parametrize("name", ["ab", "token", "jwt", "none", "-team", "team-", "t.m", "x" * 33, "a%0Ab"])
async def test_a_name_that_can_not_be_is_422(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.put(f"{KEYS}/{name}")).status_code == 422


@pytest.mark.parametrize(("method", "path"), [("PUT", ""), ("DELETE", ""), ("POST", "/regenerate")])
async def test_a_key_in_the_place_of_a_name_comes_into_no_log(
    client: httpx.AsyncClient, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that fails because somebody took the key for its name."""
    caplog.set_level(logging.DEBUG)
    reply = await client.request(method, f"{KEYS}/{PRIMARY}-and-more-characters{path}")
    assert reply.status_code in (404, 422)
    [line] = audited(caplog)
    assert "key" not in line
    assert PRIMARY not in "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("scoregate"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"expiresAt": "2027-06-01T00:00:00"}, "timezone"),
        ({"expiresAt": "tomorrow"}, "RFC3339"),
        ({"expiresAt": 1_800_000_000}, "$.expiresAt"),
        ({"rateLimit": {}}, "requestsPerSecond"),
        ({"rateLimit": {"requestsPerSecond": 0}}, "> 0"),
        ({"rateLimit": {"requestsPerSecond": 1e7}}, "<= 1000000"),
        ({"rateLimit": {"requestsPerSecond": 1, "burst": 0}}, ">= 1"),
        ({"rateLimit": {"requestsPerSecond": 1, "brust": 2}}, "`brust`"),
        ({"key": NEW}, "`key`"),
    ],
)
async def test_settings_that_can_not_be_are_400_with_the_field(
    office: Office, client: httpx.AsyncClient, body: dict[str, Any], words: str
) -> None:
    reply = await client.put(f"{KEYS}/team", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "BadRequest")
    assert words in reply.json()["error"]["message"]
    assert NEW not in reply.text
    assert kept(office).named_keys == {}


async def test_a_key_that_is_over_already_may_be_set(office: Office, client: httpx.AsyncClient) -> None:
    """It cuts a consumer off at once, and keeps its name."""
    for moment in ("1970-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        reply = await client.put(f"{KEYS}/team", json={"expiresAt": moment})
        assert reply.status_code in (200, 201), reply.text
    assert kept(office).named_keys["team"].expires_at is not None
