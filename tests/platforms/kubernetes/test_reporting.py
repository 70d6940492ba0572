"""Is what became of each endpoint written when it is news, and no more often?"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from router.core.model import Snapshot
from router.platforms.kubernetes.cluster import Account, KeysWanted
from router.platforms.kubernetes.leading.reporting import AGAIN_S, AT_ONCE, LONGEST_PAUSE_S
from tests.platforms.kubernetes.reported import (
    NOON,
    Call,
    StubApi,
    StubCluster,
    account,
    as_written,
    refused,
    replicas,
    reporting,
)
from tests.virtual_time import now, on_virtual_time

STATUS = "/status"
MISSING = ("blue: there is no Deployment iris-blue in namespace models",)


def heard(cluster: StubCluster, call: Call, **changes: Any) -> None:
    """The watch brings what was written."""
    name = call.path.split("/")[-2]
    cluster.put(replace(cluster.has[f"uid-{name}"], status=call.body["status"], **changes))


def names(calls: list[Call]) -> list[str]:
    return [call.path.split("/")[-2] for call in calls]


@on_virtual_time
async def test_news_are_written_once() -> None:
    api, cluster = StubApi(), StubCluster(account())
    async with reporting(api, cluster):
        await asyncio.sleep(30)
        heard(cluster, api.calls[0])
        await asyncio.sleep(30)
    (call,) = api.calls
    assert call.at_s < 1
    assert (call.method, call.content_type) == ("PATCH", "application/merge-patch+json")
    assert call.path == "/apis/scoregate.io/v1/namespaces/models/inferenceendpoints/iris/status"
    assert list(call.body) == ["status"]
    assert call.body["status"]["replicas"] == "1/1"


@on_virtual_time
async def test_a_status_that_says_it_all_is_not_written() -> None:
    api, cluster = StubApi(), StubCluster(account())
    async with reporting(api, cluster):
        await asyncio.sleep(5)
    heard(cluster, api.calls[0])
    async with reporting(api, cluster):  # another leads now
        await asyncio.sleep(60)
    assert len(api.calls) == 1


@on_virtual_time
async def test_who_does_not_lead_writes_nothing() -> None:
    api, cluster, leads = StubApi(), StubCluster(account()), False
    async with reporting(api, cluster, lambda: leads):
        await asyncio.sleep(10)
        assert api.calls == []
        leads = True
        await asyncio.sleep(1)
        assert len(api.calls) == 1


@on_virtual_time
async def test_it_is_asked_whether_it_leads_before_each_write() -> None:
    cluster = StubCluster(*(account(f"ep-{n}") for n in range(3 * AT_ONCE)))
    leads = True

    def answer(call: Call) -> bytes:
        nonlocal leads
        leads = False
        return as_written(call)

    api = StubApi(answer, takes_s=0.1)
    async with reporting(api, cluster, lambda: leads):
        await asyncio.sleep(10)
    assert len(api.calls) == AT_ONCE  # those that were on their way


@on_virtual_time
async def test_an_object_is_written_at_most_once_a_second_with_the_newest() -> None:
    api, cluster = StubApi(), StubCluster(account())
    async with reporting(api, cluster):
        for number in range(100):
            cluster.now = Snapshot(replicas=replicas("iris/blue", number))
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)
    times = [call.at_s for call in api.to(STATUS)]
    assert min(b - a for a, b in pairwise(times)) >= 1.0
    assert 8 <= len(times) <= 11
    assert api.to(STATUS)[-1].body["status"]["replicas"] == "99/99"


@on_virtual_time
async def test_the_utilization_of_many_is_written_ten_times_a_second_in_all_and_of_each_in_its_turn() -> None:
    many = [account(f"e{number}") for number in range(400)]
    api, cluster = StubApi(), StubCluster(*many)
    async with reporting(api, cluster):
        for second in range(300):
            cluster.utilization = {f"{each.name}/blue": 0.1 + 0.1 * (second % 2) for each in many}
            await asyncio.sleep(1)
    counts = Counter(int(call.at_s) // 30 for call in api.to("/status") if call.at_s >= 60)
    assert all(150 < count < 450 for count in counts.values()), counts
    written = Counter(call.path for call in api.to("/status"))
    assert len(written) == 400
    assert max(written.values()) < 3 * min(written.values())


@on_virtual_time
async def test_a_utilization_alone_is_written_every_five_seconds_and_by_five_points() -> None:
    api, cluster = StubApi(), StubCluster(account())
    cluster.utilization = {"iris/blue": 0.40}
    async with reporting(api, cluster):
        await asyncio.sleep(10)
        cluster.utilization = {"iris/blue": 0.44}
        await asyncio.sleep(30)
        assert len(api.calls) == 1
        for number in range(300):
            cluster.utilization = {"iris/blue": 0.1 + 0.1 * (number % 2)}
            await asyncio.sleep(0.1)
    times = [call.at_s for call in api.calls]
    assert min(b - a for a, b in pairwise(times[1:])) >= 5.0
    assert 4 <= len(times) <= 8


@on_virtual_time
async def test_a_deletion_is_no_error_and_what_is_gone_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    api, cluster = StubApi(lambda _: refused(404, "NotFound")), StubCluster(account())
    async with reporting(api, cluster):
        await asyncio.sleep(2)
        cluster.has.clear()
        await asyncio.sleep(2)
        tried = len(api.calls)
        await asyncio.sleep(60)
        assert len(api.calls) == tried
        api.answers = as_written
        cluster.put(account(uid="uid-of-another"))
        await asyncio.sleep(1)
        assert len(api.calls) == tried + 1
    assert caplog.records == []


@on_virtual_time
async def test_what_fails_is_tried_ever_later_told_once_and_delays_no_other(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cluster = StubCluster(account("bad"), account("good"))
    api = StubApi(lambda call: refused(422, "Invalid", "wrong") if "/bad/" in call.path else as_written(call))
    async with reporting(api, cluster):
        for number in range(600):
            cluster.now = Snapshot(replicas=replicas("good/blue", number % 7))
            await asyncio.sleep(1)
        assert names(api.calls).count("good") > 500
        assert 10 < names(api.calls).count("bad") < 30
        assert [record.getMessage() for record in caplog.records] == [
            "status can't be written, trying again: PATCH /x: wrong"
        ]
        api.answers = as_written
        await asyncio.sleep(LONGEST_PAUSE_S + 1)
    assert [record.getMessage() for record in caplog.records[1:]] == ["status of models/bad can be written again"]


@on_virtual_time
async def test_that_the_api_server_is_gone_is_told_once_for_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cluster = StubCluster(*(account(f"ep-{n}") for n in range(50)))
    api = StubApi(lambda _: refused(0, "", "no answer"))
    async with reporting(api, cluster):
        await asyncio.sleep(600)
        assert len(caplog.records) == 1
        api.answers = as_written
        tried = len(api.calls)
        await asyncio.sleep(LONGEST_PAUSE_S + 1)
    assert set(names(api.calls[tried:])) == {f"ep-{n}" for n in range(50)}
    assert len(api.calls) == tried + 50
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


@on_virtual_time
async def test_an_answer_that_only_one_gets_is_told_once_while_others_are_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = StubCluster(account("bad"), account("good"))
    api = StubApi(lambda call: refused(500, "InternalError") if "/bad/" in call.path else as_written(call))
    async with reporting(api, cluster):
        for number in range(300):
            cluster.now = Snapshot(replicas=replicas("good/blue", number % 7))
            await asyncio.sleep(1)
    assert names(api.calls).count("bad") > 5
    assert len(caplog.records) == 1


@on_virtual_time
async def test_a_missing_right_is_told_once_for_each_namespace(caplog: pytest.LogCaptureFixture) -> None:
    accounts = [account(f"ep-{n}", namespace=f"space-{n % 2}") for n in range(10)]
    async with reporting(StubApi(lambda _: refused(403, "Forbidden")), StubCluster(*accounts)):
        await asyncio.sleep(100)
    assert len(caplog.records) == 2


@on_virtual_time
async def test_an_api_server_that_asks_for_time_gets_it() -> None:
    api = StubApi(lambda _: refused(429, "TooManyRequests", retry_after_s=20))
    async with reporting(api, StubCluster(account())):
        await asyncio.sleep(30)
    assert [round(call.at_s / 20) for call in api.calls] == [0, 1]


@on_virtual_time
async def test_one_that_hangs_delays_no_other() -> None:
    cluster = StubCluster(account("slow"))
    api = StubApi(takes_s=5.0)
    async with reporting(api, cluster):
        await asyncio.sleep(1)
        api.takes_s = 0.0
        cluster.put(account("fast"))
        await asyncio.sleep(1)
        assert names(api.calls) == ["slow", "fast"]


@on_virtual_time
async def test_one_that_is_removed_while_it_waits_is_not_written() -> None:
    cluster = StubCluster(*(account(f"ep-{n}") for n in range(AT_ONCE + 1)))
    api = StubApi(takes_s=2.0)
    async with reporting(api, cluster):
        await asyncio.sleep(0.1)
        del cluster.has[f"uid-ep-{AT_ONCE}"]
        await asyncio.sleep(10)
    assert len(api.calls) == AT_ONCE


@on_virtual_time
async def test_a_thousand_are_written_in_turn_a_few_at_once() -> None:
    cluster = StubCluster(*(account(f"ep-{n}") for n in range(1000)))
    api = StubApi(takes_s=0.01)
    async with reporting(api, cluster):
        await asyncio.sleep(5)
    assert names(api.calls) == [f"ep-{n}" for n in range(1000)]
    assert api.most_at_once == AT_ONCE


@on_virtual_time
async def test_what_the_api_server_does_not_keep_is_not_written_again(caplog: pytest.LogCaptureFixture) -> None:
    def forgetful(call: Call) -> bytes:
        kept = {name: value for name, value in call.body["status"].items() if name != "keysSecret"}
        return msgspec.json.encode({"status": kept})

    api, cluster = StubApi(forgetful), StubCluster(account())
    async with reporting(api, cluster):
        await asyncio.sleep(5)
        cluster.put(account(status=json.loads(forgetful(api.calls[0]))["status"]))
        await asyncio.sleep(60)
        assert len(api.calls) == 1
        assert "apply that of this version" in caplog.text
        cluster.put(replace(cluster.has["uid-iris"], status={"replicas": "9/9"}))  # someone else wrote
        await asyncio.sleep(2)
        assert len(api.calls) == 2


@on_virtual_time
async def test_an_event_tells_of_each_turn_once_whatever_the_watch_brings() -> None:
    api, cluster = StubApi(), StubCluster(account())
    async with reporting(api, cluster):
        await asyncio.sleep(2)
        cluster.put(account(missing=MISSING))
        await asyncio.sleep(2)
        first, second = api.to(STATUS)
        cluster.put(account(missing=MISSING, status=first.body["status"]))  # late
        await asyncio.sleep(5)
        cluster.put(account(missing=MISSING, status=second.body["status"]))
        await asyncio.sleep(5)
        heard(cluster, second, missing=())
        await asyncio.sleep(5)
    assert [(call.body["type"], call.body["reason"]) for call in api.to("/events")] == [
        ("Warning", "WorkloadMissing"),
        ("Normal", "WorkloadsFound"),
    ]


@on_virtual_time
async def test_the_next_leader_does_not_repeat_an_event() -> None:
    api, cluster = StubApi(), StubCluster(account(missing=MISSING))
    async with reporting(api, cluster):
        await asyncio.sleep(2)
    heard(cluster, api.to(STATUS)[0])
    async with reporting(api, cluster):
        await asyncio.sleep(10)
    assert len(api.to("/events")) == 1


@on_virtual_time
async def test_a_condition_keeps_the_time_when_it_turned_while_it_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "router.platforms.kubernetes.leading.reporting.calendar_now", lambda: NOON + timedelta(seconds=now())
    )
    api, cluster = StubApi(lambda _: refused(0)), StubCluster(account())
    async with reporting(api, cluster):
        for number in range(100):
            cluster.now = Snapshot(replicas=replicas("iris/blue", 1 + number % 2))
            await asyncio.sleep(1)
        api.answers = as_written
        await asyncio.sleep(LONGEST_PAUSE_S)
    moments = {each["lastTransitionTime"] for each in api.calls[-1].body["status"]["conditions"]}
    assert moments == {"2026-07-01T12:00:00Z"}


@on_virtual_time
async def test_missing_keys_are_made_and_how_that_ends_is_told() -> None:
    def answer(call: Call) -> bytes | Exception:
        return refused(403, "Forbidden", "no right") if "/secrets" in call.path else as_written(call)

    api, cluster = StubApi(answer), StubCluster(account(keys="missing"))
    cluster.wanted = [KeysWanted("models", "iris-keys", "iris", True, None)]
    async with reporting(api, cluster):
        await asyncio.sleep(5)
    (keys,) = (each for each in api.to(STATUS)[-1].body["status"]["conditions"] if each["type"] == "KeysReady")
    assert keys["reason"] == "SecretMissing"
    assert "no right" in keys["message"]


@on_virtual_time
async def test_one_account_that_cannot_be_told_of_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    broken: Any = account("broken", missing=7)
    api = StubApi()
    async with reporting(api, StubCluster(broken, account("good"))):
        await asyncio.sleep(60)
    assert names(api.calls) == ["good"]
    assert [record.getMessage() for record in caplog.records] == ["status of models/broken can't be told"]


@on_virtual_time
async def test_after_a_failure_of_our_own_it_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(StubCluster):
        def accounts(self) -> list[Account]:
            if now() < 5:
                raise KeyError("ours")
            return super().accounts()

    api = StubApi()
    async with reporting(api, Failing(account())):
        await asyncio.sleep(AGAIN_S + 1)
    assert names(api.calls) == ["iris"]
    assert len(caplog.records) == 1
