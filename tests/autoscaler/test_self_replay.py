"""self_replay.py: with the recorded settings the law says again what it said; with others, what it would have."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from autoscaler.observation import Decision, Observation
from autoscaler.records import Decided, Record, Sized, SizeTerms
from autoscaler.self_observation import SelfScaling
from autoscaler.self_replay import Thresholds, redecided
from tests.autoscaler.self_scaled import Installation, size

SETTINGS = SelfScaling(max_workers=2)


def story(begins_at: tuple[int, ...] = (0,)) -> list[Record]:
    installation = Installation(size(1, 3), SETTINGS, room=9)
    installation.run(120, lambda look: 5.0)
    installation.run(200, lambda look: 0.2)
    records: list[Record] = [SizeTerms(time=0, settings=SETTINGS)]
    for number, (seen, decision) in enumerate(installation.story):
        records.append(Sized(time=number, seen=seen, decision=decision))
    assert installation.steps
    return records


def test_it_says_the_same_again_word_for_word() -> None:
    again = list(redecided(story(), Thresholds()))
    assert len(again) == 320
    assert [each.decision for each in again] == [each.record.decision for each in again]


def test_other_thresholds_say_otherwise() -> None:
    again = list(redecided(story(), Thresholds(mean_ms=1000, p99_ms=1000)))
    assert not [each for each in again if each.decision.step in ("up", "out")]
    assert [each for each in again if each.record.decision.step == "up"]
    assert Thresholds(mean_ms=1.5).of(SETTINGS) == SelfScaling(max_workers=2, mean_ms=1.5)


def test_a_law_that_began_anew_remembers_nothing() -> None:
    records = story()
    steps = [each.decision.step for each in redecided(records, Thresholds())]
    when = steps.index("up")
    record = records[1 + when]
    assert isinstance(record, Sized)
    records[1 + when] = replace(record, seen=replace(record.seen, begins=True))
    again = [each.decision.step for each in redecided(records, Thresholds())]
    assert (steps[when], again[when]) == ("up", "stay")


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (story()[1:], "before the first line of kind size-terms"),
        (
            [
                Decided(
                    time=0,
                    seen=Observation(at_s=0, wished=1, ready=1),
                    decision=Decision(replicas=1, need=1, reason=""),
                )
            ],
            "decisions on a deployment",
        ),
    ],
)
def test_what_is_no_story_of_a_router_is_refused(records: list[Record], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        list(redecided(records, Thresholds()))
