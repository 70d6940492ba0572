"""state.py: what is written is read, whole or not at all, by its owner only."""

import os
import stat

import pytest

from router.core.model import Deployment, Endpoint, KeyHashes, Process, Replica, Snapshot
from router.platforms import PlatformError
from router.platforms.local.state import LOGS_KEPT, ScaleWish, StateDirectory, end_of_log, own_id, own_place
from tests.places import a_place, an_ended_place

SNAPSHOT = Snapshot(
    endpoints=(
        Endpoint(
            name="iris",
            keys=KeyHashes(primary=b"\x00\xff" * 16, secondary=b"\x01" * 32),
            weights=(("blue", 100),),
            deployments=(
                Deployment(endpoint="iris", name="blue", workload=Process(command=("serve",), env={"A": "b"})),
            ),
        ),
    ),
    replicas=(Replica(uid="blue-1", deployment="iris/blue", host="127.0.0.1", port=4000, ready=True),),
)


def test_a_snapshot_comes_back_as_it_was(tmp_path):
    state = StateDirectory(tmp_path / "state")
    assert state.read_snapshot() is None
    assert state.snapshot_version() is None
    state.write_snapshot(SNAPSHOT)
    assert state.read_snapshot() == SNAPSHOT
    before = state.snapshot_version()
    state.write_snapshot(SNAPSHOT)
    assert state.snapshot_version() != before
    state.remove_snapshot()
    assert state.read_snapshot() is None


def test_reading_creates_nothing(tmp_path):
    state = StateDirectory(tmp_path / "state")
    state.read_wish("iris", "blue")
    assert (state.a_router(), state.living_routers(), state.routers_version()) == (None, [], frozenset())
    state.remove_router("1-1")
    assert state.is_drained("blue-1"), "where no router lives, nobody has requests"
    assert not state.path.exists()


def test_only_the_owner_may_look(tmp_path):
    state = StateDirectory(tmp_path / "state")
    with state.lock():
        state.write_snapshot(SNAPSHOT)
        state.write_wish("iris", "blue", ScaleWish(3, 1))
        state.note_drained("blue-1", "1-1")
        state.write_router(a_place())
        state.log_of("iris", "blue", "blue-1")
        for path in [state.path, *state.path.rglob("*")]:
            expected = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == expected, path


@pytest.mark.parametrize("content", [b"", b"{", b'{"endpoints": 3}', b"\xff\xfe", b"[]"])
def test_a_broken_file_is_named(tmp_path, content):
    state = StateDirectory(tmp_path)
    (tmp_path / "snapshot.json").write_bytes(content)
    with pytest.raises(PlatformError, match=r"snapshot\.json can't be read"):
        state.read_snapshot()


def test_wishes_and_places_come_back(tmp_path):
    state = StateDirectory(tmp_path / "state")
    state.write_wish("iris", "blue", ScaleWish(replicas=3, instance_count=1))
    assert state.read_wish("iris", "blue") == ScaleWish(replicas=3, instance_count=1)
    assert state.read_wish("iris", "green") is None
    state.write_wish("iris", "blue", ScaleWish(replicas=3, instance_count=None, leave_first=("b", "a")))
    assert state.read_wish("iris", "blue") == ScaleWish(replicas=3, instance_count=None, leave_first=("b", "a"))
    state.remove_wish("iris", "blue")
    assert state.read_wish("iris", "blue") is None


def test_each_router_that_lives_is_known_by_its_number(tmp_path):
    state = StateDirectory(tmp_path)
    second = a_place("http://b", index=1, id="b", peer="https://b", socket="/run/1.sock")
    first = a_place("http://a", index=0, id="c")
    for place in (second, first):
        state.write_router(place)
    assert state.living_routers() == state.routers() == [first, second]
    assert state.a_router() == first
    state.remove_router("c")
    assert (state.living_routers(), state.a_router()) == ([second], second)


def test_a_router_that_died_without_a_word_is_gone_and_forgotten_when_another_starts(tmp_path):
    state = StateDirectory(tmp_path)
    ended = an_ended_place()
    state.write_router(ended)
    assert (state.routers(), state.living_routers()) == ([ended], [])
    (tmp_path / "routers" / "broken.json").write_text("{")
    assert state.living_routers() == []
    state.write_router(a_place())
    assert state.routers() == [a_place()]


def test_another_process_with_the_id_of_a_router_is_not_that_router(tmp_path):
    state = StateDirectory(tmp_path)
    state.write_router(a_place(started=1))
    assert state.living_routers() == []
    state.write_router(own := own_place(public="http://p", admin="http://a", index=3))
    assert (own.id, own.pid, own.index) == (own_id(), os.getpid(), 3)
    assert state.living_routers() == [own]


def test_whoever_looks_sees_that_a_router_was_written_or_removed_and_nothing_else(tmp_path):
    state = StateDirectory(tmp_path)
    seen = [state.routers_version()]
    for change in (
        lambda: state.write_router(a_place(id="a")),
        lambda: state.write_router(a_place(id="b")),
        lambda: state.write_router(a_place(id="a", admin="http://c")),
        lambda: state.remove_router("b"),
    ):
        change()
        assert state.routers_version() != seen[-1]
        seen.append(state.routers_version())
    (tmp_path / "routers" / ".a.json.temporary").touch()
    assert state.routers_version() == seen[-1]


def test_a_replica_has_drained_once_every_router_that_lives_has_said_so(tmp_path):
    state = StateDirectory(tmp_path)
    for id in ("a", "b"):
        state.write_router(a_place(id=id))
    state.write_router(an_ended_place())
    for told in ("a", "stranger"):
        state.note_drained("blue-1", told)
        assert not state.is_drained("blue-1")
    state.note_drained("blue-1", "b")
    assert state.is_drained("blue-1")
    assert not state.is_drained("blue-2")
    state.write_router(a_place(id="late"))
    assert not state.is_drained("blue-1"), "it says so itself"
    state.remove_router("late")
    state.note_drained("blue-2", "a")
    state.forget_drained("blue-1")
    assert not state.is_drained("blue-1")
    state.note_drained("blue-2", "b")
    assert state.is_drained("blue-2")
    state.forget_every_drained()
    assert not state.is_drained("blue-2")
    state.forget_drained("blue-2")


def test_a_second_supervisor_is_told_who_is_there(tmp_path):
    state = StateDirectory(tmp_path / "state")
    with (
        state.lock(),
        pytest.raises(PlatformError, match=rf"{tmp_path}/state .*process {os.getpid()}:"),
        StateDirectory(tmp_path / "state").lock(),
    ):
        pass
    with state.lock():
        pass


def test_a_lock_that_can_not_be_opened_is_a_message(tmp_path):
    (tmp_path / "supervisor.lock").mkdir()
    with (
        pytest.raises(PlatformError, match=r"supervisor\.lock can't be opened: .* Choose another --state-dir"),
        StateDirectory(tmp_path).lock(),
    ):
        pass


def test_old_logs_go_and_living_ones_stay(tmp_path):
    state = StateDirectory(tmp_path)
    logs = [state.log_of("iris", "blue", f"blue-{number}") for number in range(LOGS_KEPT + 5)]
    other = state.log_of("iris", "green", "green-1")
    for age, log in enumerate([other, *logs]):
        log.touch()
        os.utime(log, ns=(age, age))
    state.drop_old_logs("iris", "blue", living={logs[0]})
    assert sorted(state.logs.iterdir()) == sorted([other, logs[0], *logs[5:]])


def test_the_end_of_a_log_is_text_that_a_terminal_can_take(tmp_path):
    log = tmp_path / "log"
    assert end_of_log(log) == []
    log.write_bytes(b"first\n\x1b[31mred\x07\xff\n\n  \nlast \n\n")
    assert end_of_log(log) == ["last"]
    assert end_of_log(log, 2) == [" [31mred \ufffd", "last"]
    log.write_bytes(b"x" * 100_000 + b"\nend\n")
    assert end_of_log(log) == ["end"]


def test_a_directory_that_can_not_be_made_is_a_message(tmp_path):
    (tmp_path / "file").write_text("in the way")
    state = StateDirectory(tmp_path / "file" / "state")
    with pytest.raises(PlatformError, match="can't be made"):
        state.write_router(a_place())
