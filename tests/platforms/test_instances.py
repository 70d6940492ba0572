"""instances.py: who lives here is followed, and read only when somebody comes or goes."""

import asyncio
import sys

from router.platforms.local.instances import LivingInstances
from router.platforms.local.state import StateDirectory
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
