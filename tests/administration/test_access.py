"""administration/access.py: the right key from the right place, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from router.administration.access import Access
from router.administration.reach import Asked
from router.administration.refusals import Refusal
from router.platforms.memory_administration import MemoryVault

KEY = "the-administrators-key-of-the-tests"


@pytest.fixture
async def access() -> AsyncIterator[Access]:
    vault = MemoryVault()
    await vault.write("admin-key", KEY.encode(), None)
    made = Access(vault)
    task = asyncio.create_task(made.run())
    while not made._key._entry.known:  # noqa: ASYNC110 - it reads what is in memory
        await asyncio.sleep(0)
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def asked(authorization: str | None, client: str = "127.0.0.1") -> Asked:
    return Asked(client, "http", "localhost", None, authorization)


def refusal(access: Access, request: Asked, now_s: float = 0.0) -> Refusal:
    with pytest.raises(Refusal) as refused:
        access.check(request, now_s)
    return refused.value


def test_the_right_key_opens(access: Access) -> None:
    access.check(asked(f"Bearer {KEY}"), 0.0)
    access.check(asked(f"bearer   {KEY} "), 0.0)


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic abc", KEY, f"Bearer{KEY}"])
def test_without_a_key_the_header_is_named(access: Access, authorization: str | None) -> None:
    told = refusal(access, asked(authorization))
    assert (told.status, told.headers) == (401, {"www-authenticate": 'Bearer realm="administration"'})
    assert "`Authorization: Bearer" in told.message


@pytest.mark.parametrize("key", [KEY[:-1], KEY + "x", KEY.upper(), "é" * 30, "€" * 30, "x" * 100_000])
def test_a_wrong_key_is_401_and_is_quoted_nowhere(access: Access, key: str) -> None:
    told = refusal(access, asked(f"Bearer {key}"))
    assert told.status == 401
    assert 'error="invalid_token"' in told.headers["www-authenticate"]
    assert key not in told.message + str(told.headers)


def test_refusals_of_the_place_count_too(access: Access) -> None:
    statuses = [refusal(access, asked(f"Bearer {KEY}", "10.0.0.1")).status for _ in range(12)]
    assert statuses == [403] * 10 + [429] * 2


def test_the_right_key_opens_however_often_others_failed(access: Access) -> None:
    for _ in range(1_000):
        refusal(access, asked("Bearer wrong"))
    access.check(asked(f"Bearer {KEY}"), 0.0)
    told = refusal(access, asked("Bearer wrong"), 9.9)
    assert (told.status, told.headers) == (429, {"retry-after": "1"})


def test_that_nobody_knows_the_key_is_no_failure_of_the_client() -> None:
    access = Access(MemoryVault())
    assert [refusal(access, asked(f"Bearer {KEY}")).status for _ in range(20)] == [503] * 20
