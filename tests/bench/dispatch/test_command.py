"""`python -m bench dispatch`: what it prints and writes, its exit codes, and its end on Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import wrk
from bench.__main__ import main
from bench.dispatch import command, idle, live
from bench.dispatch.contenders import HAProxy
from bench.dispatch.faults import Faults
from bench.processes import ROOT
from bench.proxies import PeerError
from tests.bench.leftovers import started_by

needs_haproxy = pytest.mark.skipif(not HAProxy().program, reason="haproxy is not installed")


def _run(*words: object) -> Any:
    return CliRunner().invoke(main, ["dispatch", *map(str, words)])


def _process(folder: Path, *words: str, group: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "dispatch", *words],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=group,
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--contenders", "scoregate-6x1,nginx"), "nginx named; known: scoregate-6x1"),
        (("--contenders", ","), "nothing named"),
        (("--load", "1.0"), "each must be under 1"),
        (("--load", "0"), "each must be over 0"),
        (("--replicas", "many"), "is not a list of numbers"),
        (("--lengths", "short"), "short named; known: exponential"),
        (("--chart", "waits.pdf"), "its name must end with .svg or .png"),
    ],
)
def test_arguments_that_say_nothing_are_refused(words: tuple[str, ...], why: str) -> None:
    result = _run(*words)
    assert result.exit_code == 2
    assert why in " ".join(result.stderr.replace("│", " ").split())


def test_six_routers_of_ours_share_one_queue(tmp_path: Path) -> None:
    file, picture = tmp_path / "out.json", tmp_path / "out.svg"
    words = ("--contenders", "scoregate-6x1", "--replicas", "6", "--seconds", "3")
    bench = _process(tmp_path, *words, "--json", str(file), "--chart", str(picture))
    printed, said = bench.communicate(timeout=180)
    assert bench.returncode == 0, said + printed
    assert "behind ours no replica ever had more than one request" in printed
    assert "p99 at most 1.3 x the ideal" in printed
    [course] = json.loads(file.read_text())
    assert (course["contender"], course["failures"], course["most_in_flight"]) == ("scoregate-6x1", {}, 1)
    assert course["requests"] == 6 * 0.9 * 10 * 3
    assert picture.read_bytes().startswith(b"<?xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "out.svg"]  # its own folder is gone


@needs_haproxy
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(ending: signal.Signals, tmp_path: Path) -> None:
    bench = _process(tmp_path, "--contenders", "haproxy", "--seconds", "60", group=0)
    try:
        give_up_at = time.monotonic() + 60
        while len(started_by(tmp_path)) < 7:  # six of them, and the replicas
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
        bench.send_signal(ending)
        _, said = bench.communicate(timeout=60)
    finally:
        bench.kill()
    assert bench.returncode == 130, said
    assert "all that was started is stopped" in said
    assert list(tmp_path.iterdir()) == []
    assert started_by(tmp_path) == []


def test_a_contender_that_breaks_down_fails_the_run_and_the_others_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise PeerError("it fell over")

    monkeypatch.setattr(live, "measured", broken)
    result = _run("--quick", "--contenders", "scoregate-6x1")
    assert result.exit_code == 1
    assert "BROKEN: it fell over" in result.stdout
    assert "not shown, ours did not run" in result.stdout


@pytest.mark.parametrize(("beyond", "elsewhere", "code"), [(0, 0, 0), (1, 0, 1), (0, 1, 1)])
def test_kill_fails_where_the_bound_broke_or_others_failed(
    beyond: int, elsewhere: int, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def measured(load: Any, _cores: object, kills: int, _done: object) -> Faults:
        assert kills == 3
        return Faults(
            load=load,
            kills=[],
            requests=1,
            failed_there=0,
            failed_elsewhere=elsewhere,
            most_in_flight=1,
            overlaps_s=[],
            lasted_s=[],
            beyond=beyond,
            waits_ms=[],
        )

    monkeypatch.setattr(command.faults, "measured", measured)
    result = _run("kill", "--kills", 3, "--json", tmp_path / "kill.json")
    assert result.exit_code == code
    assert json.loads((tmp_path / "kill.json").read_text())["beyond"] == beyond


def test_idle_tells_of_each_layout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(idle, "LAYOUTS", ((1, 1),))
    monkeypatch.setattr(idle, "SETTLE_S", 0.1)
    result = _run("idle", "--rounds", 1, "--seconds", 0.5, "--json", tmp_path / "idle.json")
    assert result.exit_code == 0, result.output
    [found] = json.loads((tmp_path / "idle.json").read_text())
    assert (found["layout"], found["workers"]) == ("1 x 1", 1)
    assert found["core_percent"]["median"] > 0
    assert "1 x 1" in result.output


def test_cost_wants_wrk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrk, "installed", lambda: False)
    result = _run("cost")
    assert (result.exit_code, "apt-get install wrk" in result.stderr) == (2, True)


def test_sim_plays_every_load_and_judges(tmp_path: Path) -> None:
    bench = _process(tmp_path, "sim", "--requests", "200", "--seeds", "1", "--json", str(tmp_path / "sim.json"))
    printed, said = bench.communicate(timeout=300)
    assert bench.returncode == 0, said
    assert "Wait where nothing is shared" in printed
    assert "of 18; worst" in printed
    cells = json.loads((tmp_path / "sim.json").read_text())
    assert {cell["most_in_flight"] for cell in cells if cell["layout"]} == {1}


def test_scale_tells_of_load_and_of_each_event(tmp_path: Path) -> None:
    result = _run("scale", "--instances", 10, "--replicas", 4, "--seconds", 1, "--json", tmp_path / "scale.json")
    assert result.exit_code == 0, result.output
    for told in ("10 instances, 10 deployments of 4 replicas", "kill of the owner", "partition", "restart of all"):
        assert told in result.stdout
    assert len(json.loads((tmp_path / "scale.json").read_text())["recoveries"]) == 3
