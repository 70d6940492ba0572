"""How does `kubectl get events` learn what happened to an endpoint?

I/O: a POST for each Event, best effort: one that can't be written, or is one too many, is lost. Nothing waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from router.core.rules import API_VERSION, KIND
from router.platforms.kubernetes.api import Api, ApiError
from router.platforms.kubernetes.cluster import Account
from router.platforms.kubernetes.leading.status import Event

AT_ONCE = 2
MOST_WAITING = 1_000
WITHIN_S = 5.0
_REPORTER = "scoregate"

log = logging.getLogger("scoregate.platform")


class EventWriter:
    """`run` it while this process leads."""

    def __init__(self, api: Api, *, leads: Callable[[], bool]) -> None:
        self._api = api
        self._leads = leads
        self._waiting: asyncio.Queue[tuple[Account, Event, datetime]] = asyncio.Queue(MOST_WAITING)
        self._refused: dict[str, str] = {}

    def tell(self, about: Account, events: Iterable[Event]) -> None:
        for event in events:
            if not self._waiting.full():
                self._waiting.put_nowait((about, event, calendar_now()))

    async def run(self) -> None:
        """Until it is cancelled. As many of these may run at once as Events are written at once."""
        while True:
            account, event, at = await self._waiting.get()
            if self._leads():
                await self._write(account, event, at)

    async def _write(self, account: Account, event: Event, at: datetime) -> None:
        namespace = account.namespace
        try:
            path = f"/api/v1/namespaces/{namespace}/events"
            await self._api.write("POST", path, _event(account, event, at), within_s=WITHIN_S)
        except ApiError as error:
            if self._refused.get(namespace) != error.what:
                log.warning("Events in namespace %s can't be written, and are lost: %s", namespace, error)
            self._refused[namespace] = error.what
        else:
            self._refused.pop(namespace, None)


def calendar_now() -> datetime:
    """For what people read; nothing is decided by it."""
    return datetime.fromtimestamp(time.time(), UTC)  # noqa: TID251 - an Event's time is the calendar's


def _event(account: Account, event: Event, at: datetime) -> dict[str, object]:
    moment = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {"namespace": account.namespace, "name": account.name, "uid": account.uid}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{account.name}.", "namespace": account.namespace},
        "involvedObject": {"apiVersion": API_VERSION, "kind": KIND, **about},
        "type": event.type,
        "reason": event.reason,
        "message": event.message,
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "source": {"component": _REPORTER},
        "reportingComponent": _REPORTER,
    }
