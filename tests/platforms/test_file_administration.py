"""file_administration.py, beyond what tests/contract/test_administration.py asks of every platform: it waits to be
seen, but not for ever, and what is written stands."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from router.core.keys import regenerated
from router.core.model import Deployment, Endpoint, Hold, Process, Replica, ScaleSettings, Snapshot
from router.platforms import PlatformError
from router.platforms.administration import Conflict
from router.platforms.file_administration import FileAdministration
from router.platforms.keys import KeyStore

BLUE = Deployment(endpoint="iris", name="blue", workload=Process(command=("m",)), scale=ScaleSettings(max_instances=4))
IRIS = Endpoint(name="iris", deployments=(BLUE,), weights=(("blue", 100),))
SNAPSHOT = Snapshot(
    endpoints=(IRIS,),
    replicas=(Replica(uid="blue-1", deployment="iris/blue", host="10.0.0.1", port=1, ready=True),),
)


class Followed:
    """Stands for whoever makes snapshots, and for who follows them."""

    def __init__(self, state_dir: Path) -> None:
        self.newest = SNAPSHOT
        self.seen = SNAPSHOT
        self.is_gone = False
        self.administration = FileAdministration(state_dir, lambda: self.newest, self._followed)

    def _followed(self) -> Snapshot:
        if self.is_gone:
            raise PlatformError("no supervisor")
        return self.seen


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(tmp_path)


def by_hand(tmp_path: Path) -> object:
    return json.loads((tmp_path / "by-hand.json").read_text())


async def test_a_change_waits_until_it_is_followed(followed: Followed, tmp_path: Path) -> None:
    hold = Hold(replicas=3, until_s=9.0)
    task = asyncio.create_task(followed.administration.hold("iris", "blue", hold))
    async with asyncio.timeout(20):
        while not (tmp_path / "by-hand.json").exists():  # noqa: ASYNC110 - a thread writes it
            await asyncio.sleep(0.01)
        followed.newest = replace(SNAPSHOT, holds={"iris/blue": hold})
        await asyncio.sleep(0.1)
        assert not task.done()
        followed.seen = followed.newest
        await task


async def test_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.platforms.file_administration.SEEN_WITHIN_S", 0.1)
    KeyStore(tmp_path).ensure("iris")
    administration = Followed(tmp_path).administration
    async with asyncio.timeout(20):
        await administration.set_traffic("iris", {}, None)
        await administration.hold("iris", "blue", Hold(replicas=3, until_s=9.0))
        await administration.drain("blue-1", True)
        await administration.change_keys("iris", partial(regenerated, which="primary", key="x" * 16))
    assert by_hand(tmp_path) == {
        "traffic": {"iris": {"traffic": {"blue": 0}, "madeUnder": {"blue": 100}}},
        "holds": {"iris/blue": {"replicas": 3, "untilS": 9.0}},
        "drained": ["blue-1"],
    }
    assert KeyStore(tmp_path).read("iris").primary_key == "x" * 16


async def test_what_is_written_stands_whatever_becomes_of_who_shows_it(followed: Followed, tmp_path: Path) -> None:
    followed.is_gone = True
    await followed.administration.drain("blue-1", True)
    assert by_hand(tmp_path) == {"drained": ["blue-1"]}


async def test_a_second_change_is_held_against_the_first_although_nobody_has_seen_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.platforms.file_administration.SEEN_WITHIN_S", 0.0)
    administration = Followed(tmp_path).administration
    await administration.set_traffic("iris", {"blue": 0}, {"blue": 100})
    assert by_hand(tmp_path) == {"traffic": {"iris": {"traffic": {"blue": 0}, "madeUnder": {"blue": 100}}}}
    with pytest.raises(Conflict):
        await administration.set_traffic("iris", {"blue": 100}, {"blue": 100})
    await administration.set_traffic("iris", {"blue": 100}, {"blue": 0})
    assert by_hand(tmp_path) == {}, "as the endpoints file says: nothing by hand that would end one day"


async def test_decisions_are_read_from_the_journal(followed: Followed, tmp_path: Path) -> None:
    (tmp_path / "decisions").mkdir()
    lines = [json.dumps({"type": "decision", "n": number}) for number in range(4)]
    (tmp_path / "decisions" / "iris.blue.jsonl").write_text("\n".join(lines) + "\n")
    assert [each["n"] for each in await followed.administration.decisions("iris", "blue", 2)] == [2, 3]
