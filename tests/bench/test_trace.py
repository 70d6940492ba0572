"""A trace is replayed at its own times, and what is no trace is told with its file, line and rule."""

from __future__ import annotations

import pytest

from bench.trace import Traced, TraceError, read_trace, replay

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens"
FIRST = "2023-11-16 18:17:03.9799600,4808,10"
SECOND = "2023-11-16 18:17:04.0319600,3180,8"


def test_moments_count_from_the_first_request() -> None:
    trace = read_trace([HEAD, FIRST, SECOND, "2023-11-17 00:00:00,1,0", ""], "t.csv")
    assert [request.generated_tokens for request in trace] == [10, 8, 0]
    assert [request.at_s for request in trace] == pytest.approx([0.0, 0.052, 20_576.02004])


def test_columns_are_found_by_name_and_rows_put_in_order() -> None:
    lines = ["kind, TIMESTAMP", "b,2024-05-10 00:00:01.5+00:00", "a,2024-05-10 02:00:01.25+02:00"]
    assert read_trace(lines, "t.csv") == [Traced(0.0, None), Traced(0.25, None)]


def test_a_byte_order_mark_is_no_part_of_a_name() -> None:
    assert read_trace(["\ufeff" + HEAD, FIRST], "t.csv") == [Traced(0.0, 10)]


def test_a_replay_may_be_faster_and_shorter() -> None:
    trace = [Traced(at_s, None) for at_s in (0.0, 1.0, 5.0, 10.0)]
    assert replay(trace) == [0.0, 1.0, 5.0, 10.0]
    assert replay(trace, speed=5.0) == [0.0, 0.2, 1.0, 2.0]
    assert replay(trace, speed=5.0, limit_s=1.0) == [0.0, 0.2]


@pytest.mark.parametrize(
    ("lines", "line", "rule"),
    [
        ([], 1, "at least a header and one request"),
        ([HEAD], 1, "at least a header and one request"),
        (["time,tokens", "1,2"], 1, "one of them TIMESTAMP: 'time,tokens'"),
        ([FIRST, SECOND], 1, "one of them TIMESTAMP"),
        ([HEAD, FIRST, "2023-11-16 18:17:03.97,4808"], 3, "as many fields as the header, 3: '2023"),
        ([HEAD, FIRST, SECOND + ",9"], 3, "as many fields as the header, 3"),
        ([HEAD, "yesterday,1,2"], 2, "a date and time such as 2023-11-16 18:17:03.9799600: 'yesterday'"),
        ([HEAD, FIRST, "2023-13-16 18:17:03,1,2"], 3, "a date and time"),
        ([HEAD, FIRST, "", "2023-11-16 18:17:05,1,-8"], 4, "GeneratedTokens is a whole number, not below 0: '-8'"),
        ([HEAD, FIRST, "2023-11-16 18:17:05+00:00,1,2"], 3, "a time zone in all rows or in none"),
        ([HEAD, FIRST, '"2023-11-16 18:17:05,1,2'], 3, "unexpected end of data"),
    ],
)
def test_what_is_no_trace_is_told_with_its_place_and_rule(lines: list[str], line: int, rule: str) -> None:
    with pytest.raises(TraceError) as told:
        read_trace(lines, "t.csv")
    assert str(told.value).startswith(f"t.csv, line {line}: ")
    assert rule in str(told.value)
