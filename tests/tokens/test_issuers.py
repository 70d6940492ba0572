"""Which tokens of a real issuer open an endpoint, through rotation, outage and attack."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from router.core.claims import Verified
from router.core.errors import Forbidden, RouterError, Unauthorized, Unavailable
from router.core.model import Endpoint, JwtSettings
from router.tokens import issuer as one_issuer
from router.tokens.issuers import Issuers, KeysNeeded
from tests.core.nouns import a_deployment
from tests.models import until
from tests.tokens.issuer import CLIENT, DISCOVERY, JWKS, SECRET, TOKEN, OidcIssuer, SigningKey, private_key, signed

NOW = 1_800_000_000.0
CLAIMS = {"aud": "api://iris", "exp": NOW + 300, "iat": NOW, "sub": "anna", "jti": "id-1"}
ANNA = Verified("anna", "id-1", NOW, NOW + 300)


def an_endpoint(issuer: OidcIssuer, name: str = "iris", **changes: Any) -> Endpoint:
    trusted = {"issuer": issuer.url, "audiences": ("api://iris",), "ca_bundle": issuer.ca_bundle}
    jwt_settings = JwtSettings(**trusted | changes)
    return Endpoint(name=name, auth_mode="jwt", jwt=jwt_settings, deployments=(a_deployment(endpoint=name),))


@asynccontextmanager
async def following(*endpoints: Endpoint) -> AsyncIterator[Issuers]:
    issuers = Issuers()
    issuers.follow(endpoints)
    try:
        yield issuers
    finally:
        await issuers.close()


async def verified(issuers: Issuers, endpoint: Endpoint, token: bytes, now_s: float = NOW) -> Verified:
    """As the gate does it."""
    for _ in range(2):
        try:
            return issuers.verify(endpoint, token, now_s)
        except KeysNeeded:
            await issuers.fetch(endpoint)
    return issuers.verify(endpoint, token, now_s)


async def refusal(issuers: Issuers, endpoint: Endpoint, token: bytes, now_s: float = NOW) -> RouterError:
    with pytest.raises((Unauthorized, Forbidden, Unavailable)) as failure:
        await verified(issuers, endpoint, token, now_s)
    return failure.value


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_a_token_opens_the_endpoint(algorithm: str) -> None:
    with OidcIssuer() as issuer:
        issuer.rotate(algorithm)
        endpoint = an_endpoint(issuer)
        async with following(endpoint) as issuers:
            assert await verified(issuers, endpoint, issuer.token(CLAIMS)) == ANNA
            assert issuers.verify(endpoint, issuer.token(CLAIMS), NOW) == ANNA


async def test_the_keys_are_there_before_the_first_request() -> None:
    with OidcIssuer() as issuer:
        endpoint = an_endpoint(issuer)
        async with following(endpoint) as issuers:
            with pytest.raises(KeysNeeded):
                issuers.verify(endpoint, issuer.token(CLAIMS), NOW)
            await until(lambda: issuers.generation == 1)
            assert issuers.verify(endpoint, issuer.token(CLAIMS), NOW) == ANNA
            assert issuer.asked == {DISCOVERY: 1, JWKS: 1}


async def test_a_token_without_a_name_for_its_key() -> None:
    with OidcIssuer() as issuer:
        issuer.rotate("ES256", key_id=None)
        endpoint = an_endpoint(issuer)
        async with following(endpoint) as issuers:
            assert await verified(issuers, endpoint, issuer.token(CLAIMS)) == ANNA
            issuer.rotate("ES256", key_id=None)
            assert await verified(issuers, endpoint, issuer.token(CLAIMS)) == ANNA


async def test_a_grant_of_the_token_endpoint_opens_it() -> None:
    with OidcIssuer(path="/realms/iris") as issuer:
        endpoint = an_endpoint(issuer, required_scopes=("score",), required_claims={"sub": (CLIENT,)})
        form = {"client_id": CLIENT, "client_secret": SECRET, "audience": "api://iris", "scope": "read score"}
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            granted = await client.post(issuer.url + TOKEN, data=form)
            denied = await client.post(issuer.url + TOKEN, data=form | {"client_secret": "wrong"})
        assert denied.status_code == 401
        async with following(endpoint) as issuers:
            now_s = time.time()  # noqa: TID251 - the issuer's tokens say the calendar's time
            found = await verified(issuers, endpoint, granted.json()["access_token"].encode(), now_s)
            assert found.subject == CLIENT


KEYCLOAK = {
    "aud": ["api://iris", "account"], "azp": "scorer", "typ": "Bearer", "scope": "openid email score", "acr": "1",
    "realm_access": {"roles": ["offline_access"]}, "resource_access": {"account": {"roles": ["view-profile"]}},
    "email_verified": True, "allowed-origins": ["/*"], "sid": "f5", "jti": "trrtcc:7d", "sub": "b1c0-44",
}  # fmt: skip
ENTRA = {
    "aud": "api://iris", "azp": "6e74172b", "azpacr": "1", "roles": ["Score.Invoke"], "scp": "user_impersonation score",
    "oid": "690222be", "tid": "aaaabbbb", "uti": "fqiBqXLPj0", "ver": "2.0", "rh": "0.AXX", "sub": "HKZpfaH",
    "nbf": NOW - 300, "aio": "E2Vg",
}  # fmt: skip


@pytest.mark.parametrize("claims", [KEYCLOAK, ENTRA], ids=["keycloak", "entra"])
async def test_tokens_as_issuers_write_them(claims: dict[str, Any]) -> None:
    with OidcIssuer() as issuer:
        needs = {"roles": ("Score.Invoke",)} if "roles" in claims else {"azp": ("scorer",)}
        endpoint = an_endpoint(issuer, required_scopes=("score",), required_claims=needs)
        whole = claims | {"exp": NOW + 3600, "iat": NOW}
        async with following(endpoint) as issuers:
            head = {"x5t": "kg2L"} if "tid" in claims else {}
            assert (await verified(issuers, endpoint, issuer.token(whole, **head))).subject == claims["sub"]
            poor = {name: value for name, value in whole.items() if name not in ("scope", "scp", "roles", "azp")}
            assert (await refusal(issuers, endpoint, issuer.token(poor))).status == 403
            assert (await refusal(issuers, endpoint, issuer.token(whole | {"aud": "account"}))).status == 403


async def test_a_rotation_has_no_invalid_moment() -> None:
    """New keys are found when they are first met; tokens of the old one are good as long as the issuer names it."""
    with OidcIssuer() as issuer:
        endpoint = an_endpoint(issuer)
        async with following(endpoint) as issuers:
            old = issuer.token(CLAIMS)
            await verified(issuers, endpoint, old)
            issuer.rotate("ES256", keeps=1)
            new = issuer.token(CLAIMS)
            tokens = [old, new] * 20
            found = await asyncio.gather(*(verified(issuers, endpoint, token) for token in tokens))
            assert found == [ANNA] * 40
            assert issuer.asked[JWKS] == 2
            assert issuers.generation == 2


async def test_a_key_that_is_taken_back_is_good_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_issuer, "UNKNOWN_KEY_GAP_S", 0.0)
    with OidcIssuer() as issuer:
        endpoint = an_endpoint(issuer)
        async with following(endpoint) as issuers:
            old = issuer.token(CLAIMS)
            await verified(issuers, endpoint, old)
            issuer.rotate("ES256")
            await verified(issuers, endpoint, issuer.token(CLAIMS))
            monkeypatch.undo()
            assert (await refusal(issuers, endpoint, old)).status == 401


async def test_unknown_keys_ask_the_issuer_once() -> None:
    with OidcIssuer() as issuer:
        endpoint = an_endpoint(issuer)
        async with following(endpoint) as issuers:
            await verified(issuers, endpoint, issuer.token(CLAIMS))
            assert (await refusal(issuers, endpoint, issuer.token(CLAIMS, kid="made-up"))).status == 401
            for number in range(200):
                assert (await refusal(issuers, endpoint, issuer.token(CLAIMS, kid=f"made-up-{number}"))).status == 503
            assert (await refusal(issuers, endpoint, issuer.token(CLAIMS, kid="made-up"))).status == 401
            assert issuer.asked == {DISCOVERY: 2, JWKS: 2}
            assert issuers.verify(endpoint, issuer.token(CLAIMS), NOW) == ANNA


async def test_who_asks_in_vain_right_before_a_rotation_has_no_good_token_called_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with OidcIssuer() as issuer:
        endpoint = an_endpoint(issuer)
        async with following(endpoint) as issuers:
            await verified(issuers, endpoint, issuer.token(CLAIMS))
            await refusal(issuers, endpoint, issuer.token(CLAIMS, kid="made-up"))
            issuer.rotate("ES256")
            fresh = issuer.token(CLAIMS)
            told = await refusal(issuers, endpoint, fresh)
            assert (told.status, dict(told.headers)[b"retry-after"]) == (503, b"30")
            monkeypatch.setattr(one_issuer, "UNKNOWN_KEY_GAP_S", 0.0)
            assert await verified(issuers, endpoint, fresh) == ANNA


async def test_a_key_that_its_issuer_dropped_is_lacking_from_then_on() -> None:
    with OidcIssuer() as issuer:
        endpoint = an_endpoint(issuer)
        async with following(endpoint) as issuers:
            old = issuer.token(CLAIMS)
            await verified(issuers, endpoint, old)
            issuer.rotate("ES256")
            await verified(issuers, endpoint, issuer.token(CLAIMS))
            assert (await refusal(issuers, endpoint, old)).status == 401


async def test_what_could_never_be_good_asks_nobody() -> None:
    with OidcIssuer() as issuer:
        endpoint = an_endpoint(issuer)
        async with following(endpoint) as issuers:
            await until(lambda: issuers.generation == 1)
            good = issuer.token(CLAIMS)
            for token in (
                b"", b"no token", good + b"x", good[:-1] + b"!",
                issuer.token(CLAIMS | {"iss": "https://else"}, kid="other"),
                issuer.token(CLAIMS | {"exp": NOW - 61}, kid="other"),
                issuer.token(CLAIMS | {"exp": None}, kid="other"),
                issuer.token(CLAIMS | {"nbf": NOW + 61}, kid="other"),
                signed(SigningKey("other", "RS384", private_key("RS384")), CLAIMS | {"iss": issuer.url}),
                good.rpartition(b".")[0] + b"." + good.rpartition(b".")[2][::-1],
            ):  # fmt: skip
                with pytest.raises(Unauthorized):
                    issuers.verify(endpoint, token, NOW)
            assert issuer.asked == {DISCOVERY: 1, JWKS: 1}


@pytest.mark.parametrize("state", ["down", "broken", "empty", "failing", "huge", "moved"])
async def test_an_ill_issuer_takes_no_key_away(state: str) -> None:
    with OidcIssuer() as issuer:
        endpoint = an_endpoint(issuer)
        async with following(endpoint) as issuers:
            await verified(issuers, endpoint, issuer.token(CLAIMS))
            issuer.state = state
            told = await refusal(issuers, endpoint, issuer.token(CLAIMS, kid="unknown"))
            assert told.status == 503, "nobody can tell"
            assert issuer.asked[DISCOVERY] == 2
            assert issuers.verify(endpoint, issuer.token(CLAIMS), NOW) == ANNA
            assert issuers.generation == 1


async def test_without_the_issuer_ever_a_request_is_told_to_come_back() -> None:
    with OidcIssuer() as issuer:
        issuer.stop()
        endpoint = an_endpoint(issuer)
        async with following(endpoint) as issuers:
            with pytest.raises(Unavailable) as failure:
                await verified(issuers, endpoint, issuer.token(CLAIMS))
            assert b"retry-after" in dict(failure.value.headers)
            issuer.start_again()
            await until(lambda: issuers.generation == 1)
            assert await verified(issuers, endpoint, issuer.token(CLAIMS)) == ANNA


async def test_endpoints_of_one_issuer_share_its_keys() -> None:
    with OidcIssuer() as issuer:
        iris, wine = an_endpoint(issuer), an_endpoint(issuer, "wine", audiences=("api://wine",), algorithms=("ES256",))
        async with following(iris, wine) as issuers:
            await verified(issuers, iris, issuer.token(CLAIMS))
            assert issuer.asked == {DISCOVERY: 1, JWKS: 1}
            assert (await refusal(issuers, wine, issuer.token(CLAIMS))).status == 401
            issuer.rotate("ES256")
            assert (await refusal(issuers, wine, issuer.token(CLAIMS))).status == 403
            assert (await verified(issuers, wine, issuer.token(CLAIMS | {"aud": "api://wine"}))).subject == "anna"
            assert issuer.asked == {DISCOVERY: 2, JWKS: 2}


async def test_another_issuers_token_opens_nothing_here() -> None:
    """Also where both name a key alike."""
    with OidcIssuer() as ours, OidcIssuer(tls=False) as theirs:
        theirs.keys = [SigningKey("key-1", "RS256", private_key("RS256", 2))]
        here, there = an_endpoint(ours), an_endpoint(theirs, "wine")
        async with following(here, there) as issuers:
            assert await verified(issuers, here, ours.token(CLAIMS)) == ANNA
            assert await verified(issuers, there, theirs.token(CLAIMS)) == ANNA
            for token in (theirs.token(CLAIMS), theirs.token(CLAIMS | {"iss": ours.url})):
                assert (await refusal(issuers, here, token)).status == 401


async def test_who_leaves_is_forgotten_and_asked_no_more() -> None:
    with OidcIssuer() as issuer:
        endpoint = an_endpoint(issuer)
        async with following(endpoint) as issuers:
            await verified(issuers, endpoint, issuer.token(CLAIMS))
            issuers.follow([])
            await until(lambda: not issuers._leaving)
            with pytest.raises(Unavailable, match="has just changed"):
                await verified(issuers, endpoint, issuer.token(CLAIMS))
            issuers.follow([endpoint])
            assert await verified(issuers, endpoint, issuer.token(CLAIMS)) == ANNA
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("keys of")]


async def test_the_same_endpoints_again_change_nothing() -> None:
    with OidcIssuer() as issuer:
        async with following(an_endpoint(issuer)) as issuers:
            await until(lambda: issuers.generation == 1)
            issuers.follow([an_endpoint(issuer, clock_skew=1), an_endpoint(issuer, "wine")])
            assert issuers.verify(an_endpoint(issuer, "wine"), issuer.token(CLAIMS), NOW) == ANNA
            assert issuer.asked == {DISCOVERY: 1, JWKS: 1}


async def test_an_endpoint_that_takes_no_such_tokens_takes_none() -> None:
    with OidcIssuer() as issuer:
        deployments = (a_deployment(),)
        trusted = an_endpoint(issuer).jwt
        for endpoint in (Endpoint(name="iris", deployments=deployments, jwt=trusted),
                         Endpoint(name="iris", deployments=deployments, auth_mode="jwt")):  # fmt: skip
            async with following(endpoint) as issuers:
                assert not issuers._known
                with pytest.raises(Unauthorized):
                    issuers.verify(endpoint, issuer.token(CLAIMS), NOW)
                with pytest.raises(Unauthorized):
                    await issuers.fetch(endpoint)
        also = Endpoint(name="iris", deployments=deployments, also_accepts=("jwt",), jwt=trusted)
        async with following(also) as issuers:
            assert await verified(issuers, also, issuer.token(CLAIMS)) == ANNA
        assert issuer.asked == {DISCOVERY: 1, JWKS: 1}


KEY_IDS = [
    "../../../dev/null",
    "/dev/null",
    "' OR '1'='1",
    "key-1' --",
    "https://evil.example/keys",
    "key-1\0",
    "KEY-1",
    " key-1",
]


async def test_a_key_id_finds_a_key_of_just_that_name() -> None:
    with OidcIssuer() as issuer:
        endpoint = an_endpoint(issuer)
        async with following(endpoint) as issuers:
            await verified(issuers, endpoint, issuer.token(CLAIMS))
            odd = [issuer.token(CLAIMS, kid=key_id) for key_id in (*KEY_IDS, "k" * 257, "")]
            for token in odd:  # all are sought with one question
                with pytest.raises((Unauthorized, KeysNeeded)):
                    issuers.verify(endpoint, token, NOW)
            for token in odd:
                assert (await refusal(issuers, endpoint, token)).status == 401
            assert set(issuer.asked) == {DISCOVERY, JWKS}
