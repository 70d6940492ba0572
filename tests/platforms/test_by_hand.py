"""by_hand.py: what is set stands as long as it should, and a file that is something else harms nothing."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
from functools import partial
from pathlib import Path

import pytest

from router.core.model import Deployment, Endpoint, Hold, Process, Replica
from router.platforms import PlatformError
from router.platforms.administration import Conflict
from router.platforms.by_hand import (
    NOTHING,
    ByHand,
    ByHandFile,
    TrafficWish,
    set_drained,
    set_hold,
    set_traffic,
    standing,
    with_drain,
    with_weights,
)
from router.platforms.private_files import locked

HOLD = Hold(replicas=3, until_s=100.0)
WISH = TrafficWish({"blue": 0, "green": 100}, {"blue": 90, "green": 10})
ALL = ByHand(traffic={"iris": WISH}, holds={"iris/blue": HOLD}, drained=("blue-1",))


def iris(blue: int = 90, green: int = 10, name: str = "iris") -> Endpoint:
    deployments = (Deployment(endpoint=name, name=each, workload=Process(command=("m",))) for each in ("blue", "green"))
    return Endpoint(name=name, deployments=tuple(deployments), weights=(("blue", blue), ("green", green)))


def replica(uid: str, **state: bool) -> Replica:
    return Replica(uid=uid, deployment="iris/blue", host="10.0.0.1", port=1, **{"ready": True, **state})


@pytest.fixture
def file(tmp_path: Path) -> ByHandFile:
    return ByHandFile(tmp_path / "state")


# -- the file --------------------------------------------------------------------------------------------------------


def test_what_is_set_comes_back_and_is_plain_json(file: ByHandFile) -> None:
    assert (file.look(), file.present) == (False, NOTHING)
    file.change(lambda _: ALL)
    assert file.present == NOTHING, "until the next look"
    assert (file.look(), file.present, file.look()) == (True, ALL, False)
    assert json.loads(file.path.read_text()) == {
        "traffic": {"iris": {"traffic": {"blue": 0, "green": 100}, "madeUnder": {"blue": 90, "green": 10}}},
        "holds": {"iris/blue": {"replicas": 3, "untilS": 100.0}},
        "drained": ["blue-1"],
    }
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    file.path.unlink()
    assert (file.look(), file.present) == (True, NOTHING)


def test_looking_makes_nothing_and_a_change_that_is_none_writes_nothing(file: ByHandFile) -> None:
    file.look()
    assert not file.path.parent.exists()
    file.change(lambda hand: hand)
    assert not file.path.exists()


def test_a_change_that_fails_changes_nothing(file: ByHandFile) -> None:
    file.change(lambda _: ALL)

    def change(_: ByHand) -> ByHand:
        raise Conflict("no")

    with pytest.raises(Conflict):
        file.change(change)
    assert (file.look(), file.present) == (True, ALL)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b'{"drained": [3]}', b'{"holds": {"iris/blue": {"replicas": "3", "untilS": 1}}}',
     b'{"traffic": {"iris": {"traffic": {"blue": 50}, "madeUnder": {"blue": 100}}}}',
     b'{"traffic": {"iris": {"traffic": {"blue": 150, "green": -50}, "madeUnder": {"blue": 100, "green": 0}}}}',
     b'{"traffic": {"iris": {"traffic": {"blue": 100}, "madeUnder": {"green": 100}}}}'],
)  # fmt: skip
def test_a_file_that_holds_something_else_is_told_once_kept_and_changes_nothing(
    file: ByHandFile, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file.change(lambda _: ALL)
    file.look()
    file.path.write_bytes(content)
    assert [file.look() for _ in range(3)] == [False] * 3
    assert file.present == ALL
    assert caplog.text.count("by-hand.json can't be read") == 1
    with pytest.raises(PlatformError, match=r"by-hand\.json can't be read: .* Remove it"):
        file.change(lambda _: NOTHING)
    assert file.path.read_bytes() == content


def test_a_folder_in_its_place_is_told(file: ByHandFile, caplog: pytest.LogCaptureFixture) -> None:
    file.path.mkdir(parents=True)
    assert not file.look()
    assert "by-hand.json can't be read: Is a directory" in caplog.text


def test_of_changes_at_once_none_is_lost(file: ByHandFile) -> None:
    def drain(number: int) -> None:
        ByHandFile(file.path.parent).change(partial(set_drained, replica=f"blue-{number}", drained=True))

    threads = [threading.Thread(target=drain, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.look()
    assert sorted(file.present.drained) == sorted(f"blue-{number}" for number in range(16))


def test_what_can_not_be_taken_away_is_told_once_and_tried_again(
    file: ByHandFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file.change(lambda _: ALL)
    file.look()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for _ in range(3):
            file.tidy(lambda _: NOTHING)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "No space left on device" in caplog.text
    file.tidy(lambda _: NOTHING)
    assert (file.look(), file.present) == (True, NOTHING)


def test_to_tidy_nobody_is_waited_for(file: ByHandFile, caplog: pytest.LogCaptureFixture) -> None:
    file.change(lambda _: ALL)
    file.look()
    with locked(file.path.with_name("by-hand.lock")):
        for _ in range(3):
            file.tidy(lambda _: NOTHING)
        assert len(caplog.records) == 1
        assert "by-hand.lock is held by another process" in caplog.text
    file.tidy(lambda _: NOTHING)
    assert (file.look(), file.present) == (True, NOTHING)


def test_traffic_that_ends_is_told(file: ByHandFile, caplog: pytest.LogCaptureFixture) -> None:
    file.change(lambda _: ALL)
    file.look()
    file.tidy(lambda hand: standing(hand, [iris(80, 20)], lambda _: False, 0.0))
    file.look()
    file.tidy(lambda hand: standing(hand, [iris(80, 20)], lambda _: True, 200.0))
    assert [record.getMessage() for record in caplog.records] == [
        "the traffic set for iris by hand ends: the endpoints file says other weights"
    ]


def test_what_was_set_since_the_last_look_is_not_taken_away(file: ByHandFile) -> None:
    file.change(lambda _: ALL)
    file.look()
    file.change(partial(set_hold, key="iris/green", hold=HOLD))
    file.tidy(lambda hand: set_drained(hand, "blue-1", False))
    file.look()
    assert file.present == ByHand(traffic={"iris": WISH}, holds={"iris/blue": HOLD, "iris/green": HOLD})


# -- what stands -----------------------------------------------------------------------------------------------------


def test_traffic_stands_while_the_file_says_what_it_said() -> None:
    assert with_weights(iris(), ALL).weights == (("blue", 0), ("green", 100))
    for other in (iris(80, 20), iris(name="rose")):
        assert with_weights(other, ALL) is other
    assert with_weights(iris(), NOTHING).weights == (("blue", 90), ("green", 10))


def test_a_drained_replica_leaves() -> None:
    assert with_drain(replica("blue-1"), ALL) == replica("blue-1", leaving=True)
    for other in (replica("blue-2"), replica("blue-1", leaving=True)):
        assert with_drain(other, ALL) is other
    at_address = ByHand(drained=("iris/blue@10.0.0.1:1",))
    assert with_drain(replica("iris/blue@10.0.0.1:1"), at_address).leaving
    assert not with_drain(replica("iris/blue@10.0.0.1:11"), at_address).leaving


def test_what_stands_no_longer() -> None:
    def left(endpoint: Endpoint, gone: str = "", now_s: float = 99.9) -> ByHand:
        return standing(ALL, [endpoint], lambda name: name == gone, now_s)

    assert left(iris()) == ALL
    assert left(iris(name="rose")) == ALL, "another's endpoint says nothing"
    assert left(iris(80, 20)) == ByHand(holds=ALL.holds, drained=ALL.drained)
    assert left(iris(), now_s=100.0) == ByHand(traffic=ALL.traffic, drained=ALL.drained)
    assert left(iris(), "blue-1") == ByHand(traffic=ALL.traffic, holds=ALL.holds)


# -- changes ---------------------------------------------------------------------------------------------------------


def test_the_second_change_of_traffic_is_made_under_what_the_first_was() -> None:
    """Whether that is published yet, or not."""
    first = set_traffic(NOTHING, iris(), {"blue": 50, "green": 50}, {"blue": 90, "green": 10})
    assert first.traffic == {"iris": TrafficWish({"blue": 50, "green": 50}, {"blue": 90, "green": 10})}
    for published in (iris(), iris(50, 50)):
        second = set_traffic(first, published, {"blue": 0, "green": 100}, {"blue": 50, "green": 50})
        assert second.traffic == {"iris": WISH}
        with pytest.raises(Conflict):
            set_traffic(first, published, {"blue": 0, "green": 100}, {"blue": 90, "green": 10})


def test_a_wish_for_other_deployments_is_none() -> None:
    old = ByHand(traffic={"iris": TrafficWish({"red": 100}, {"red": 100})})
    assert set_traffic(old, iris(), {"blue": 0, "green": 100}, {"blue": 90, "green": 10}).traffic == {"iris": WISH}


def test_holds_and_drains_are_set_and_taken_back() -> None:
    held = set_hold(NOTHING, "iris/blue", HOLD)
    assert set_hold(held, "iris/green", HOLD).holds == {"iris/blue": HOLD, "iris/green": HOLD}
    assert set_hold(held, "iris/blue", None) == NOTHING == set_hold(NOTHING, "iris/blue", None)
    drained = set_drained(set_drained(NOTHING, "a@h:1", True), "a@h:1", True)
    assert drained.drained == ("a@h:1",)
    assert set_drained(drained, "a@h:1", False) == NOTHING == set_drained(NOTHING, "b", False)
