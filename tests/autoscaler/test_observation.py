"""observation.py: what is recorded is read again as it was, under the names that it has there."""

from __future__ import annotations

import msgspec
import pytest

from autoscaler.observation import Decision, Observation
from router.core.model import Trouble
from tests.autoscaler.nouns import KEY

FULL = Observation(
    at_s=12.5,
    wished=4,
    ready=2,
    starting=(3.0, 0.5),
    leaving=1,
    in_flight=2,
    queued=9,
    arrived_total=100,
    finished_total=89,
    held_seconds_total=44.5,
    refused_total=3,
    queue_wait_s=0.5,
    start_s=7.5,
    heard_s=12.25,
    complete=False,
    trouble=Trouble(deployment=KEY, kind="start", reason="it exits with 1"),
)
WHERE_KNOWN = ("queueWaitS", "startS", "heardS", "complete", "trouble")


@pytest.mark.parametrize("seen", [FULL, Observation(at_s=0.0, wished=1, ready=1)])
def test_an_observation_is_read_as_it_was_written(seen: Observation) -> None:
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Observation) == seen


def test_its_names_and_what_is_left_out() -> None:
    names = "atS wished ready starting leaving inFlight queued arrivedTotal finishedTotal heldSecondsTotal refusedTotal"
    assert list(msgspec.to_builtins(FULL)) == [*names.split(), *WHERE_KNOWN]
    assert msgspec.to_builtins(Observation(at_s=0.0, wished=1, ready=0)) == {"atS": 0.0, "wished": 1, "ready": 0}


def test_what_is_not_said_is_a_quiet_moment_of_which_all_is_known() -> None:
    seen = Observation(at_s=0.0, wished=1, ready=1)
    assert (seen.complete, seen.trouble, seen.start_s, seen.starting) == (True, None, None, ())
    assert (seen.queue_wait_s, seen.heard_s) == (None, None)


def test_a_decision_is_read_as_it_was_written() -> None:
    said = Decision(replicas=3, need=2, reason="so it is")
    assert msgspec.to_builtins(said) == {"replicas": 3, "need": 2, "reason": "so it is"}
    assert msgspec.json.decode(msgspec.json.encode(said), type=Decision) == said
