"""Options become the arrivals they name, or a usage error with the option, its value and the rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bench import arrivals
from bench.load_options import KINDS, Chosen, arrival_options, choose

TRACE = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.0,4808,10
2023-11-16 18:17:04.0,3180,8
2023-11-16 18:17:05.5,110,27
"""


def _chosen(*words: object) -> Chosen:
    found: list[Chosen] = []

    @click.command()
    @arrival_options
    def command(**options: Any) -> None:
        found.append(choose(options))

    result = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
    if result.exit_code:
        assert result.exit_code == 2
        raise ValueError(result.stderr)
    return found[0]


@pytest.mark.parametrize(
    ("words", "moments_s"),
    [
        ("", arrivals.poisson(10, 10, 0)),
        ("--rate 5 --seconds 20 --seed 3", arrivals.poisson(5, 20, 3)),
        ("--arrivals constant --rate 2.5 --seconds 4", arrivals.constant(2.5, 4)),
        ("--arrivals step --high-rate 50 --at-s 4", arrivals.step(10, 50, 4, 10, 0)),
        ("--arrivals step --high-rate 5 --at-s 0 --even", arrivals.step(10, 5, 0, 10, None)),
        ("--arrivals ramp --high-rate 50 --at-s 4 --for-s 5", arrivals.ramp(10, 50, 4, 5, 10, 0)),
        ("--arrivals spike --high-rate 50 --at-s 4 --for-s 1", arrivals.spike(10, 50, 4, 1, 10, 0)),
        ("--arrivals onoff --on-s 2 --off-s 3 --even", arrivals.on_off(10, 2, 3, 10, None)),
        ("--arrivals sawtooth --high-rate 50 --period-s 3 --seed 1", arrivals.sawtooth(10, 50, 3, 10, 1)),
    ],
)
def test_options_make_the_arrivals_that_they_name(words: str, moments_s: list[float]) -> None:
    chosen = _chosen(*words.split())
    assert chosen.moments_s == moments_s
    assert chosen.seconds == chosen.settings["seconds"]


def test_a_trace_is_replayed_faster_and_cut(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(TRACE)
    whole = _chosen("--trace", file)
    assert (whole.kind, whole.moments_s, whole.seconds) == ("trace", [0.0, 1.0, 2.5], 2.5)
    part = _chosen("--trace", file, "--speed", 2, "--limit-s", 1)
    assert part.moments_s == [0.0, 0.5]
    assert part.settings == {"trace": file, "speed": 2.0, "limit_s": 1.0}


def test_settings_are_those_of_the_arrivals_alone() -> None:
    assert _chosen("--arrivals", "constant").settings == {"rate": 10.0, "seconds": 10.0}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--rate nan", ["'--rate'", "nan", "not a finite number"]),
        ("--seconds inf", ["'--seconds'", "inf", "not a finite number"]),
        ("--rate -1", ["'--rate'", "-1", "x>=0"]),
        ("--seconds 0", ["'--seconds'", "0.0", "x>0"]),
        ("--rate many", ["'--rate'", "'many'"]),
        ("--arrivals tide", ["'--arrivals'", "'tide'", "sawtooth"]),
        ("--arrivals step --at-s 3", ["--high-rate is missing: step"]),
        ("--arrivals onoff --on-s 3", ["--off-s is missing: onoff"]),
        ("--high-rate 30", ["--high-rate 30", "poisson arrivals have no such setting"]),
        ("--arrivals constant --seed 1", ["--seed 1", "constant arrivals have no such setting"]),
        ("--speed 2", ["--speed 2", "poisson"]),
        ("--arrivals step --high-rate 5 --at-s 10", ["--at-s 10", "before the end, --seconds 10"]),
        ("--rate 0", ["--rate 0, --seconds 10: no request arrives"]),
        ("--rate 2000 --seconds 1e4", ["--seconds 10000", "more than 10,000,000 requests"]),
        ("--trace nowhere.csv", ["'--trace'", "nowhere.csv", "does not exist"]),
    ],
)
def test_what_is_unusable_is_told_with_option_value_and_rule(words: str, told: list[str]) -> None:
    with pytest.raises(ValueError, match="Error: ") as error:
        _chosen(*words.split())
    assert [part for part in told if part not in str(error.value)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_only_a_trace_has_no_others_take(kind: str) -> None:
    with pytest.raises(ValueError, match=f"--speed 2.0: {kind} arrivals have no such setting"):
        _chosen("--arrivals", kind, "--speed", 2)


def test_a_trace_with_a_bad_row_or_with_other_arrivals_is_unusable(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(TRACE + "soon,1,2\n")
    with pytest.raises(ValueError, match=r"--trace .*trace\.csv, line 5: TIMESTAMP is a date and time .*'soon'"):
        _chosen("--trace", file)
    with pytest.raises(ValueError, match="--arrivals step: a trace has its own arrivals"):
        _chosen("--trace", file, "--arrivals", "step")
    with pytest.raises(ValueError, match=r"--rate 5.0: trace arrivals have no such setting"):
        _chosen("--trace", file, "--rate", 5)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"--trace .*trace\.csv: .*utf-8"):
        _chosen("--trace", file)
