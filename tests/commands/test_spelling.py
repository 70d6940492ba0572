"""spelling.py: how durations, times, deployments and traffic may be written, and what is told of what may not."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import click
import pytest

from router.commands.spelling import deployment, duration, hold, moment, rate, shown, some, traffic

CONTEXT = click.Context(click.Command("x"))
PARAMETER = click.Argument(["x"])


def read(spelled: Callable[..., Any], given: object) -> Any:
    return spelled(CONTEXT, PARAMETER, given)


def refusal(spelled: Callable[..., Any], given: object) -> str:
    with pytest.raises(click.BadParameter) as caught:
        read(spelled, given)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("90s", 90), ("15m", 900), ("1h", 3_600), ("7d", 604_800), ("3650d", 315_360_000), (None, None)],
)
def test_durations(text: str | None, seconds: int | None) -> None:
    assert read(duration, text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0s", "0d", "1", "1.5h", "-1h", "1h30m", "3651d", "9999999999d", "1w", " 1h", "٣s"]
)
def test_durations_that_are_none(text: str) -> None:
    assert refusal(duration, text) == f"{text!r}, but it must be 1s to 3650d, as in 90s, 15m, 1h or 7d."


def test_moments_have_a_zone() -> None:
    assert read(moment, "2027-01-31T12:00:00Z") == datetime(2027, 1, 31, 12, tzinfo=UTC)
    assert read(moment, "2027-01-31T12:00:00+02:00") == datetime(2027, 1, 31, 10, tzinfo=UTC)
    assert read(moment, None) is None
    for text in ("", "2027-01-31", "2027-01-31T12:00:00", "tomorrow", "2027-02-30T00:00:00Z"):
        assert refusal(moment, text) == (f"{text!r}, but it must be a time with its zone, as in 2027-01-31T00:00:00Z.")


def test_moments_are_shown_in_their_own_zone() -> None:
    assert shown(datetime(2027, 1, 31, 12, 0, 0, 9, tzinfo=UTC)) == "2027-01-31 12:00:00 UTC"
    east = timezone(timedelta(hours=2))
    assert shown(datetime(2027, 1, 31, 12, tzinfo=east)) == "2027-01-31 12:00:00+02:00"


def test_deployments() -> None:
    assert read(deployment, "iris/blue") == read(some, "iris/blue") == ("iris", "blue")
    assert read(some, "iris") == ("iris", None)
    assert read(some, None) == (None, None)
    for text in ("", "/", "iris/", "/blue", "iris/blue/x"):
        assert refusal(deployment, text) == f"{text!r}, but it must be ENDPOINT/DEPLOYMENT."
        assert refusal(some, text) == f"{text!r}, but it must be ENDPOINT or ENDPOINT/DEPLOYMENT."


@pytest.mark.parametrize("words", [["blue=90", "green=10"], ["blue=90 green=10"], ["blue=90,green=10%"]])
def test_traffic(words: list[str]) -> None:
    assert read(traffic, words) == {"blue": 90, "green": 10}


def test_traffic_that_is_none() -> None:
    assert read(traffic, []) == {}
    for text in ("blue", "blue=", "=1", "blue=101", "blue=1000", "blue=-1", "blue=1.5", "blue==1", "blue=٣"):
        assert refusal(traffic, [text]) == f"{text!r}, but it must be DEPLOYMENT=PERCENT, 0 to 100, as in blue=90."
    assert refusal(traffic, ["blue=1", "blue=99"]) == "blue is named twice."


def test_a_number_is_held_for_a_year_at_most() -> None:
    assert [read(hold, text) for text in (None, "90s", "365d")] == [None, 90, 31_536_000]
    assert refusal(hold, "366d") == "'366d', but it must be at most 365d."
    assert refusal(hold, "5") == refusal(duration, "5")


def test_rate() -> None:
    for given in (None, 0.01, 1e6):
        assert read(rate, given) == given
    for given in (0.0, -1.0, 1_000_001.0, math.nan, math.inf):
        assert refusal(rate, given).endswith(", but it must be above 0 and at most 1,000,000.")
