"""`python -m bench.sim`: what it prints and writes, its exit codes, and its end on Ctrl-C."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.processes import ROOT
from bench.sim import __main__ as command

PATIENCE_S = 60.0


async def _started(*words: object) -> asyncio.subprocess.Process:
    """In a process group of its own, as a shell's foreground job."""
    line = (sys.executable, "-m", "bench.sim", *map(str, words))
    return await asyncio.create_subprocess_exec(*line, cwd=ROOT, stdout=PIPE, stderr=PIPE, start_new_session=True)


async def _ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    async with asyncio.timeout(PATIENCE_S):
        printed, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode(), said.decode()


def _refused(*words: object) -> str:
    result: Any = CliRunner().invoke(command.main, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    return str(result.stderr)


async def test_it_prints_tables_and_standings_and_writes_figures_and_a_picture(tmp_path: Path) -> None:
    words = ("--quick", "--scenarios", "spike", "--laws", "scoregate,hpa", "--jobs", 2)
    files = ("--json", tmp_path / "sim.json", "--chart", tmp_path / "sim.svg")
    code, printed, said = await _ended(await _started(*words, *files))
    assert (code, "Traceback" in said) == (0, False), said
    assert "spike, cold start 10 s\n" in printed.replace(" \n", "\n").replace("  ", "")
    for told in ("replica-hours", "spike, cold start 10 s: beaten ", "on both axes", "Beaten "):
        assert told in printed
    assert "30 of 30 runs" in said
    figures = json.loads((tmp_path / "sim.json").read_text())
    assert len(figures["runs"]) == 30
    first = figures["runs"][0]
    assert (first["scenario"], first["cold_start_s"], first["law"], first["seed"]) == ("spike", 10.0, "scoregate", 7)
    assert first["knobs"] == {"percent": 70, "window_s": None, "starts": None}
    assert first["requests"] > 5_000
    assert [verdict["rival"] for verdict in figures["verdicts"]] == ["hpa"] * 5
    assert figures["scores"]["hpa"]["points"] == 5
    assert (tmp_path / "sim.svg").read_text().startswith("<?xml")


async def test_several_cold_starts_are_a_picture_each_and_a_law_alone_has_no_standings(tmp_path: Path) -> None:
    words = ("--scenarios", "flapping", "--laws", "hpa", "--cold-starts", "0,2.5", "--seed", 3)
    code, printed, said = await _ended(await _started(*words, "--chart", tmp_path / "sim.png"))
    assert code == 0, said
    for name in ("sim-0s.png", "sim-2.5s.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "sim.png").exists()
    assert "flapping, cold start 2.5 s" in printed
    assert "No frontier" in printed


async def _nobody_is_left(group: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("send", "number"),
    [(os.killpg, signal.SIGINT), (os.kill, signal.SIGINT), (os.kill, signal.SIGTERM)],
    ids=["a terminal's Ctrl-C", "SIGINT to it alone", "SIGTERM to it alone"],
)
async def test_ctrl_c_ends_it_and_its_processes_at_once(
    tmp_path: Path, send: Callable[[int, int], None], number: int
) -> None:
    cold_starts = ",".join(map(str, range(40)))
    words = ("--scenarios", "flapping", "--laws", "hpa", "--cold-starts", cold_starts, "--jobs", 2)
    process = await _started(*words, "--json", tmp_path / "sim.json")
    async with asyncio.timeout(PATIENCE_S):
        assert process.stderr is not None
        assert (await process.stderr.readline()).startswith(b"20 of 200 runs")
    send(process.pid, number)
    code, printed, said = await _ended(process)
    assert (code, printed) == (130, ""), said
    assert said.splitlines()[-1] == "Interrupted; nothing is left running."
    assert "Traceback" not in said
    assert not (tmp_path / "sim.json").exists()
    await _nobody_is_left(process.pid)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--scenarios", "stepp"], ["'--scenarios'", "stepp", "known: step, ramp"]),
        (["--scenarios", ","], ["'--scenarios'", "nothing named"]),
        (["--laws", "hpa,best"], ["'--laws'", "best named", "known: scoregate, hpa"]),
        (["--cold-starts", "ten"], ["'--cold-starts'", "'ten'", "not a list of seconds"]),
        (["--cold-starts", "1,-1"], ["'--cold-starts'", "at least 0"]),
        (["--cold-starts", "nan"], ["'--cold-starts'", "finite"]),
        (["--cold-starts", "inf"], ["'--cold-starts'", "finite"]),
        (["--jobs", "0"], ["'--jobs'", "x>=1"]),
        (["--json", "nowhere/sim.json"], ["'--json'", "there is no folder 'nowhere'"]),
        (["--chart", "sim.pdf"], ["'--chart'", "'sim.pdf'", ".svg or .png"]),
        (["--chart", "nowhere/sim.svg"], ["'--chart'", "there is no folder 'nowhere'"]),
    ],
)
def test_what_is_unusable_is_exit_code_2_with_option_value_and_rule(words: list[str], told: list[str]) -> None:
    said = _refused(*words)
    assert [part for part in told if part not in said] == []


def test_pictures_without_matplotlib_are_refused_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert "pip install 'scoregate[charts]'" in _refused("--chart", "sim.svg")


def test_help_says_what_is_played_and_the_exit_codes() -> None:
    shown = CliRunner().invoke(command.main, ["--help"]).output
    assert "docs/simulation.md" in shown
    assert "130 interrupted" in " ".join(shown.split())
