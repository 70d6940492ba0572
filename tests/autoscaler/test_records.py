"""records.py: a record says what it is, and comes back as it was."""

from __future__ import annotations

import msgspec
import pytest

from autoscaler.records import Decided, Record, Sized, SizeTerms, Terms
from autoscaler.self_observation import SelfScaling, SizeDecision
from router.core.model import ScaleSettings, Trouble
from tests.autoscaler.nouns import KEY, decision, seen
from tests.autoscaler.self_scaled import seen as own_seen
from tests.autoscaler.self_scaled import size


def test_records_come_back_as_they_were_and_name_their_kind() -> None:
    trouble = Trouble(deployment=KEY, kind="placement", reason="no room")
    observation = seen(3.5, 2, starting=(1.5, 0.5), start_s=2.25, complete=False, trouble=trouble)
    records = [
        Terms(time=1.0, deployment=KEY, concurrency=4, settings=ScaleSettings(max_instances=3)),
        Decided(time=2.0, seen=observation, decision=decision(3), outcome="ask", fault="no"),
    ]
    lines = [msgspec.json.encode(record) for record in records]
    assert [msgspec.json.decode(line, type=Terms | Decided) for line in lines] == records
    assert [msgspec.json.decode(line)["type"] for line in lines] == ["terms", "decision"]


def test_those_on_the_router_do_too() -> None:
    sized = SizeDecision(size=size(2), step="up", reason="slow")
    records: list[Record] = [
        SizeTerms(time=1.0, settings=SelfScaling(max_pods=5)),
        Sized(time=2.0, seen=own_seen(3.0, no_room="none"), decision=sized, outcome="ask", fault="no"),
    ]
    lines = [msgspec.json.encode(record) for record in records]
    assert [msgspec.json.decode(line, type=Record) for line in lines] == records
    assert [msgspec.json.decode(line)["type"] for line in lines] == ["size-terms", "size"]


def test_what_is_usual_takes_no_room() -> None:
    usual = Decided(time=2.0, seen=seen(), decision=decision())
    assert set(msgspec.json.decode(msgspec.json.encode(usual))) == {"type", "time", "seen", "decision"}


@pytest.mark.parametrize("time_s", [-1.0, 1e300])
def test_a_time_that_no_calendar_can_show_is_none(time_s: float) -> None:
    line = msgspec.json.encode(Decided(time=time_s, seen=seen(), decision=decision()))
    with pytest.raises(msgspec.ValidationError, match=r"\$\.time"):
        msgspec.json.decode(line, type=Decided)
