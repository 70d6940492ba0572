"""What wrk says is read right, and nothing that went wrong is missed."""

import asyncio
import json
import os
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from bench import wrk
from bench.processes import free_port

CORE = min(os.sched_getaffinity(0))
HUMAN = """\
Running 2s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.28ms  288.70us   3.31ms   74.06%
  93274 requests in 2.00s, 16.42MB read
"""
TROUBLE = """\
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 5
"""
COUNTS = '{"requests": 93274, "duration_us": 2000123, "p50_us": 1280, "p99_us": 3310, '
FINE = COUNTS + '"connect": 0, "read": 0, "write": 0, "timeout": 0, "status": 0}\n'
FAILED = COUNTS + '"connect": 1, "read": 2, "write": 3, "timeout": 4, "status": 5}\n'

needs_wrk = pytest.mark.skipif(not wrk.installed(), reason="wrk is not installed")


def test_the_last_line_is_what_counts() -> None:
    counts = wrk.parse(HUMAN + "\n" + FINE)
    assert (counts.requests, counts.duration_us, counts.p50_us, counts.p99_us) == (93274, 2000123, 1280, 3310)
    assert counts.failed == 0


def test_socket_errors_and_bad_statuses_are_failed_requests() -> None:
    assert wrk.parse(HUMAN + TROUBLE + "\n" + FAILED).failed == 1 + 2 + 3 + 4 + 5


@pytest.mark.parametrize("output", ["", HUMAN, HUMAN + "\n" + '{"requests": 12}'])
def test_output_without_our_line_is_an_error(output: str) -> None:
    with pytest.raises(wrk.LoadError, match="last line"):
        wrk.parse(output)


def test_a_proxy_that_answers_nothing_is_an_error() -> None:
    with pytest.raises(wrk.LoadError, match="not one request"):
        wrk.parse(FAILED.replace("93274", "0"))


@needs_wrk
def test_nobody_listening_is_an_error() -> None:
    with pytest.raises(wrk.LoadError, match="refused"):
        wrk.load(f"http://127.0.0.1:{free_port()}/", "Bearer k", connections=1, seconds=1, core=CORE)


@needs_wrk
async def test_headers_of_a_file_are_taken_in_turn(tmp_path: Path) -> None:
    given = [f"Bearer {name}" for name in ("one", "two", "three")]
    file = tmp_path / "headers"
    file.write_text("\n".join(given) + "\n")
    came: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                came.append(head.partition("Authorization: ")[2].partition("\r\n")[0])
                await reader.readexactly(1024)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/score"
        counts = await asyncio.to_thread(wrk.load, url, file, connections=1, seconds=1, core=CORE)
    assert counts.requests > 3
    assert set(came) == set(given)
    assert {(one, given[(given.index(one) + 1) % 3]) for one in given} == set(pairwise(came))


@needs_wrk
async def test_the_script_posts_1_kb_with_the_key_and_counts_what_is_refused() -> None:
    requests: set[tuple[bytes, bytes]] = set()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body_bytes = int(head.lower().partition(b"content-length: ")[2].split()[0])
                requests.add((head, await reader.readexactly(body_bytes)))
                writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/score"
        counts = await asyncio.to_thread(wrk.load, url, "Bearer sesame", connections=2, seconds=1, core=CORE)
    assert counts.status == counts.failed == counts.requests > 0
    [(head, body)] = requests
    assert head.startswith(b"POST /score HTTP/1.1\r\n")
    assert b"Authorization: Bearer sesame\r\n" in head
    assert len(body) == 1024
    assert list(json.loads(body)) == ["data"]
