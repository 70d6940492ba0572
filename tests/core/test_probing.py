"""A replica's verdict from its answers, against the rules as probing.py words them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.model import Probe
from router.core.probing import Answer, ProbeRecord

ANSWERS = {"+": "well", "-": "unwell", ".": "silent"}


def verdicts(answers: str, probe: Probe, *, well: bool = False) -> str:
    """One `+` or `-` for each answer, written as `+` well, `-` unwell, `.` silent."""
    record = ProbeRecord(probe, well=well)
    return "".join("+" if record.note(ANSWERS[answer]) else "-" for answer in answers)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("+", "+"),
        ("...+", "---+"),
        ("+..+", "++++"),  # two silences are not three
        ("+...", "+++-"),
        ("+..+..", "++++++"),
        ("+...+", "+++-+"),
        ("+-", "+-"),  # an answer counts at once
        ("+-+", "+-+"),
        ("+..-..", "+++---"),
    ],
)
def test_silence_is_forgiven_and_an_answer_is_believed(answers: str, expected: str) -> None:
    assert verdicts(answers, Probe(success_threshold=1, failure_threshold=3)) == expected


@pytest.mark.parametrize(
    ("answers", "expected"),
    [("++", "--"), ("+++", "--+"), ("++.+++", "-----+"), ("++-+++", "-----+"), ("+++-++", "--+---")],
)
def test_it_must_be_well_so_often_in_a_row(answers: str, expected: str) -> None:
    assert verdicts(answers, Probe(success_threshold=3, failure_threshold=2)) == expected


def test_a_known_verdict_goes_on() -> None:
    probe = Probe(success_threshold=3, failure_threshold=2)
    assert verdicts("+.+.", probe, well=True) == "++++"
    assert verdicts("..", probe, well=True) == "+-"


@given(
    st.text("+-.", max_size=40),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_the_verdict_changes_only_by_a_run_or_a_refusal(answers: str, successes: int, failures: int) -> None:
    probe = Probe(success_threshold=successes, failure_threshold=failures)
    before = "-"
    for count, after in enumerate(verdicts(answers, probe), start=1):
        so_far = answers[:count]
        if before == "-" and after == "+":
            assert so_far.endswith("+" * successes)
        if before == "+" and after == "-":
            assert so_far.endswith("-") or so_far.endswith("." * failures)
        if so_far.endswith("+" * successes):
            assert after == "+"
        if so_far.endswith("-") or so_far.endswith("." * failures):
            assert after == "-"
        before = after


def test_answers_are_these_three() -> None:
    assert set(ANSWERS.values()) == set(Answer.__args__)
