"""Requests leave at their intended times whatever the replies do, and each is told of as what it came to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bench.arrivals import constant
from bench.openloop import Plan, generate
from bench.processes import free_port
from bench.tally import Progress, Report
from tests.bench.listening import CUT, OK, Listening, answers, listening, status

SLACK_S = 2.0
"""What a busy machine may add."""


def _stalling(gate: asyncio.Event) -> Callable[[int], Awaitable[bytes]]:
    async def answer(_number: int) -> bytes:
        await gate.wait()
        return OK

    return answer


async def _ran(server: Listening, *moments_s: float, **settings: Any) -> Report:
    return await generate(Plan(url=server.url, moments_s=moments_s, **settings))


def _counts(report: Report) -> dict[int | str, int]:
    return {outcome: group.count for outcome, group in [*report.replies.items(), *report.failures.items()]}


async def test_a_stall_is_charged_for_all_requests_that_were_due_in_it() -> None:
    gate = asyncio.Event()

    async def answer(number: int) -> bytes:
        if number == 30:  # due at 0.6 s: those within the stall are sent, too
            gate.set()
        await gate.wait()
        return OK

    async with listening(answer) as server:
        began_s = time.perf_counter()
        async with asyncio.timeout(20):
            report = await _ran(server, *constant(50, 0.8), seconds=0.8)
        took_ms = (time.perf_counter() - began_s) * 1e3
    assert _counts(report) == {200: 40}
    assert all(at_s - began_s >= due_s for at_s, due_s in zip(server.at_s, constant(50, 0.8), strict=True))
    assert report.latency
    assert 600 <= report.latency.max_ms <= took_ms  # of the first
    assert 200 <= report.latency.p50_ms <= report.latency.max_ms - 190  # 21 were due by 0.4 s


async def test_a_stall_of_the_generator_itself_is_charged_too_and_told_as_its_lateness() -> None:
    def block(_progress: Progress) -> None:
        time.sleep(0.4)

    async with listening(answers(OK)) as server:
        plan = Plan(url=server.url, moments_s=constant(100, 0.8))
        report = await generate(plan, block)
    assert _counts(report) == {200: 80}
    assert report.lateness
    assert report.latency
    assert 300 < report.lateness.max_ms <= report.latency.max_ms
    assert report.lateness.p50_ms < 300


async def test_requests_carry_what_was_asked_for_over_one_kept_connection() -> None:
    async with listening(answers(OK)) as server:
        headers = {"Authorization": "Bearer k", "X-One": "1"}
        report = await _ran(server, 0.0, 0.3, 0.6, method="PUT", headers=headers, body=b"input")
    assert _counts(report) == {200: 3}
    assert server.connections == 1
    assert server.asked[0].startswith(b"PUT /score HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer k\r\n" in server.asked[0]
    assert b"\r\nX-One: 1\r\n" in server.asked[0]
    assert server.asked[2].endswith(b"\r\n\r\ninput")


async def test_replies_are_counted_by_status_and_redirects_are_not_followed() -> None:
    async with listening(answers(OK, status(503), status(302), status(503), OK)) as server:
        report = await _ran(server, 0.0, 0.02, 0.04, 0.06, 0.08)
    assert _counts(report) == {200: 2, 302: 1, 503: 2}
    assert len(server.asked) == report.sent == 5
    assert not report.all_fine


async def test_nobody_listening_is_told_as_such() -> None:
    report = await generate(Plan(url=f"http://127.0.0.1:{free_port()}/", moments_s=[0.0, 0.01]))
    assert _counts(report) == {"connection refused": 2}
    assert report.latency is None


async def test_a_name_that_nobody_has_is_told_as_such() -> None:
    report = await generate(Plan(url="http://nobody.invalid/", moments_s=[0.0]))
    assert _counts(report) == {"name not found": 1}


async def test_no_reply_in_time_is_a_timeout() -> None:
    async with listening(_stalling(asyncio.Event())) as server:
        report = await _ran(server, 0.0, 0.1, timeout_s=0.2)
    assert _counts(report) == {"timeout": 2}
    assert 200 <= report.failures["timeout"].latency.p50_ms < 200 + SLACK_S * 1e3


async def test_the_timeout_holds_for_the_end_of_the_reply_too() -> None:
    async with listening(answers(OK[:-1])) as server:
        report = await _ran(server, 0.0, timeout_s=0.1)
    assert _counts(report) == {"timeout": 1}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [(None, "connection lost"), (OK[:-1] + CUT, "reply cut short"), (b"what?\r\n\r\n", "reply is not HTTP")],
)
async def test_a_broken_reply_is_a_failure(reply: bytes | None, reason: str) -> None:
    async with listening(answers(reply)) as server:
        report = await _ran(server, 0.0, timeout_s=5.0)
    assert _counts(report) == {reason: 1}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_on_a_connection_that_breaks_is_not_sent_again(method: str) -> None:
    async with listening(answers(OK, None, OK)) as server:
        report = await _ran(server, 0.0, 0.4, method=method, body=None)
    assert server.connections == 1  # the second came over the kept one
    assert len(server.asked) == 2
    assert _counts(report) == {200: 1, "connection lost": 1}


async def test_what_would_be_too_many_in_flight_is_not_sent_and_counted() -> None:
    gate = asyncio.Event()
    async with listening(_stalling(gate)) as server:
        asyncio.get_running_loop().call_later(0.3, gate.set)
        report = await _ran(server, 0.0, 0.05, 0.1, 0.15, 0.2, 1.2, max_in_flight=2)
    assert (report.intended, report.sent, report.not_sent, report.not_reached) == (6, 3, 3, 0)
    assert _counts(report) == {200: 3}
    assert len(server.asked) == 3
    assert not report.all_fine


async def test_a_run_lasts_as_long_as_its_plan_says() -> None:
    async with listening(answers(OK)) as server:
        report = await _ran(server, 0.0, seconds=0.3)
    assert 0.3 <= report.seconds < 0.3 + SLACK_S
    assert report.intended_per_s == pytest.approx(1 / 0.3)
    assert report.all_fine
    assert not report.interrupted


async def test_stopping_ends_at_once_with_what_was_done_so_far() -> None:
    stop = asyncio.Event()

    async def answer(number: int) -> bytes:
        if number == 4:
            stop.set()
        if number >= 2:
            await asyncio.Event().wait()
        return OK

    async with listening(answer) as server:
        plan = Plan(url=server.url, moments_s=[0.0, 0.1, 0.2, 0.25, 0.3, 60.0, 61.0])
        async with asyncio.timeout(20):
            report = await generate(plan, stop=stop)
    assert report.interrupted
    assert (report.sent, report.cut_off, report.not_reached) == (5, 3, 2)
    assert _counts(report) == {200: 2}
    assert 0.3 <= report.seconds < 0.3 + SLACK_S


async def test_whoever_cancels_it_is_obeyed_and_nothing_goes_on() -> None:
    async with listening(_stalling(asyncio.Event())) as server:
        run = asyncio.create_task(_ran(server, 0.0, 0.1, 60.0))
        async with asyncio.timeout(20):
            while len(server.asked) < 2:  # noqa: ASYNC110 - it looks at a server
                await asyncio.sleep(0.01)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert len(server.asked) == 2
        assert all("Course" not in repr(task) for task in asyncio.all_tasks())


async def test_progress_is_told_again_and_again_and_at_the_end() -> None:
    gate = asyncio.Event()
    told: list[Progress] = []

    def tell(now: Progress) -> None:
        told.append(now)
        gate.set()

    async with listening(_stalling(gate)) as server:
        await generate(Plan(url=server.url, moments_s=[0.0, 0.1, 0.2], max_in_flight=2), tell)
    assert [(now.sent, now.in_flight, now.replied, now.not_sent) for now in told] == [(2, 2, 0, 1), (2, 0, 2, 1)]
    assert 0.49 <= told[0].at_s < 0.5 + SLACK_S
