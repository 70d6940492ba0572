"""instances.py: who lives here is followed, and read only when somebody comes or goes."""

import asyncio
import errno
import os
import sys

import pytest

from router.platforms.local import instances
from router.platforms.local.instances import LivingInstances
from router.platforms.local.state import StateDirectory
from tests.models import until
from tests.places import a_place


class Counting(StateDirectory):
    reads = 0

    def routers(self):
        self.reads += 1
        return super().routers()


async def test_files_are_read_when_one_comes_or_goes_and_a_death_is_seen_without(tmp_path):
    state = Counting(tmp_path)
    living = LivingInstances(state)
    sleeping = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(600)")
    assert (living.look(), state.reads) == ((), 0)
    state.write_router(a_place("http://b", id="b", pid=sleeping.pid))
    state.write_router(a_place("http://a", id="a", index=7))
    for _ in range(3):
        assert [(each.id, each.admin) for each in living.look()] == [("a", "http://a"), ("b", "http://b")]
    assert state.reads == 1
    sleeping.kill()
    await sleeping.wait()
    assert [each.id for each in living.look()] == ["a"]
    assert state.reads == 1
    state.remove_router("a")
    assert (living.look(), state.reads) == ((), 2)


async def test_as_long_as_nothing_happens_the_answer_is_the_same_object(tmp_path):
    state = StateDirectory(tmp_path)
    living = LivingInstances(state)
    state.write_router(a_place(id="a"))
    before = living.look()
    assert living.look() is before
    state.write_router(a_place(id="a"))
    assert living.look() is before, "it was written again, and says the same"
    state.write_router(a_place(id="a", admin="http://other"))
    assert [each.admin for each in living.look()] == ["http://other"]


async def test_that_one_has_ended_is_told_once_and_of_nobody_who_is_followed_no_more(tmp_path):
    state, told = StateDirectory(tmp_path), []
    living = LivingInstances(state, lambda: told.append([each.id for each in living.look()]))
    command = (sys.executable, "-c", "import time; time.sleep(600)")
    first, second, third = [await asyncio.create_subprocess_exec(*command) for _ in range(3)]
    for name, process in (("a", first), ("b", second)):
        state.write_router(a_place(id=name, pid=process.pid))
        living.look()
    first.kill()
    await until(lambda: told == [["b"]])
    state.remove_router("b")
    state.write_router(a_place(id="c", pid=third.pid))
    assert [each.id for each in living.look()] == ["c"]
    second.kill()
    await asyncio.gather(first.wait(), second.wait())
    living.close()
    third.kill()
    await third.wait()
    await asyncio.sleep(0.05)
    assert told == [["b"]]
    assert living.look() == ()
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        state.write_router(a_place(id="d"))
        living.look()
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 1
    living.close()


async def test_what_can_not_be_looked_at_once_is_seen_at_the_next_look(tmp_path, monkeypatch):
    state = StateDirectory(tmp_path)
    living = LivingInstances(state, lambda: None)
    state.write_router(a_place(id="a"))
    assert [each.id for each in living.look()] == ["a"]
    state.write_router(a_place(id="b"))

    def refused(*_):
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(instances, "Process", refused)
        with pytest.raises(OSError, match="too many"):
            living.look()
    assert [each.id for each in living.look()] == ["a", "b"]
    living.close()
