"""administration/audit.py: a line for what administrators did."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from router.administration import audit
from router.core.model import RateLimit


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """What was written so far."""
    return lambda: [record.getMessage() for record in caplog.records if record.name == "scoregate.audit"]


def test_a_line_says_when_who_what_and_how_it_ended(lines: Any) -> None:
    audit.write(0.25, "::1", "setTraffic", {"endpoint": "iris", "from": {"blue": 100}, "to": {"blue": 0}}, 200, "")
    assert [json.loads(line) for line in lines()] == [
        {
            "time": "1970-01-01T00:00:00.250Z",
            "client": "::1",
            "action": "setTraffic",
            "endpoint": "iris",
            "from": {"blue": 100},
            "to": {"blue": 0},
            "status": 200,
            "outcome": "done",
        }
    ]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "done"), (201, "done"), (400, "refused"), (499, "refused"), (500, "failed"), (0, "interrupted")],
)
def test_how_it_ended_is_a_word(lines: Any, status: int, outcome: str) -> None:
    audit.write(0.0, "", "putKey", {}, status, "Why" if status >= 400 else "")
    told = json.loads(lines()[0])
    assert told["outcome"] == outcome
    assert told.get("code") == ("Why" if status >= 400 else None)


@pytest.mark.parametrize(
    "text", ["a\nINFO forged", "\r\n", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u202e", "é", "%s %d"]
)
def test_nobody_writes_a_second_line(lines: Any, text: str) -> None:
    audit.write(0.0, text, text, {"subject": text, "from": {text: text}}, 200, text)
    [line] = lines()
    assert line.isprintable()
    assert line.isascii()
    told = json.loads(line)
    assert (told["client"], told["subject"], told["from"]) == (text, text, {text: text})


def test_long_text_is_cut(lines: Any) -> None:
    audit.write(0.0, "", "issueToken", {"subject": "x" * 10_000, "from": {"y" * 10_000: 1}}, 200, "")
    assert len(lines()[0]) < 1_000
    assert json.loads(lines()[0])["subject"] == "x" * 199 + "…"


def test_times_and_shapes_are_plain_objects(lines: Any) -> None:
    told = {"to": {"expiresAt": datetime(2027, 1, 2, tzinfo=UTC), "rateLimit": RateLimit(requests_per_second=2.0)}}
    audit.write(0.0, "", "putKey", told, 200, "")
    assert json.loads(lines()[0])["to"] == {
        "expiresAt": "2027-01-02T00:00:00Z",
        "rateLimit": {"requestsPerSecond": 2.0, "burst": None},
    }


def test_it_is_written_at_any_level_of_the_others(lines: Any) -> None:
    logging.getLogger("scoregate").setLevel(logging.ERROR)
    audit.write(0.0, "", "putKey", {}, 200, "")
    assert len(lines()) == 1
