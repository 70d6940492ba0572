"""self_options.py: what is given is what counts, and what can't be is refused with the reason."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from autoscaler.self_observation import SelfScaling
from autoscaler.self_options import self_scaling_of, self_scaling_options, thresholds_of
from autoscaler.self_replay import Thresholds


def given(*words: str, **environment: str) -> Any:
    """What the options say; the message of a refusal."""
    found: list[Any] = []

    @click.command()
    @self_scaling_options
    def command(**given: Any) -> None:
        found.append(self_scaling_of(given))

    result = CliRunner().invoke(command, words, env=environment)
    return found[0] if found else result.stderr


def test_without_a_word_it_is_on_with_the_defaults() -> None:
    assert given() == SelfScaling()


def test_each_option_says_something() -> None:
    words = ("--min-routers=3", "--max-routers=9", "--max-router-workers=2", "--route-mean-ms=2.5", "--route-p99-ms=9")
    assert given(*words) == SelfScaling(min_pods=3, max_pods=9, max_workers=2, mean_ms=2.5, p99_ms=9)


def test_off_is_off_also_by_the_environment() -> None:
    assert given("--self-scaling=off") is None
    assert given(SCOREGATE_SELF_SCALING="off") is None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--min-routers=4", "--max-routers=3"), "--min-routers is 4; it must be at most --max-routers, 3."),
        (("--self-scaling=off", "--min-routers=11"), "it must be at most --max-routers, 10."),
        (("--max-routers=0",), "--max-routers"),
        (("--max-router-workers=65",), "--max-router-workers"),
        (("--route-mean-ms=0",), "--route-mean-ms"),
        (("--self-scaling=auto",), "--self-scaling"),
        (("--router-deployment=a/b",), "--router-deployment"),
    ],
)
def test_what_can_not_be_is_refused(words: tuple[str, ...], why: str) -> None:
    assert why in given(*words)


@pytest.mark.parametrize("words", [("--route-mean-ms=nan",), ("--route-p99-ms=nan",)])
def test_no_number_is_no_threshold(words: tuple[str, ...]) -> None:
    assert "nan" in given(*words)


def test_thresholds_are_taken_out_of_what_is_given() -> None:
    words: dict[str, Any] = {"mean_ms": 1.0, "p99_ms": None, "target": 50}
    assert thresholds_of(words) == Thresholds(1.0, None)
    assert words == {"target": 50}
