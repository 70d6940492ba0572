"""Does a call end with what the API server said, or with an ApiError, and always in time?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from router.platforms.kubernetes import api as subject
from router.platforms.kubernetes.api import Api
from tests.platforms.kubernetes.answering import Answer, Login, failure, status, talking


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Login:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    return Login(tmp_path / "kubeconfig")


async def lines(api: Api, silent_s: float = 5.0) -> list[bytes]:
    async with aclosing(api.watch("/api/v1/pods", {"resourceVersion": "1"}, silent_s=silent_s)) as watch:
        return [line async for line in watch]


async def test_a_read_asks_with_its_query_its_token_and_no_compression(login: Login) -> None:
    async def answer(request: web.Request) -> web.Response:
        headers = request.headers
        assert headers["Authorization"] == "Bearer one"
        assert headers["Accept-Encoding"] == "identity"
        assert headers["User-Agent"].startswith("scoregate/")
        return web.json_response([request.method, request.path, dict(request.query)])

    async with talking(answer, login) as api:
        query = {"fieldSelector": "type=scoregate.io/keys", "continue": "a+b/c==", "labelSelector": "a in (b, c)"}
        assert json.loads(await api.read("/api/v1/secrets", query)) == ["GET", "/api/v1/secrets", query]
        assert api.namespace == "models"


class Scale(msgspec.Struct, rename="camel"):
    replicas: int
    paused_at: str | None = None


async def test_a_write_sends_json_of_structs_too_under_the_content_type_that_was_asked(login: Login) -> None:
    async def answer(request: web.Request) -> web.Response:
        text = (await request.read()).decode()
        return web.json_response([request.method, request.content_type, text and json.loads(text), dict(request.query)])

    async with talking(answer, login) as api:
        patch = "application/merge-patch+json"
        said = await api.write("PATCH", "/x", {"spec": Scale(3)}, content_type=patch, query={"dryRun": "All"})
        assert json.loads(said) == ["PATCH", patch, {"spec": {"replicas": 3, "pausedAt": None}}, {"dryRun": "All"}]
        assert json.loads(await api.write("POST", "/x", [1])) == ["POST", "application/json", [1], {}]
        assert json.loads(await api.write("PUT", "/x", {})) == ["PUT", "application/json", {}, {}]
        assert json.loads(await api.write("DELETE", "/x", None))[2] == ""


async def test_a_refusal_says_the_call_the_status_and_what_the_server_said(login: Login) -> None:
    async def answer(request: web.Request) -> web.Response:
        return status(409, "Conflict", "the object\nhas been modified")

    async with talking(answer, login) as api:
        error = await failure(api.write("PUT", "/apis/x", {}))
        assert str(error) == "PUT /apis/x: the API server answers 409: the object has been modified"
        assert error.what == "the API server answers 409: the object has been modified"
        assert (error.status, error.reason, error.retry_after_s) == (409, "Conflict", None)
        assert (await failure(lines(api))).reason == "Conflict"


@pytest.mark.parametrize(
    ("answer", "told", "retry_after_s"),
    [
        (lambda: status(429, "TooManyRequests", "later", Retry_After="7"), "429: later", 7.0),
        (lambda: status(503, "", "later", Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"), "503: later", None),
        (
            lambda: web.json_response({"message": "later", "details": {"retryAfterSeconds": 3}}, status=504),
            "504: later",
            3,
        ),
        (lambda: web.Response(status=502, text="<html>bad\ngateway" + "!" * 600), "502: <html>bad gateway!!!", None),
        (lambda: web.Response(status=500, body=b"\xff\x00"), "500: ", None),
        (lambda: web.Response(status=500), "500: nothing more", None),
        (
            lambda: web.json_response({"details": {"retryAfterSeconds": 3}}, status=504, headers={"Retry-After": "5"}),
            "504: nothing more",
            5,
        ),
        (lambda: web.json_response({"message": None, "reason": "Gone"}, status=410), "410: Gone", None),
    ],
)
async def test_whatever_a_refusal_holds_it_is_told_in_one_line(
    login: Login, answer: Callable[[], web.Response], told: str, retry_after_s: float | None
) -> None:
    async def answers(request: web.Request) -> web.Response:
        return answer()

    async with talking(answers, login) as api:
        error = await failure(api.read("/x"))
        assert told in str(error)
        assert "\n" not in str(error)
        assert len(str(error)) < 600
        assert error.retry_after_s == retry_after_s


@pytest.mark.parametrize(
    ("path", "code", "is_told"), [("/api/v1/secrets", 422, False), ("/x", 422, True), ("/api/v1/secrets", 403, True)]
)
async def test_what_is_wrong_with_a_secret_is_not_quoted(login: Login, path: str, code: int, is_told: bool) -> None:
    async def answer(request: web.Request) -> web.Response:
        return status(code, "Invalid", "the value s3cret is too short")

    async with talking(answer, login) as api:
        assert ("s3cret" in str(await failure(api.write("POST", path, {})))) == is_told
        assert "s3cret" in str(await failure(api.read(path))), "what is wrong with a selector is told"


async def never(request: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


async def half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"type":"ADDED"}\n{"type')
    await asyncio.sleep(60)
    return response


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"type":"ADDED"}\n{"type')
    assert request.transport is not None
    request.transport.abort()
    return response


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (never, "no answer within 0.2 s"),
        (half, "no answer within 0.2 s"),
        (cut, "the answer was cut short"),
        (hang_up, "no answer: "),
    ],
)
async def test_a_read_without_a_whole_answer_ends_in_time(login: Login, answer: Answer, told: str) -> None:
    async with talking(answer, login) as api:
        error = await failure(api.read("/x", within_s=0.2 if "within" in told else 5))
        assert error.what.startswith(told)
        assert error.status == 0


async def test_nobody_there_is_an_error_without_a_status(login: Login) -> None:
    login.at("http://127.0.0.1:1")
    async with await Api.open() as api:
        for call in (api.read("/x"), lines(api)):
            error = await failure(call)
            assert (error.status, error.what) == (
                0,
                "no connection to 127.0.0.1:1: Connect call failed ('127.0.0.1', 1)",
            )


async def test_answers_and_lines_are_bounded(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 2_000, status=int(request.query.get("status", 200)))

    monkeypatch.setattr(subject, "MAX_BODY_BYTES", 1_000)
    monkeypatch.setattr(subject, "MAX_STATUS_BYTES", 1_000)
    monkeypatch.setattr(subject, "MAX_LINE_BYTES", 1_000)
    async with talking(answer, login) as api:
        assert "more than 1000 bytes" in str(await failure(api.read("/x")))
        assert "more than 1000 bytes" in str(await failure(api.read("/x", {"status": "500"})))
        assert "a line has more than 1000 bytes" in str(await failure(lines(api)))


async def test_a_watch_gives_whole_lines_however_they_come_and_ends_with_the_server(login: Login) -> None:
    long = b"x" * 300_000

    async def answer(request: web.Request) -> web.StreamResponse:
        assert dict(request.query) == {"resourceVersion": "1", "watch": "true"}
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"one\ntw", b"o", b"\n\nthree\n", long[:200_000], long[200_000:] + b"\n"):
            await response.write(piece)
            await asyncio.sleep(0.01)
        return response

    async with talking(answer, login) as api:
        assert await lines(api) == [b"one", b"two", b"three", long]


async def test_a_watch_says_that_it_was_accepted_before_its_first_line(login: Login) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(60)
        return response

    async with talking(answer, login) as api:
        opened = asyncio.Event()
        watch = api.watch("/x", {}, silent_s=60, opened=opened.set)
        first = asyncio.ensure_future(anext(watch, None))
        async with asyncio.timeout(5):
            await opened.wait()
        assert not first.done()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize(
    ("answer", "told"),
    [(half, "nothing came for 0.2 s"), (cut, "the answer was cut short"), (never, "no answer within 0.2 s")],
)
async def test_a_watch_that_is_cut_or_silent_gives_the_whole_lines_and_then_an_error(
    login: Login, monkeypatch: pytest.MonkeyPatch, answer: Answer, told: str
) -> None:
    monkeypatch.setattr(subject, "OPENING_S", 0.2 if answer is never else 5)
    async with talking(answer, login) as api:
        seen: list[bytes] = []
        assert (await failure(collect(api, seen))).what == told
        assert seen == ([] if answer is never else [b'{"type":"ADDED"}'])


async def collect(api: Api, seen: list[bytes]) -> None:
    async for line in api.watch("/x", {}, silent_s=0.2):
        seen.append(line)


async def test_a_watch_that_ends_properly_in_the_middle_of_a_line_is_an_error(login: Login) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"one\ntw")

    async with talking(answer, login) as api:
        assert (await failure(lines(api))).what == "the stream was cut in the middle of a line"
