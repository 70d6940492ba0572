"""tokens.py: a token alone for scripts, its fields for programs; tokens are taken back, and keys replaced."""

from __future__ import annotations

import base64
import json
import time

import httpx
import pytest

from tests.administered import Administered
from tests.front import SCORE, bearer


async def opens(router: Administered, token: str) -> int:
    async with httpx.AsyncClient(base_url=router.scoring, trust_env=False) as client:
        return (await client.post(SCORE, headers=bearer(token))).status_code


def claims(token: str) -> dict[str, object]:
    part = token.split(".")[1]
    read: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


async def test_the_token_stands_alone_and_opens_the_endpoint(router: Administered) -> None:
    result = await router.run("token", "iris", "--subject", "pipeline-7")
    assert (result.exit_code, result.stderr) == (0, "")
    token = result.stdout.removesuffix("\n")
    assert token.split() == [token]
    assert (claims(token)["aud"], claims(token)["sub"]) == ("iris", "pipeline-7")
    assert await opens(router, token) == 200


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((), ["accessToken", "tokenType", "refreshAfter", "expiryOn"]),
        (("--api", "v2"), ["accessToken", "tokenType", "refreshAfterTimeUtc", "expiryTimeUtc"]),
    ],
)
async def test_as_json_it_has_the_fields_of_azure_ml_the_token_first(
    router: Administered, words: tuple[str, ...], names: list[str]
) -> None:
    said = json.loads(await router.printed("token", "iris", "--json", *words))
    assert list(said) == names
    token, kind, refresh_after, expiry = said.values()
    assert await opens(router, token) == 200
    assert (kind, expiry - refresh_after) == ("Bearer", 43_200)
    assert abs(refresh_after - 43_200 - time.time()) < 60  # noqa: TID251 - the token says when it is


async def test_an_endpoint_that_takes_no_tokens_gets_none(router: Administered) -> None:
    snapshot = router.platform.snapshot
    [iris] = snapshot.endpoints
    router.platform.publish(
        type(snapshot)(endpoints=(type(iris)(name="iris", deployments=iris.deployments, keys=iris.keys),))
    )
    assert "takes no tokens" in await router.failed("token", "iris")


async def test_one_token_is_taken_back_by_its_id_itself_or_from_input(router: Administered) -> None:
    tokens = [(await router.printed("token", "iris")).strip() for _ in range(4)]
    ids = [str(claims(token)["jti"]) for token in tokens]
    assert await router.printed("revoke", "iris", ids[0]) == (await revoked_text(router, ids[0]))
    assert ids[1] in await router.printed("revoke", "iris", tokens[1])
    assert (
        json.loads((await router.run("revoke", "iris", "-", "--json", input_=f"{tokens[2]}\n")).stdout)["revoked"]
        == ids[2]
    )
    assert [await opens(router, token) for token in tokens] == [401, 401, 401, 200]


async def revoked_text(router: Administered, token_id: str) -> str:
    at = json.loads(await router.printed("revoke", "iris", token_id, "--json"))["at"]
    return f"iris: the token {token_id} is revoked, as of {at[:19].replace('T', ' ')} UTC.\n"


async def test_to_take_all_back_needs_a_yes_where_nobody_can_be_asked(router: Administered) -> None:
    token = (await router.printed("token", "iris")).strip()
    result = await router.run("revoke", "iris", "--all")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert await opens(router, token) == 200
    said = await router.printed("revoke", "iris", "--all", "--yes")
    assert said.startswith("iris: every token is revoked, as of ")
    assert await opens(router, token) == 401


@pytest.mark.parametrize("words", [(), ("some-id", "--all")])
async def test_either_one_or_all(router: Administered, words: tuple[str, ...]) -> None:
    result = await router.run("revoke", "iris", *words, "--yes")
    assert (result.exit_code, "Give a token, or --all" in result.stderr) == (2, True)


@pytest.mark.parametrize("text", ["a.b.c", "e30.e30.e30", "..", "a.!!!!.c"])
async def test_what_only_looks_like_a_token_is_not_sent(router: Administered, text: str) -> None:
    result = await router.run("revoke", "iris", text)
    assert (result.exit_code, "no token of this router's" in result.stderr) == (2, True)


@pytest.mark.parametrize("words", [("",), (" ",), ("-",)])
async def test_an_empty_token_is_none(router: Administered, words: tuple[str, ...]) -> None:
    result = await router.run("revoke", "iris", *words, input_="\n")
    assert (result.exit_code, "The token is empty" in result.stderr) == (2, True)


async def test_signing_keys_are_shown_by_their_ids_alone(router: Administered) -> None:
    before = json.loads(await router.printed("signing-keys", "--json"))
    assert [set(key) for key in before] == [{"kid", "createdAt", "signsFrom", "signsUntil", "verifiesUntil"}] * len(
        before
    )
    after = json.loads(await router.printed("signing-keys", "--rotate", "--json"))
    assert [key["kid"] for key in after][: len(before)] == [key["kid"] for key in before]
    assert len(after) == len(before) + 1
    header, *rows = (await router.printed("signing-keys")).splitlines()
    assert header.split() == ["Key", "Made", "Signs", "from", "Until", "Verifies", "until"]
    assert [row.split()[0] for row in rows] == [key["kid"] for key in after]
