"""vault.py: entries of one Secret, written by many, followed through whatever happens to it."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import msgspec
import pytest
from rich.pretty import pretty_repr

from router.platforms import PlatformError
from router.platforms.administration import Conflict, NotPermitted, Sealed, Unfit, Unknown
from router.platforms.kubernetes.api import Api, ApiError
from router.platforms.kubernetes.refusals import TRIES
from router.platforms.kubernetes.vault import SecretVault, VaultSecret
from tests.kubernetes import documents
from tests.kubernetes.fake import FakeApiServer
from tests.models import until as eventually

NAME = "scoregate-vault"
HUSH = b"hush-hush"
PATIENCE_S = 20.0


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as server:
        monkeypatch.setenv("KUBECONFIG", server.kubeconfig)
        put(server)
        yield server


@pytest.fixture
async def vault(server: FakeApiServer) -> AsyncIterator[SecretVault]:
    tasks: list[asyncio.Task[None]] = []
    async with await Api.open() as api:
        yield SecretVault(api, "home", NAME, lambda work: tasks.append(asyncio.ensure_future(work)))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert len(tasks) <= 1, "one watch, however many follow"


def put(server: FakeApiServer, **entries: str) -> None:
    """The Secret, with just these."""
    named = {name.replace("_", "-"): text for name, text in entries.items()}
    server.put("secrets", documents.secret(NAME, "home", "scoregate.io/vault", **named))


def data(server: FakeApiServer) -> dict[str, bytes]:
    secret = server.get("secrets", NAME, "home")
    assert secret is not None
    return {name: base64.b64decode(text) for name, text in secret.get("data", {}).items()}


def patches(server: FakeApiServer) -> int:
    return sum(asked.method == "PATCH" for asked in server.requests)


async def written(vault: SecretVault, content: bytes = HUSH) -> Sealed:
    await vault.write("admin-key", content, None)
    sealed = await vault.read("admin-key")
    assert sealed is not None
    return sealed


# -- reading and writing ---------------------------------------------------------------------------------------


async def test_what_was_written_is_read_and_others_stay(server: FakeApiServer, vault: SecretVault) -> None:
    put(server, note="mine")
    assert await vault.read("admin-key") is None
    sealed = await written(vault, b"\x00\xff")
    assert sealed.content == b"\x00\xff"
    await vault.write("signing-keys", b"[]", None)
    assert data(server) == {"admin-key": b"\x00\xff", "signing-keys": b"[]", "note": b"mine"}


async def test_only_who_knows_what_is_there_writes(server: FakeApiServer, vault: SecretVault) -> None:
    first = await written(vault)
    for version in (None, "another"):
        with pytest.raises(Conflict, match="admin-key in Secret scoregate-vault in namespace home was changed"):
            await vault.write("admin-key", b"two", version)
    await vault.write("admin-key", b"two", first.version)
    with pytest.raises(Conflict):
        await vault.write("admin-key", b"three", first.version)
    with pytest.raises(Conflict):
        await vault.write("revocations", b"{}", first.version)
    assert data(server) == {"admin-key": b"two"}


async def test_of_many_that_write_at_once_one_does(server: FakeApiServer, vault: SecretVault) -> None:
    results = await asyncio.gather(
        *(vault.write("admin-key", b"key %d" % number, None) for number in range(8)), return_exceptions=True
    )
    won = [number for number, result in enumerate(results) if result is None]
    assert len(won) == 1
    assert all(isinstance(result, Conflict) for result in results if result is not None)
    assert data(server) == {"admin-key": b"key %d" % won[0]}


async def test_another_entry_that_changes_meanwhile_is_no_conflict(server: FakeApiServer, vault: SecretVault) -> None:
    server.answer_with(409, only=lambda method, path: method == "PATCH", times=TRIES - 1)
    await vault.write("admin-key", HUSH, None)
    assert data(server) == {"admin-key": HUSH}
    assert patches(server) == TRIES


async def test_a_secret_that_others_never_stop_writing_is_a_conflict(server: FakeApiServer, vault: SecretVault) -> None:
    server.answer_with(409, only=lambda method, path: method == "PATCH")
    with pytest.raises(Conflict):
        await vault.write("admin-key", HUSH, None)
    assert patches(server) == TRIES


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (403, NotPermitted, "its account needs get, list, watch and patch of this Secret"),
        (429, ApiError, "429"),
        (503, ApiError, "503"),
    ],
)
@pytest.mark.parametrize("verb", ["GET", "PATCH"])
async def test_a_refusal_is_told_and_holds_no_content(
    server: FakeApiServer, vault: SecretVault, verb: str, status: int, kind: type[PlatformError], words: str
) -> None:
    server.answer_with(status, only=lambda method, path: method == verb)
    with pytest.raises(kind, match=words) as caught:
        await vault.write("admin-key", HUSH, None)
    assert HUSH.decode() not in str(caught.value)
    assert base64.b64encode(HUSH).decode() not in str(caught.value)


async def test_one_that_the_api_server_will_not_have_is_unfit(server: FakeApiServer, vault: SecretVault) -> None:
    server.answer_with(422, only=lambda method, path: method == "PATCH")
    with pytest.raises(Unfit, match="write admin-key into Secret scoregate-vault"):
        await vault.write("admin-key", HUSH, None)


async def test_a_missing_secret_is_told_with_what_to_do(server: FakeApiServer, vault: SecretVault) -> None:
    server.delete("secrets", NAME, "home")
    command = "kubectl -n home create secret generic scoregate-vault --type scoregate.io/vault"
    with pytest.raises(Unknown, match=command):
        await vault.read("admin-key")
    with pytest.raises(Unknown, match=command):
        await vault.write("admin-key", HUSH, None)


async def test_without_a_server_it_is_an_error(server: FakeApiServer, vault: SecretVault) -> None:
    await server.stop()
    with pytest.raises(ApiError, match="no connection"):
        await vault.read("admin-key")


class GarblingApi:
    async def read(self, path: str) -> bytes:
        return b'{"metadata": {"name": "x"}, "data": {"admin-key": "hush-hush!"}}'


async def test_an_answer_that_is_no_secret_is_not_quoted() -> None:
    vault = SecretVault(GarblingApi(), "home", NAME, asyncio.ensure_future)  # type: ignore[arg-type]
    with pytest.raises(PlatformError, match="the API server's answer is no Secret") as caught:
        await vault.read("admin-key")
    assert caught.value.__suppress_context__
    assert "hush" not in str(caught.value)


def test_no_repr_shows_an_entry() -> None:
    text = {"metadata": {"name": NAME}, "data": {"admin-key": base64.b64encode(HUSH).decode()}}
    secret = msgspec.json.decode(msgspec.json.encode(text), type=VaultSecret)
    things: list[Any] = [secret, secret.entry("admin-key"), [secret]]
    shown = "".join(f"{thing!r} {pretty_repr(thing)}" for thing in things)
    assert "hush" not in shown
    assert base64.b64encode(HUSH).decode() not in shown


# -- following -------------------------------------------------------------------------------------------------


class Told:
    """What somebody who follows an entry has heard."""

    def __init__(self, vault: SecretVault, name: Any = "admin-key") -> None:
        self.all: list[bytes | None] = []
        self._task = asyncio.ensure_future(self._listen(vault, name))

    async def _listen(self, vault: SecretVault, name: Any) -> None:
        async with aclosing(vault.follow(name)) as news:  # type: ignore[type-var]
            async for sealed in news:
                self.all.append(None if sealed is None else sealed.content)

    async def until(self, *expected: bytes | None) -> None:
        await eventually(lambda: self.all == list(expected))

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture
async def told(vault: SecretVault) -> AsyncIterator[Told]:
    told = Told(vault)
    yield told
    await told.close()


async def test_what_is_there_and_each_change_of_it_is_told_once(
    server: FakeApiServer, vault: SecretVault, told: Told
) -> None:
    await told.until(None)
    sealed = await written(vault)
    await told.until(None, HUSH)
    await vault.write("revocations", b"{}", None)
    await vault.write("admin-key", b"two", sealed.version)
    await told.until(None, HUSH, b"two")
    put(server)
    await told.until(None, HUSH, b"two", None)


async def test_all_who_follow_are_told_of_their_own_entry(server: FakeApiServer, vault: SecretVault) -> None:
    put(server, admin_key="a", revocations="r")
    one, other = Told(vault), Told(vault, "revocations")
    await one.until(b"a")
    await other.until(b"r")
    put(server, admin_key="a", revocations="s")
    await other.until(b"r", b"s")
    assert one.all == [b"a"]
    await one.close()
    await other.close()
    watches = [each for each in server.requests if each.query.get("fieldSelector") == f"metadata.name={NAME}"]
    assert watches
    assert all(each.path == "/api/v1/namespaces/home/secrets" for each in watches)


async def test_while_the_secret_is_gone_what_it_held_stays(
    server: FakeApiServer, vault: SecretVault, caplog: pytest.LogCaptureFixture
) -> None:
    """Else revoked tokens would be good again."""
    put(server, admin_key="hush-hush")
    told = Told(vault)
    await told.until(HUSH)
    server.delete("secrets", NAME, "home")
    await eventually(lambda: "is gone, going on with what it held" in caplog.text)
    assert told.all == [HUSH]
    put(server, admin_key="b")
    await told.until(HUSH, b"b")
    assert "hush" not in caplog.text
    await told.close()


async def test_one_that_never_was_is_told_as_nothing_with_what_to_do(
    server: FakeApiServer, vault: SecretVault, caplog: pytest.LogCaptureFixture
) -> None:
    server.delete("secrets", NAME, "home")
    told = Told(vault)
    with caplog.at_level(logging.WARNING):
        await told.until(None)
    assert "kubectl -n home create secret generic scoregate-vault" in caplog.text
    put(server, admin_key="a")
    await told.until(None, b"a")
    await told.close()


@pytest.mark.parametrize("status", [403, 429, 503])
async def test_refusals_and_outages_leave_what_was_told(
    server: FakeApiServer, vault: SecretVault, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    put(server, admin_key="a")
    told = Told(vault)
    await told.until(b"a")
    server.answer_with(status)
    server.cut_watches(mid_line=True)
    await eventually(lambda: f"secrets in home: the API server answers {status}" in caplog.text)
    put(server, admin_key="b")
    await asyncio.sleep(0.2)
    assert told.all == [b"a"]
    server.recover()
    await told.until(b"a", b"b")
    await told.close()


async def test_a_server_that_ends_and_comes_back_is_caught_up_with(server: FakeApiServer, vault: SecretVault) -> None:
    put(server, admin_key="a")
    told = Told(vault)
    await told.until(b"a")
    await server.stop()
    put(server, admin_key="b")
    await asyncio.sleep(0.2)
    assert told.all == [b"a"]
    await server.start()
    await told.until(b"a", b"b")
    await told.close()


async def test_one_that_can_not_be_read_yet_is_waited_for(server: FakeApiServer, vault: SecretVault) -> None:
    server.answer_with(403)
    told = Told(vault)
    await asyncio.sleep(0.7)
    assert told.all == []
    put(server, admin_key="a")
    server.recover()
    await told.until(b"a")
    await told.close()
