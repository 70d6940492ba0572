"""Where do requests ask for a slot that several instances share?

I/O: unix sockets below a folder of its own. On virtual time: real admissions, real connections between them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from router.admission import Admission
from router.core.dispatch import Permit
from router.core.model import Deployment
from router.pressure import Pressure
from tests.core.nouns import a_deployment, replicas_of
from tests.peers.company import Company, Member, company_of

KEY = "iris/blue"


@asynccontextmanager
async def company_here(*places: str) -> AsyncIterator[Company]:
    """The folder's path is short: a unix socket's must be."""
    with TemporaryDirectory(prefix="sg-") as folder:
        async with company_of(Path(folder), *places) as company:
            yield company


class Desk:
    """One instance, and how requests that come to it fare."""

    def __init__(self, member: Member, deployment: Deployment) -> None:
        self.member = member
        self.admission = Admission(deployment, Pressure(), member.peers.sharing)

    async def slot(self, *avoid: str) -> Permit:
        got = self.admission.acquire(frozenset(avoid))
        return got if isinstance(got, Permit) else await self.admission.wait(got)

    def asked(self, *avoid: str) -> asyncio.Task[Permit]:
        return asyncio.create_task(self.slot(*avoid))

    @property
    def owns(self) -> bool:
        return self.member.peers.sharing.owned_by()[self.member.name] > 0

    @property
    def books(self) -> tuple[int, int, int]:
        dispatcher = self.admission.dispatcher
        return dispatcher.in_flight, dispatcher.queued, len(self.admission._waiting)

    @property
    def lent(self) -> tuple[int, int]:
        """Permits that are out, and asks that wait, as the owner has them."""
        lender = self.member.peers.sharing._deployments[KEY].lender
        assert lender is not None
        return lender.dispatcher.in_flight, lender.dispatcher.queued


class Shop:
    """All of them."""

    def __init__(self, company: Company, deployment: Deployment) -> None:
        self.company = company
        self.desks = [Desk(member, deployment) for member in company.members.values()]

    def show(self, deployment: Deployment, uids: str, trouble: str | None = None) -> None:
        """A snapshot, to all."""
        for desk in self.desks:
            desk.admission.update(deployment, replicas_of(uids), trouble)

    @property
    def owner(self) -> Desk:
        (owner,) = [desk for desk in self.desks if desk.owns]
        return owner

    @property
    def other(self) -> Desk:
        return next(desk for desk in self.desks if not desk.owns)

    async def until_idle(self) -> None:
        """What nobody uses goes back within a few seconds; then nothing is left anywhere."""
        await asyncio.sleep(5.05)
        assert all(desk.books == (0, 0, 0) for desk in self.desks)
        assert self.owner.lent == (0, 0)


@asynccontextmanager
async def shop_of(uids: str, places: str = "ab", concurrency: int = 1, **settings: int) -> AsyncIterator[Shop]:
    deployment = a_deployment(concurrency=concurrency, **settings)
    async with company_here(*places) as company:
        shop = Shop(company, deployment)
        shop.show(deployment, uids)
        await asyncio.sleep(1.0)
        yield shop
        for desk in shop.desks:
            desk.admission.close()
