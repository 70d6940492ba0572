"""How busy are the routers right now, by their own word?

I/O: HTTP to each router instance: to its port between instances, over TLS with certificates on both sides; to its
internal port where it has none. One task for each asks for `/load` again and again; the router holds the answer back
for a period, or gives it at once when a queue forms. Whatever one of them does, the others are asked as before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from router.core.model import Instance, Load
from router.platforms.instance_pages import Identify, InstancePages, why

GAP_S = 0.1
"""At least so long from one question to the next: ten reports a second, however often a queue forms."""
PATIENCE_S = 2.0
"""For an answer, beyond the time for which it was asked to be held back."""
SEQUENCE = "x-scoregate-load-seq"
"""The reply's header that says which state of the queues it tells; sent back as `since`."""

Deliver = Callable[[str, list[Load], float], None]
"""Instance id, its load of every deployment, the loop's time of the report."""

log = logging.getLogger("scoregate.autoscaler")


class Feed:
    """`follow` the instances there are, `close` it in the end."""

    def __init__(self, deliver: Deliver, identify: Identify) -> None:
        self._deliver = deliver
        self._identify = identify
        self._period_s = 1.0
        self._asking: dict[Instance, asyncio.Task[None]] = {}

    def follow(self, instances: Iterable[Instance], period_s: float) -> None:
        """From now on these are asked, for a report every period at least; those that left are not any more. Who begins
        or ceases to take requests is asked on as before."""
        self._period_s = period_s
        present = {replace(instance, serves=True) for instance in instances}
        for instance in self._asking.keys() - present:
            self._asking.pop(instance).cancel()
        for instance in present - self._asking.keys():
            self._asking[instance] = asyncio.create_task(self._ask(instance), name=f"feed of {instance.id}")

    async def close(self) -> None:
        tasks = list(self._asking.values())
        self._asking.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, instance: Instance) -> None:
        """Until it is cancelled. What is wrong is said once, and again when it changes."""
        loop = asyncio.get_running_loop()
        since: str | None = None
        fault = ""
        async with InstancePages(instance, self._identify) as pages:
            while True:
                asked_s = loop.time()
                try:
                    await pages.open()
                    asked_s = loop.time()
                    loads, since = await self._fetch(pages, since)
                    self._deliver(instance.id, loads, loop.time())
                    pause_s = GAP_S if since is not None else self._period_s
                    if fault:
                        log.info("router %s reports its load again", instance.id)
                    fault = ""
                except Exception as error:
                    since, pause_s = None, self._period_s
                    await pages.close()  # the next one may have to be another's: who belongs together can change
                    if fault != (fault := why(error)):
                        where = instance.peer or instance.admin
                        log.warning("router %s at %s does not report its load: %s", instance.id, where, fault)
                await asyncio.sleep(asked_s + pause_s - loop.time())

    async def _fetch(self, pages: InstancePages, since: str | None) -> tuple[list[Load], str | None]:
        """Its loads, and what to send back as `since`; None of a router that answers at once, whatever it is asked."""
        wait_s = 0.0 if since is None else self._period_s
        params = {"scope": "instance"}  # its internal port would add up what all instances have
        params |= {} if since is None else {"wait_ms": str(round(wait_s * 1000)), "since": since}
        async with asyncio.timeout(wait_s + PATIENCE_S):
            loads, headers = await pages.read("/load", list[Load], params)
        return loads, headers.get(SEQUENCE)
