"""What does each router say of its own work, right now?

I/O: one HTTP request to each router process: to its port between instances, over TLS with certificates on both sides.
It is asked seldom, so no connection is kept. Who does not answer is left out, and nobody waits for it longer than
WITHIN_S.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from router.core.model import Instance, Routing
from router.platforms.instance_pages import Identify, InstancePages, UselessAnswer, why

WITHIN_S = 3.0
AT_ONCE = 16
"""Handshakes cost the autoscaler, too."""

log = logging.getLogger("scoregate.autoscaler")


class SelfFeed:
    """`ask` again and again. What is wrong with one is said once, and again when it changes."""

    def __init__(self, identify: Identify) -> None:
        self._identify = identify
        self._faults: dict[str, str] = {}

    async def ask(self, instances: Sequence[Instance]) -> dict[str, Routing]:
        """By instance id, those that answered."""
        turns = asyncio.Semaphore(AT_ONCE)
        answers = await asyncio.gather(*(self._asked(each, turns) for each in instances))
        present = {each.id for each in instances}
        self._faults = {instance: fault for instance, fault in self._faults.items() if instance in present}
        return {each.id: answer for each, answer in zip(instances, answers, strict=True) if answer is not None}

    async def _asked(self, instance: Instance, turns: asyncio.Semaphore) -> Routing | None:
        async with turns:
            try:
                async with asyncio.timeout(WITHIN_S):
                    routing = await self._fetch(instance)
            except Exception as error:
                fault = why(error)
                if self._faults.get(instance.id) != fault:
                    self._faults[instance.id] = fault
                    log.warning("router %s at %s does not tell of its work: %s", instance.id, instance.peer, fault)
                return None
        if self._faults.pop(instance.id, None) is not None:
            log.info("router %s tells of its work again", instance.id)
        return routing

    async def _fetch(self, instance: Instance) -> Routing:
        if not instance.peer:
            raise UselessAnswer("it has no port between instances")
        async with InstancePages(instance, self._identify) as pages:
            return (await pages.read("/routing", Routing)).said
