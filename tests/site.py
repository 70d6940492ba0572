"""Where does a request of a test wait for a slot?

I/O: timers and futures of the event loop only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from router.admission import Admission
from router.core.dispatch import Permit
from router.core.model import Replica
from router.core.sharing import Sharing
from router.pressure import Pressure
from tests.core.nouns import a_deployment
from tests.virtual_time import settle


class Site:
    """One deployment, with 500 ms of queue wait and 60 s of cold start wait where a test says nothing else."""

    def __init__(self, replicas: Iterable[Replica] = (), *, min_instances: int | None = 0, **settings: int) -> None:
        self.noun = a_deployment(min_instances=min_instances, **settings)
        self.pressure = Pressure()
        self.admission = Admission(self.noun, self.pressure, Sharing("here", lambda: None))
        self.dispatcher = self.admission.dispatcher
        self.shown(replicas)

    def shown(self, replicas: Iterable[Replica] = (), trouble: str | None = None) -> None:
        self.admission.update(self.noun, replicas, trouble)

    async def slot(self, *avoid: str) -> Permit:
        got = self.admission.acquire(frozenset(avoid))
        return got if isinstance(got, Permit) else await self.admission.wait(got)

    async def waiting(self, count: int = 1) -> list[asyncio.Task[Permit]]:
        tasks = [asyncio.create_task(self.slot()) for _ in range(count)]
        await settle()
        return tasks
