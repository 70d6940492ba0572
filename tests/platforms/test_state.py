"""state.py: what is written is read, whole or not at all, by its owner only."""

import os
import stat
import subprocess
import sys

import pytest

from router.core.model import Deployment, Endpoint, KeyHashes, Process, Replica, Snapshot
from router.platforms import PlatformError
from router.platforms.local.state import LOGS_KEPT, RouterPlace, ScaleWish, StateDirectory, end_of_log

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
    state.read_router()
    assert not state.is_drained("blue-1")
    assert not state.path.exists()


def test_only_the_owner_may_look(tmp_path):
    state = StateDirectory(tmp_path / "state")
    with state.lock():
        state.write_snapshot(SNAPSHOT)
        state.write_wish("iris", "blue", ScaleWish(3, 1))
        state.note_drained("blue-1")
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
    place = RouterPlace(admin="http://127.0.0.1:9001", public="http://127.0.0.1:8080", pid=os.getpid())
    state.write_router(place)
    assert state.read_router() == place
    assert state.router_runs()


def test_a_router_that_died_without_a_word_does_not_run(tmp_path):
    state = StateDirectory(tmp_path)
    assert not state.router_runs()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    state.write_router(RouterPlace(admin="http://a", public="http://b", pid=ended.pid))
    assert not state.router_runs()
    (tmp_path / "router.json").write_text("{")
    assert not state.router_runs()


def test_a_router_that_starts_again_is_another_even_with_the_same_process_id(tmp_path):
    state = StateDirectory(tmp_path)
    place = RouterPlace(admin="http://a", public="http://b", pid=os.getpid())
    seen = []
    for _ in range(2):
        state.write_router(place)
        os.utime(tmp_path / "router.json", ns=(len(seen), len(seen)))
        seen.append(state.living_router())
    assert [router.place for router in seen] == [place, place]
    assert seen[0] != seen[1]


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
        state.write_router(RouterPlace(admin="http://a", public="http://b", pid=1))
