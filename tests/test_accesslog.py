"""accesslog.py: one line of JSON for each request, whatever became of it, and no secret in any."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from select import PIPE_BUF
from typing import Any

import pytest

from router import accesslog
from router.accesslog import AccessLog, Record
from router.core.tally import Memory
from tests.front import SCORE, bearer, front, keys
from tests.models import Model, served, until
from tests.router_process import ROOT, declare, routing, score


def record(number: int = 0, **fields: Any) -> Record:
    required = {"time": 1.5, "request_id": f"id-{number}", "method": "POST", "path": "/p", "status": 200}
    return Record(**{**required, "duration_ms": 2.0, **fields})


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def test_close_writes_all_that_was_appended_in_its_order(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "log"), Memory())
    for number in range(2_500):
        log.append(record(number))
    log.close()
    assert [line["requestId"] for line in lines(tmp_path / "log")] == [f"id-{number}" for number in range(2_500)]
    assert log.dropped == 0


def test_a_line_is_json_whatever_a_field_holds(tmp_path: Path) -> None:
    odd = '\n\r\t"\\\u2028\u00e9\x00{}'
    log = AccessLog(str(tmp_path / "log"), Memory())
    log.append(record(error=odd, client_request_id="mine", queue_ms=1.5))
    log.append(record(1))
    log.close()
    first, second = lines(tmp_path / "log")
    assert (first["error"], first["clientRequestId"], first["queueMs"]) == (odd, "mine", 1.5)
    assert set(second) == {"time", "requestId", "method", "path", "status", "durationMs"}, (
        "what is not known is left out"
    )


async def test_a_line_appears_without_waiting_for_the_end(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "log"), Memory())
    log.append(record())
    await until(lambda: bool((tmp_path / "log").read_bytes()))
    log.close()


def test_a_log_is_appended_to_and_only_its_owner_writes_it(tmp_path: Path) -> None:
    for number in range(2):
        log = AccessLog(str(tmp_path / "log"), Memory())
        log.append(record(number))
        log.close()
    assert len(lines(tmp_path / "log")) == 2
    assert (tmp_path / "log").stat().st_mode & 0o027 == 0


async def test_a_log_that_is_rotated_by_truncation_goes_on_at_its_start(tmp_path: Path) -> None:
    file = tmp_path / "log"
    log = AccessLog(str(file), Memory())
    log.append(record(1))
    await until(lambda: bool(file.read_bytes()))
    os.truncate(file, 0)
    log.append(record(2))
    log.close()
    assert [line["requestId"] for line in lines(file)] == ["id-2"]


def test_a_file_that_can_not_be_opened_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Is a directory"):
        AccessLog(str(tmp_path), Memory())


def test_what_a_full_disk_does_not_take_is_counted_as_dropped() -> None:
    log = AccessLog("/dev/full", Memory())
    for number in range(7):
        log.append(record(number))
    log.close()
    assert log.dropped == 7


def test_the_queue_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accesslog, "_MAX_WAITING", 10)
    monkeypatch.setattr(accesslog, "_EVERY_S", 3_600.0)
    log = AccessLog(str(tmp_path / "log"), Memory())
    for number in range(15):
        log.append(record(number))
    assert log.dropped == 5
    log.close()
    assert len(lines(tmp_path / "log")) == 10


async def test_a_reader_that_is_stuck_does_not_keep_the_router_from_ending(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(str(tmp_path / "log"), Memory())
    for number in range(5_000):
        log.append(record(number))
    closing = asyncio.create_task(asyncio.to_thread(log.close))
    done, _ = await asyncio.wait((closing,), timeout=20)
    os.close(reader)  # a thread that writes gets EPIPE now
    await closing
    assert done, "close() waits for ever"
    assert log.dropped > 0


async def test_requests_go_on_while_the_log_can_not_be_written() -> None:
    async with front(log=Path("/dev/full")) as one, one.client() as client:
        for _ in range(3):
            assert (await client.post(SCORE)).status_code == 200
        log = one.access_log
        assert log is not None
        await until(lambda: log.dropped == 3)


async def test_a_request_is_one_line_with_what_became_of_it(tmp_path: Path) -> None:
    async with front(log=tmp_path / "log", **keys()) as one, one.client() as client:
        reply = await client.post(SCORE + "?q=1", content=b"12345", headers=bearer("primary-key-of-iris"))
        await client.post("/elsewhere")
        ok, lost = await one.records()
    expected = {"status": 200, "method": "POST", "path": SCORE, "requestId": reply.headers["x-request-id"]}
    expected |= {"endpoint": "iris", "deployment": "blue", "replica": "iris/blue#1", "attempts": 1}
    expected |= {"requestBytes": 5, "replyBytes": 5}
    assert expected.items() <= ok.items()
    assert ok["durationMs"] > 0
    assert {"status": 404, "code": "NotFound", "path": "/elsewhere"}.items() <= lost.items()
    assert "endpoint" not in lost


async def test_who_left_who_was_too_slow_and_who_sent_too_much_are_lines_too(tmp_path: Path) -> None:
    model = Model()
    model.gate.clear()
    async with served(model) as port:
        declare(tmp_path / "endpoints.yaml", port)
        options = ("--access-log", "log", "--head-timeout-ms", "1000", "--drain-grace-ms", "0")
        async with routing(tmp_path, *options) as one:
            await one.ready()
            async with one.wire() as (_, writer):
                writer.write(score())
                await until(lambda: len(model.asked) == 1)
            async with one.wire() as (reader, writer):
                writer.write(b"POST ")
                assert (await reader.readline()).startswith(b"HTTP/1.1 408")
            async with one.wire() as (reader, writer):
                writer.write(score().replace(b"Content-Length: 2", b"Content-Length: 104857601"))
                assert (await reader.readline()).startswith(b"HTTP/1.1 413")
            await one.until_load(inFlight=0)
            one.send_signal()
            assert await one.ended() == 0
    found = {line["status"]: line for line in lines(tmp_path / "log")}
    assert set(found) == {499, 408, 413}
    assert {"code": "ClientClosedRequest", "deployment": "blue", "attempts": 1}.items() <= found[499].items()
    assert found[408]["code"] == "RequestTimeout"
    assert {"code": "PayloadTooLarge", "endpoint": "iris"}.items() <= found[413].items()


async def test_no_credential_query_or_body_is_ever_in_the_log_of_the_app(tmp_path: Path) -> None:
    async with front(log=tmp_path / "log", max_payload_bytes=200, **keys()) as one, one.client() as client:
        hidden = []
        for path in (SCORE, "/api/v1/service/iris/score", "/api/v1/endpoint/none/score", "/elsewhere"):
            for status in ("", "/../status/500"):
                in_header, in_query, in_body = secret = [secrets.token_urlsafe(24) for _ in range(3)]
                hidden += secret
                url = f"{path}{status}?key={in_query}"
                for size in (1, 20):
                    await client.post(url, content=in_body * size, headers=bearer(in_header))
                await client.post(url, content=in_body, headers=bearer("primary-key-of-iris") | {"cookie": in_header})
        assert len(await one.records()) == 24
    text = (tmp_path / "log").read_text()
    assert [secret for secret in [*hidden, "primary-key-of-iris", "Bearer"] if secret[:8] in text] == []


BROKEN = [
    "POST /?key={secret} HTTP/1.1 x\r\n\r\n",
    "POST /?key={secret} HTTP/2.0\r\n\r\n",
    "POST /?key={secret}\r\n\r\n",
    "{secret}\r\n\r\n",
    "POST {score}?key={secret} HTTP/1.1\r\n\r\n",
    "POST ftp://x/?key={secret} HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST x?key={secret} HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST http://user:{secret}@x{score} HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST {score} HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {secret}\r\n\r\n",
    "POST {score} HTTP/1.1\r\nHost: x\r\nAuthorization: {secret}\r\nAuthorization: {secret}\r\n\r\n",
    "POST {score} HTTP/1.1\r\nHost: x\r\nAuthorization: {secret}\x01\r\n\r\n",
]


async def test_no_secret_of_a_request_that_breaks_http_is_in_the_log(tmp_path: Path) -> None:
    declare(tmp_path / "endpoints.yaml", 1)
    secret_of = {secrets.token_urlsafe(24): broken for broken in BROKEN}
    async with routing(tmp_path, "--access-log", "log", "--drain-grace-ms", "0") as one:
        for secret, broken in secret_of.items():
            async with one.wire() as (reader, writer):
                writer.write(broken.format(score=SCORE, secret=secret).encode())
                assert (await reader.readline()).startswith(b"HTTP/1.1 4")
        one.send_signal()
        assert await one.ended() == 0
    text = (tmp_path / "log").read_text()
    assert text.count("\n") == len(BROKEN)
    assert [broken for secret, broken in secret_of.items() if secret[:8] in text] == []


WRITING = """
import sys
from pathlib import Path
from router.accesslog import AccessLog, Record
from router.core.tally import Memory
log = AccessLog("-", Memory(), Path(sys.argv[1]))
for number in range(3_000):
    path = "/" + sys.argv[2] * (6_000 if number % 500 == 0 else number % 300)
    log.append(Record(time=1, request_id=f"{sys.argv[2]}-{number}", method="GET", path=path, status=200, duration_ms=1))
log.close()
"""


def test_lines_of_several_processes_are_whole_in_one_pipe_also_those_it_does_not_take_at_once(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    command = [sys.executable, "-c", WRITING, str(tmp_path / "lock")]
    env = {**os.environ, "PYTHONPATH": ROOT}
    writers = [subprocess.Popen([*command, name], stdout=writing, env=env) for name in "abc"]
    os.close(writing)
    with open(reading, "rb") as pipe:
        found = [json.loads(line)["requestId"] for line in pipe]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert sorted(found) == sorted(f"{name}-{number}" for name in "abc" for number in range(3_000))


def test_what_is_written_to_a_pipe_at_once_is_whole_lines_that_it_takes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    pieces: list[bytes] = []
    write = os.write

    def note(out: int, data: memoryview) -> int:
        pieces.append(bytes(data))
        return write(out, data)

    with open(reading, "rb") as pipe, open(writing, "wb") as out:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(accesslog.os, "write", note)
        log = AccessLog("-", Memory())
        for number in range(300):
            log.append(record(number, path="/" + "x" * (5_000 if number == 7 else 50)))
        log.close()
        monkeypatch.undo()
        out.close()
        assert pipe.read() == b"".join(pieces)
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert [len(piece) > PIPE_BUF for piece in pieces].count(True) == 1, "the one line that is longer, alone"
    assert max(piece.count(b"\n") for piece in pieces if len(piece) > PIPE_BUF) == 1
    assert len(pieces) < 30
