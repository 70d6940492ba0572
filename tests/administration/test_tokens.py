"""administration/tokens.py: issuing tokens, taking them back, the keys that sign them."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from router.core.signing import PUBLISH_AHEAD_S
from router.tokens.issuers import KeysNeeded
from tests.administration.office import IRIS, NOW_S, ROOT, Office, audited

TOKEN, TOKENS = f"{IRIS}/token", f"{IRIS}/tokens"


def verified(office: Office, token: str) -> Any:
    return office.tokens.verify(office.platform.snapshot.endpoints[0], token.encode(), office.now_s)


@pytest.mark.parametrize("query", ["", "?api=v1"])
async def test_a_token_has_the_fields_of_v1_in_their_order(client: httpx.AsyncClient, query: str) -> None:
    reply = await client.post(TOKEN + query)
    assert reply.status_code == 200
    token = reply.json()
    assert list(token) == ["accessToken", "tokenType", "refreshAfter", "expiryOn"]
    assert (token["tokenType"], token["refreshAfter"], token["expiryOn"]) == (
        "Bearer",
        int(NOW_S) + 43_200,
        int(NOW_S) + 86_400,
    )


async def test_a_token_has_the_fields_of_v2_where_they_are_asked_for(client: httpx.AsyncClient) -> None:
    token = (await client.post(f"{TOKEN}?api=v2")).json()
    assert list(token) == ["accessToken", "tokenType", "refreshAfterTimeUtc", "expiryTimeUtc"]
    assert (token["refreshAfterTimeUtc"], token["expiryTimeUtc"]) == (int(NOW_S) + 43_200, int(NOW_S) + 86_400)


async def test_the_token_is_good_and_comes_into_no_log(
    office: Office, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = (await client.post(TOKEN, json={"subject": "the nightly job"})).json()["accessToken"]
    assert verified(office, token).subject == "the nightly job"
    assert audited(caplog) == [
        {
            "action": "issueToken",
            "endpoint": "iris",
            "subject": "the nightly job",
            "expires": "2027-01-16T08:00:00.000Z",
            "status": 200,
            "outcome": "done",
        }
    ]
    assert token not in caplog.text
    assert token.split(".")[2] not in caplog.text


async def test_without_a_subject_it_is_the_administrators(office: Office, client: httpx.AsyncClient) -> None:
    assert verified(office, (await client.post(TOKEN)).json()["accessToken"]).subject == "administrator"


async def test_an_endpoint_that_takes_no_tokens_of_ours_gets_none(client: httpx.AsyncClient) -> None:
    reply = await client.post(f"{ROOT}/endpoints/wine/token")
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "Conflict")
    assert (await client.post(f"{ROOT}/endpoints/none/token")).status_code == 404


async def test_until_there_is_a_key_it_is_503() -> None:
    office = Office()
    await office.revocations.refresh()
    await office.vault.write("admin-key", b"the-administrators-key-of-the-tests", None)
    await office.access._key._entry.read()
    async with office.client() as client:
        reply = await client.post(TOKEN)
    assert reply.status_code == 503
    assert "signing key" in reply.json()["error"]["message"]
    assert "retry-after" in reply.headers


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"{TOKEN}?api=v3", {}, 400),
        (f"{TOKEN}?api=", {}, 400),
        (TOKEN, {"subject": ""}, 400),
        (TOKEN, {"subject": "x" * 256}, 400),
        (TOKEN, {"subject": None}, 400),
        (TOKEN, {"subject": "two\nlines"}, 422),
        (TOKEN, {"sub": "x"}, 400),
    ],
)
async def test_a_token_that_can_not_be_is_not_issued(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], status: int
) -> None:
    assert (await client.post(path, json=body)).status_code == status


@pytest.mark.parametrize("content", [b"", b"{}", b'{"tokenId": null}'])
async def test_all_tokens_until_now_are_taken_back_and_the_next_is_good(
    office: Office, client: httpx.AsyncClient, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = verified(office, (await client.post(TOKEN)).json()["accessToken"])
    assert not office.revocations.is_revoked("iris", before)
    reply = await client.request("DELETE", TOKENS, content=content)
    assert (reply.status_code, reply.json()) == (200, {"revoked": "all", "at": "2027-01-15T08:00:00.500000Z"})
    assert office.revocations.is_revoked("iris", before)
    after = verified(office, (await client.post(TOKEN)).json()["accessToken"])
    assert not office.revocations.is_revoked("iris", after)
    assert audited(caplog)[1] == {
        "action": "revokeTokens",
        "endpoint": "iris",
        "revoked": "all",
        "status": 200,
        "outcome": "done",
    }


async def test_one_token_is_taken_back_for_longer_than_it_lives(office: Office, client: httpx.AsyncClient) -> None:
    one, other = [verified(office, (await client.post(TOKEN)).json()["accessToken"]) for _ in range(2)]
    reply = await client.request("DELETE", TOKENS, json={"tokenId": one.token_id})
    assert (reply.status_code, reply.json()["revoked"]) == (200, one.token_id)
    assert office.revocations.is_revoked("iris", one)
    assert not office.revocations.is_revoked("iris", other)
    sealed = await office.vault.read("revocations")
    assert b"%d" % (int(NOW_S) + 365 * 86_400 + 86_400) in sealed.content


async def test_tokens_of_an_issuer_may_be_taken_back_too(office: Office, client: httpx.AsyncClient) -> None:
    reply = await client.request("DELETE", f"{ROOT}/endpoints/wine/tokens")
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "Conflict")  # it takes none of any kind
    iris, wine = office.platform.snapshot.endpoints
    office.platform.publish(replace(office.platform.snapshot, endpoints=(iris, replace(wine, auth_mode="jwt"))))
    assert (await client.request("DELETE", f"{ROOT}/endpoints/wine/tokens")).status_code == 200
    assert (await client.request("DELETE", f"{ROOT}/endpoints/none/tokens")).status_code == 404


async def test_a_whole_token_is_no_id_and_comes_into_no_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = (await client.post(TOKEN)).json()["accessToken"]
    reply = await client.request("DELETE", TOKENS, json={"tokenId": token})
    assert reply.status_code == 400
    assert token not in reply.text + caplog.text
    assert (await client.request("DELETE", TOKENS, json={"tokenId": "a\x00b"})).status_code == 422


async def test_signing_keys_are_listed_and_rotated(
    office: Office, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    [first] = (await client.get(f"{ROOT}/signing-keys")).json()
    moment = "2027-01-15T08:00:00.500000Z"
    kid = first["kid"]
    assert first == {
        "kid": kid,
        "createdAt": moment,
        "signsFrom": moment,
        "signsUntil": None,
        "verifiesUntil": None,
    }
    reply = await client.post(f"{ROOT}/signing-keys/rotate")
    assert reply.status_code == 200
    old, new = reply.json()
    assert (old["kid"], old["signsUntil"]) == (kid, new["signsFrom"])
    assert PUBLISH_AHEAD_S == 120
    assert new["signsFrom"] == "2027-01-15T08:02:00.500000Z"
    assert [key["kid"] for key in (await client.get("/.well-known/jwks.json")).json()["keys"]] == [kid, new["kid"]]
    [line] = audited(caplog)
    assert (line["action"], line["from"], line["to"]) == ("rotateSigningKeys", [kid], [kid, new["kid"]])
    again = await client.post(f"{ROOT}/signing-keys/rotate")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "Conflict")


async def test_nothing_secret_is_shown_of_a_signing_key(office: Office, client: httpx.AsyncClient) -> None:
    sealed = await office.vault.read("signing-keys")
    assert b'"d":' in sealed.content
    for path in (f"{ROOT}/signing-keys", "/.well-known/jwks.json"):
        assert '"d"' not in (await client.get(path)).text


async def test_a_token_of_before_a_rotation_stays_good(office: Office, client: httpx.AsyncClient) -> None:
    token = (await client.post(TOKEN)).json()["accessToken"]
    await client.post(f"{ROOT}/signing-keys/rotate")
    office.now_s += PUBLISH_AHEAD_S
    new = (await client.post(TOKEN)).json()["accessToken"]
    try:
        assert verified(office, token).subject == verified(office, new).subject == "administrator"
    except KeysNeeded:
        pytest.fail("a key is not known")
