"""leader.py: one of several processes leads, and knows when it does not any more, whatever the API server does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import msgspec
import pytest

from router.platforms.kubernetes.api import Api, ApiError
from router.platforms.kubernetes.leading.elector import DEADLINE_S, LEASE_S, RENEW_S, Ask, Lease, LeaseSpec
from router.platforms.kubernetes.leading.leader import REQUEST_WITHIN_S, Leader
from tests.kubernetes.fake import FakeApiServer
from tests.platforms.kubernetes.election import ApiServer
from tests.virtual_time import now, on_virtual_time, settle

LEASES = "/apis/coordination.k8s.io/v1/namespaces/models/leases"
PATIENCE_S = 30.0


class LeaseApi:
    """An `Api` of one Lease on virtual time. `hangs`: nothing is answered; `refuses`: this is."""

    def __init__(self, *, released: bool = True) -> None:
        self.server = ApiServer()
        self.hangs = False
        self.refuses: Callable[[str], ApiError | None] = lambda method: None
        self.sent: list[tuple[float, str]] = []
        self.broken_answer = b""
        if released:
            spec = LeaseSpec(holder_identity="", lease_duration_seconds=1)
            self.server.carry_out(Ask("POST", Lease(metadata={"name": "autoscaler"}, spec=spec)))

    @property
    def holder(self) -> str:
        assert self.server.lease is not None
        return self.server.lease.holder

    async def read(self, path: str, query: Mapping[str, str] | None = None, *, within_s: float = 10.0) -> bytes:
        assert path == f"{LEASES}/autoscaler"
        return await self._answer(Ask("GET"), within_s)

    async def write(self, method: str, path: str, body: Lease, *, within_s: float = 5.0, **_: Any) -> bytes:
        assert path == (LEASES if method == "POST" else f"{LEASES}/autoscaler")
        return await self._answer(Ask(cast(Any, method), body), within_s)

    async def _answer(self, ask: Ask, within_s: float) -> bytes:
        self.sent.append((now(), ask.method))
        if self.hangs:
            await asyncio.sleep(1.2 * within_s)  # a little late itself
            raise ApiError(ask.method, f"no answer within {within_s:g} s")
        refusal = self.refuses(ask.method)
        answer = self.server.carry_out(ask) if refusal is None else None
        await asyncio.sleep(0.01)
        if refusal is not None:
            raise refusal
        assert answer is not None
        if answer.lease is None:
            raise ApiError(ask.method, f"the API server answers {answer.status}: no", status=answer.status)
        return self.broken_answer or msgspec.json.encode(answer.lease)


def a_leader(api: LeaseApi, identity: str = "one", *, clock: Callable[[], float] = now) -> Leader:
    return Leader(cast(Api, api), "models", "autoscaler", identity, clock=clock, chance=lambda: 0.5)


class Words:
    """What one who follows is told, and when."""

    def __init__(self, changes: AsyncGenerator[bool, None]) -> None:
        self.said: list[tuple[float, bool]] = []
        self._changes = changes
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async with aclosing(self._changes) as changes:
            async for leads in changes:
                self.said.append((round(now(), 2), leads))

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def following(leader: Leader) -> AsyncIterator[Words]:
    words = Words(leader.follow())
    try:
        yield words
    finally:
        await words.close()


@on_virtual_time
async def test_who_is_alone_leads_with_its_first_word() -> None:
    api = LeaseApi()
    leader = a_leader(api)
    assert not leader.leads()
    async with aclosing(leader.follow()) as changes:
        assert await anext(changes) is True
        assert leader.leads()
        assert api.holder.startswith("one_")
    assert not leader.leads()
    assert (api.holder, len(asyncio.all_tasks())) == ("", 1)


@on_virtual_time
async def test_who_makes_the_lease_leads_after_its_duration() -> None:
    async with following(a_leader(LeaseApi(released=False))) as words:
        await asyncio.sleep(20.0)
        assert words.said == [(0.02, False), (0.02 + LEASE_S, True)]


@on_virtual_time
async def test_where_the_api_server_is_silent_the_first_word_comes_all_the_same() -> None:
    api = LeaseApi()
    api.hangs = True
    async with following(a_leader(api)) as words:
        await asyncio.sleep(60.0)
        assert words.said == [(REQUEST_WITHIN_S, False)]
        api.hangs = False
        await asyncio.sleep(5.0)
        assert [leads for _, leads in words.said] == [False, True]


@on_virtual_time
async def test_the_clock_alone_ends_a_lead_while_requests_hang() -> None:
    api = LeaseApi()
    leader = a_leader(api)
    async with following(leader) as words:
        await asyncio.sleep(10.0)
        renewed_s = max(at for at, method in api.sent if method == "PUT")
        api.hangs = True
        await asyncio.sleep(renewed_s + DEADLINE_S - now() - 0.001)
        assert leader.leads()
        await asyncio.sleep(0.001)
        assert not leader.leads()
        await asyncio.sleep(60.0)
        assert words.said == [(0.02, True), (round(renewed_s + DEADLINE_S, 2), False)]
        api.hangs = False
        await asyncio.sleep(2 * RENEW_S)
        assert leader.leads()


@on_virtual_time
async def test_whoever_stands_still_does_not_lead_when_it_goes_on() -> None:
    stood_still_s = 0.0
    leader = a_leader(LeaseApi(), clock=lambda: now() + stood_still_s)
    async with following(leader):
        await asyncio.sleep(10.0)
        assert leader.leads()
        stood_still_s = DEADLINE_S
        assert not leader.leads()
        await asyncio.sleep(RENEW_S)
        assert leader.leads()


@on_virtual_time
async def test_of_two_one_leads_and_the_other_takes_over_when_it_closes() -> None:
    api = LeaseApi()
    async with following(a_leader(api, "other")) as other:
        await asyncio.sleep(1.0)
        async with following(a_leader(api)) as one:
            await asyncio.sleep(60.0)
            await other.close()
            left_s = now()
            await asyncio.sleep(RENEW_S + 0.1)
            assert [leads for _, leads in one.said] == [False, True]
            assert one.said[-1][0] <= left_s + RENEW_S
    assert [leads for _, leads in other.said] == [True]


@on_virtual_time
async def test_two_of_one_identity_never_both_lead() -> None:
    api = LeaseApi()
    first, second = a_leader(api), a_leader(api)
    async with following(first), following(second):
        for _ in range(200):
            assert not (first.leads() and second.leads())
            await asyncio.sleep(0.1)
        assert first.leads() or second.leads()


@on_virtual_time
async def test_a_renewal_needs_nobody_to_listen() -> None:
    leader = a_leader(LeaseApi())
    async with aclosing(leader.follow()) as changes:
        assert await anext(changes) is True
        await asyncio.sleep(600.0)
        assert leader.leads()


@on_virtual_time
async def test_it_can_be_followed_again() -> None:
    api = LeaseApi()
    leader = a_leader(api)
    holders = set()
    for _ in range(2):
        async with aclosing(leader.follow()) as changes:
            assert await anext(changes) is True
            holders.add(api.holder)
    assert len(holders) == 2


@on_virtual_time
async def test_who_closes_while_the_api_server_is_silent_does_not_wait_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api = LeaseApi()
    leader = a_leader(api)
    changes = leader.follow()
    assert await anext(changes) is True
    api.hangs = True
    await asyncio.sleep(RENEW_S)
    closed_s = now()
    closing = asyncio.ensure_future(changes.aclose())
    await settle()
    assert not leader.leads()
    await closing
    assert now() - closed_s <= REQUEST_WITHIN_S
    assert "models/autoscaler could not be released" in caplog.text


@on_virtual_time
async def test_who_closes_in_the_middle_of_a_renewal_releases_what_became_of_it() -> None:
    api = LeaseApi()
    changes = a_leader(api).follow()
    assert await anext(changes) is True
    await asyncio.sleep(api.sent[-1][0] + 0.9 * RENEW_S + 0.005 - now())
    assert len(api.sent) == 3, "the next renewal is on its way"
    await changes.aclose()
    assert api.holder == ""


@on_virtual_time
async def test_who_closes_in_the_middle_of_taking_over_releases_it_too() -> None:
    api = LeaseApi()
    words = Words(a_leader(api).follow())
    await asyncio.sleep(0.015)
    assert [method for _, method in api.sent] == ["GET", "PUT"]
    await words.close()
    assert (words.said, api.holder) == ([], "")


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 403), ("POST", 403), ("PUT", 403), ("POST", 404), ("GET", 429), ("PUT", 500)],
    ids=["may not get", "may not create", "may not update", "no namespace", "too many", "an error"],
)
def test_what_is_refused_is_said_once_and_tried_again(
    method: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "scoregate.platform")

    @on_virtual_time
    async def refused() -> None:
        api = LeaseApi(released=method != "POST")
        refusal = ApiError(f"{method} {LEASES}", f"the API server answers {status}: no", status=status)
        api.refuses = lambda asked: refusal if asked == method else None
        async with following(a_leader(api)) as words:
            await asyncio.sleep(60.0)
            assert [leads for _, leads in words.said] == [False]
            assert 0.5 * 60.0 / RENEW_S < len(api.sent) < 4 * 60.0 / RENEW_S
            warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
            assert [record.getMessage() for record in warnings] == [
                f"the Lease models/autoscaler can't be had, trying again: {method} {LEASES}: "
                f"the API server answers {status}: no"
            ]
            api.refuses = lambda asked: None
            await asyncio.sleep(LEASE_S + 2 * RENEW_S)
            assert [leads for _, leads in words.said] == [False, True]
        assert caplog.text.count("can be had again") == 1

    refused()


@pytest.mark.parametrize("answer", [b"<html>", b'{"metadata": 5}', b'{"metadata": {"name": "\xff"}}'])
def test_an_answer_that_is_no_lease_is_a_failure(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    @on_virtual_time
    async def garbled() -> None:
        api = LeaseApi()
        api.broken_answer = answer
        async with following(a_leader(api)) as words:
            await asyncio.sleep(10.0)
            assert [leads for _, leads in words.said] == [False]
            assert "can't be had" in caplog.text

    garbled()


@on_virtual_time
async def test_losing_a_race_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    api = LeaseApi()
    api.refuses = lambda method: ApiError("PUT", "conflict", status=409) if method == "PUT" else None
    async with following(a_leader(api)):
        await asyncio.sleep(10.0)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@on_virtual_time
async def test_it_says_who_holds_the_lease(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "scoregate.platform")
    async with following(a_leader(LeaseApi())):
        await asyncio.sleep(10.0)
    said = [record.getMessage() for record in caplog.records]
    assert [text.partition("one_")[0] for text in said] == [
        "the Lease models/autoscaler is held by ",
        "the Lease models/autoscaler is held by nobody",
    ]


@on_virtual_time
async def test_what_nobody_foresaw_reaches_who_follows() -> None:
    api = LeaseApi()

    def breaks(method: str) -> ApiError | None:
        raise RuntimeError("a fault of ours")

    api.refuses = breaks
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await anext(a_leader(api).follow())


async def test_a_lease_of_the_fake_api_server_is_led_by(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeApiServer() as server:
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1}
        server.put("leases", {"metadata": {"name": "autoscaler", "labels": {"a": "b"}}, "spec": spec}, "models")
        monkeypatch.setenv("KUBECONFIG", server.kubeconfig)
        async with await Api.open() as api, aclosing(Leader(api, "models", "autoscaler", "one").follow()) as changes:
            assert await anext(changes) is True
            lease = server.get("leases", "autoscaler", "models")
            assert lease is not None
            assert lease["spec"]["holderIdentity"].startswith("one_")
            assert lease["metadata"]["labels"] == {"a": "b"}
