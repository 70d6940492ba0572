"""`python -m bench.load` on real sockets: what it sends, what it says, its exit code, and its end on Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from bench import load
from bench.processes import ROOT
from tests.bench.listening import OK, answers, listening, status

PATIENCE_S = 30.0


class Ended(NamedTuple):
    code: int
    printed: str
    said: str


async def _started(*words: object) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "bench.load", *map(str, words))
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=PIPE)


async def _ended(process: asyncio.subprocess.Process) -> Ended:
    async with asyncio.timeout(PATIENCE_S):
        printed, said = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, printed.decode(), said.decode())


async def test_2xx_for_all_is_exit_code_0_with_a_table_and_figures_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "input.json").write_bytes(b'{"data": [1]}')
    words = ("--arrivals", "constant", "--rate", 20, "--seconds", 1.2, "--key", "secret", "--header", "X-One: a: b")
    words += ("--body", f"@{tmp_path}/input.json", "--json", f"{tmp_path}/load.json")
    async with listening(answers(OK)) as server:
        ended = await _ended(await _started(server.url, *words))
    assert ended.code == 0, ended.said
    assert server.asked[0].startswith(b"POST /score HTTP/1.1\r\n")
    for line in (b"Authorization: Bearer secret", b"X-One: a: b", b"Content-Type: application/json"):
        assert b"\r\n" + line + b"\r\n" in server.asked[0]
    assert server.asked[-1].endswith(b'\r\n\r\n{"data": [1]}')
    assert "status 200" in ended.printed
    assert "1 of 1 s: " in ended.said
    written = (tmp_path / "load.json").read_text()
    assert "secret" not in written
    figures = json.loads(written)
    assert figures["arrivals"] == {"kind": "constant", "rate": 20.0, "seconds": 1.2}
    assert (figures["url"], figures["method"], figures["interrupted"]) == (server.url, "POST", False)
    assert (figures["intended"], figures["sent"], figures["replies"]["200"]["count"]) == (24, 24, len(server.asked))
    assert figures["latency"]["p99_ms"] >= figures["latency"]["p50_ms"] >= figures["lateness"]["p50_ms"] > 0


async def test_a_failed_request_is_exit_code_1(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("TIMESTAMP\n2023-11-16 18:17:03\n2023-11-16 18:17:04\n")
    async with listening(answers(OK, status(503))) as server:
        words = ("--trace", trace, "--speed", 10, "--method", "get", "--json", tmp_path / "load.json")
        ended = await _ended(await _started(server.url, *words))
    assert ended.code == 1
    assert "status 503" in ended.printed
    assert server.asked[1].startswith(b"GET /score HTTP/1.1\r\n")
    assert b"ontent-" not in server.asked[1]
    figures = json.loads((tmp_path / "load.json").read_text())
    assert figures["arrivals"] == {"kind": "trace", "trace": str(trace), "speed": 10.0}
    assert figures["method"] == "GET"


async def test_what_ran_into_the_limits_is_reported_and_exit_code_1(tmp_path: Path) -> None:
    async def answer(_request: int) -> bytes:
        await asyncio.Event().wait()
        return OK

    async with listening(answer) as server:
        words = ("--arrivals", "constant", "--rate", 20, "--seconds", 0.3, "--timeout-s", 0.5, "--max-in-flight", 2)
        ended = await _ended(await _started(server.url, *words, "--json", tmp_path / "load.json"))
    assert ended.code == 1
    figures = json.loads((tmp_path / "load.json").read_text())
    assert (figures["sent"], figures["not_sent"], figures["failures"]["timeout"]["count"]) == (2, 4, 2)
    assert (figures["timeout_s"], figures["max_in_flight"]) == (0.5, 2)
    assert "not sent: too many in flight" in ended.printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_ends_it_at_once_with_the_report_of_what_was_done(tmp_path: Path, number: signal.Signals) -> None:
    async def answer(request: int) -> bytes:
        if request >= 3:
            await asyncio.Event().wait()
        return OK

    async with listening(answer) as server:
        words = ("--arrivals", "constant", "--seconds", 600, "--json", tmp_path / "load.json")
        process = await _started(server.url, *words)
        async with asyncio.timeout(PATIENCE_S):
            assert process.stderr is not None
            assert (await process.stderr.readline()).startswith(b"1 of 600 s: ")
            process.send_signal(number)
            ended = await _ended(process)
            figures = json.loads((tmp_path / "load.json").read_text())
            while figures["sent"] - len(server.asked) > 1:  # noqa: ASYNC110 - what is on its way comes, but one
                await asyncio.sleep(0.01)
    assert ended.code == 130, ended.said
    assert "Traceback" not in ended.said
    found = re.search(r"Interrupted after (\d+)\.", ended.printed)
    assert found is not None, ended.printed
    assert 1 <= int(found[1]) < PATIENCE_S
    assert figures["interrupted"]
    assert figures["replies"]["200"]["count"] == 3
    assert figures["sent"] == 3 + figures["cut_off"]
    assert len(server.asked) <= figures["sent"]
    assert figures["sent"] + figures["not_reached"] == figures["intended"] == 6000


def _refused(*words: object) -> str:
    result: Any = CliRunner().invoke(load.main, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    return str(result.stderr)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], ["Missing argument 'URL'"]),
        (["ftp://host/"], ["'URL'", "'ftp://host/'", "http:// or https://"]),
        (["http:///score"], ["'URL'", "'http:///score'"]),
        (["http://host:port/"], ["'URL'", "'http://host:port/'"]),
        (["http://host/", "--method", "GET /"], ["'--method'", "'GET /'"]),
        (["http://host/", "--header", "none"], ["'--header'", "'none'", "Name: value"]),
        (["http://host/", "--header", "a: b\r\nc: d"], ["'--header'", "Name: value"]),
        (["http://host/", "--body", "@/nowhere"], ["'--body'", "'@/nowhere'", "No such file"]),
        (["http://host/", "--max-in-flight", "0"], ["'--max-in-flight'", "0", "x>=1"]),
        (["http://host/", "--timeout-s", "nan"], ["'--timeout-s'", "nan", "finite"]),
        (["http://host/", "--json", "/nowhere/f"], ["'--json'", "'/nowhere/f'", "No such file"]),
        (["http://host/", "--arrivals", "step"], ["--high-rate is missing: step"]),
    ],
)
def test_what_is_unusable_is_exit_code_2_with_option_value_and_rule(words: list[str], told: list[str]) -> None:
    said = _refused(*words)
    assert [part for part in told if part not in said] == []


def test_a_key_that_can_not_be_sent_is_refused_and_not_shown() -> None:
    said = _refused("http://host/", "--key", "sec\nret")
    assert "'--key'" in said
    assert "sec" not in said


def test_help_shows_how_it_is_used() -> None:
    shown = CliRunner().invoke(load.main, ["--help"]).output
    assert "--arrivals step --rate 5 --high-rate 50 --at-s 10" in shown
    assert "Exit code: 0" in shown
