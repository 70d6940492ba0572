"""The command line says what it can't do, and a short real run adds up."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import report, wrk
from bench.__main__ import main
from bench.compare import Outcome
from bench.measure import Cores, Plan, Sample
from bench.processes import ROOT
from tests.bench.leftovers import started_by

needs_wrk = pytest.mark.skipif(not wrk.installed(), reason="wrk is not installed")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--peers", "haproxy,squid"], "squid named; known: haproxy, nginx, envoy"),
        (["--peers", ","], "nothing named"),
        (["--connections", "1,many"], "'1,many' is not a list of whole numbers"),
        (["--connections", "0"], "each must be at least 1"),
        (["--rounds", "0"], "0 is not in the range x>=1"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], said: str) -> None:
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 2
    assert said in " ".join(ran.output.replace("│", " ").split())


def test_without_wrk_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = CliRunner().invoke(main, ["--quick"])
    assert ran.exit_code == 2
    assert "apt-get install wrk" in ran.output


def _outcome(*, broken: dict[str, str], failed: int) -> Outcome:
    sample = Sample(
        proxy="direct",
        connections=1,
        round=1,
        requests=10,
        duration_us=10,
        cpu_us=1.0,
        p50_us=1.0,
        p99_us=1.0,
        failed=failed,
    )
    return Outcome(
        date="2026-11-21T00:00:00Z",
        machine={},
        cores=Cores(0, 1),
        plan=Plan((1,), 1, 1),
        versions={},
        titles={},
        left_out={"nginx": "apt-get install nginx"},
        broken=broken,
        rows=report.summarize([sample]),
        verdicts=[],
        samples=[sample],
    )


def test_failed_requests_and_broken_proxies_fail_the_run_but_absent_ones_do_not() -> None:
    assert not _outcome(broken={}, failed=0).failed
    assert _outcome(broken={}, failed=1).failed
    assert _outcome(broken={"nginx": "refused"}, failed=0).failed


@needs_wrk
def test_a_short_run_adds_up(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    file = tmp_path / "out.json"
    command = [sys.executable, "-m", "bench", "--peers", "python", "--connections", "4", "--rounds", "1"]
    ran = subprocess.run(
        [*command, "--seconds", "1", "--json", str(file)],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "uvicorn + aiohttp" in ran.stdout
    outcome = json.loads(file.read_text())
    assert [row["proxy"] for row in outcome["rows"]] == ["direct", "python"]
    assert all(row["failed"] == 0 for row in outcome["rows"])
    assert outcome["rows"][1]["cpu_us"]["median"] > 0
    assert [verdict["held"] for verdict in outcome["verdicts"]] == [None, None]
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]  # its own folder is gone


@needs_wrk
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(ending: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--peers", "python", "--seconds", "30"]
    bench = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, process_group=0
    )
    try:
        give_up_s = time.monotonic() + 60
        while len(started_by(tmp_path)) < 2:  # the replica and the proxy
            assert time.monotonic() < give_up_s
            time.sleep(0.05)
        bench.send_signal(ending)
        _, said = bench.communicate(timeout=60)
    finally:
        bench.kill()
    assert bench.returncode == 130
    assert b"stopped" in said
    assert list(tmp_path.iterdir()) == []
    assert started_by(tmp_path) == []
