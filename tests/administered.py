"""Which router does a test administer?

I/O: loopback sockets, a state directory of the test's. The real parts, put together as the server does it, before a
platform in memory: what is changed there comes back as a snapshot, and counts for the next request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from click.testing import Result
from starlette.applications import Starlette

from router.administration import Desk, error_pages
from router.administration.access import Access
from router.administration.parts import Parts
from router.app import Router
from router.core.keys import Keys
from router.core.loads import Gathered
from router.core.model import Addresses, Deployment, Endpoint, Replica, RequestSettings, ScaleSettings, Snapshot
from router.core.sharing import Sharing
from router.core.tally import Memory
from router.fleet import Fleet
from router.forwarding import Forwarding
from router.gate import Gate
from router.platforms.local.state import StateDirectory
from router.platforms.memory import MemoryPlatform
from router.tokens.issuers import Issuers
from router.tokens.own import OwnTokens
from router.tokens.revocations import Revocations
from router.upstream import Upstream
from tests.command_line import failed, run
from tests.models import PATIENCE_S, Model, served
from tests.places import a_place

ADMIN_KEY = "admin-key-of-the-tests"
KEYS = Keys("primary-key-of-iris", "secondary-key-of-iris")


def iris(**settings: object) -> Endpoint:
    """With the deployments blue, which scales, and green, which gets nothing; by keys and by tokens."""
    request = RequestSettings(request_timeout_ms=60_000, max_queue_wait_ms=60_000)
    workload, scale = Addresses(("127.0.0.1:5001",)), ScaleSettings(min_instances=1, max_instances=5)
    blue = Deployment(endpoint="iris", name="blue", workload=workload, request=request, scale=scale)
    green = Deployment(endpoint="iris", name="green", workload=workload, request=request)
    shape = {"auth_mode": "key", "also_accepts": ("token",), "keys": KEYS.hashes, **settings}
    return Endpoint(name="iris", weights=(("blue", 100), ("green", 0)), deployments=(blue, green), **shape)  # type: ignore[arg-type]


def replica(name: str, port: int) -> Replica:
    return Replica(uid=f"iris/{name}#1", deployment=f"iris/{name}", host="127.0.0.1", port=port, ready=True)


class Administered:
    """`scoring` and `internal` are its URLs, once it is served; `state_dir` says them to who looks there."""

    def __init__(self, snapshot: Snapshot, folder: Path) -> None:
        self.platform = MemoryPlatform(snapshot)
        self.administration = self.platform.administration
        self.administration.kept["iris"] = KEYS
        self.state_dir = folder
        self.scoring = self.internal = ""
        self._upstream = Upstream(connect_timeout_ms=5_000, idle_ms=1_500)
        self._fleet = Fleet(self._upstream, Memory(), Sharing("here", lambda: None))
        vault, clock = self.administration.vault, time.time  # noqa: TID251 - as the server has it
        self._revocations = Revocations(vault, clock)
        self._own = OwnTokens(vault, self._revocations, clock)
        self._issuers = Issuers()
        self._access = Access(vault)
        self._gate = Gate(self._own, self._issuers, self._revocations, clock, Memory())
        desk = Desk(Parts(self, self.administration, self._own, self._revocations), self._access, clock)
        self.app = Router(self._fleet, self._gate, self._upstream, Forwarding(()), None)
        self.admin_app = Starlette(routes=desk.routes(), exception_handlers=error_pages())

    @property
    def snapshot(self) -> Snapshot:
        return self.platform.snapshot

    async def load_of_all(self) -> Gathered:
        return Gathered(self._fleet.loads(), 1, 1)

    async def run(self, *words: object, input_: str | None = None, **env: str) -> Result:
        """A command that finds the router by its state directory. In a thread: this one serves it."""
        return await asyncio.to_thread(run, *words, "--state-dir", self.state_dir, input_=input_, **env)

    async def printed(self, *words: object, **env: str) -> str:
        """Standard output of one that does not fail."""
        result = await self.run(*words, **env)
        assert result.exit_code == 0, result.output
        return result.stdout

    async def failed(self, *words: object, **env: str) -> str:
        return await asyncio.to_thread(failed, *words, "--state-dir", self.state_dir, **env)

    async def follow(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for part in (self._access, self._revocations, self._own):
                tasks.create_task(part.run())
            async for snapshot in self.platform.watch():
                self._fleet.follow(snapshot)
                self._gate.follow(snapshot.endpoints)

    async def known(self) -> None:
        """Until it can sign and knows who administers it."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._own.signing_keys():  # noqa: ASYNC110 - several parts have to find each other
                await asyncio.sleep(0.002)

    async def close(self) -> None:
        self._upstream.close()
        await self._issuers.close()
        for live in self._fleet.live.values():
            live.admission.close()


@asynccontextmanager
async def administered(folder: Path, **models: Model) -> AsyncIterator[Administered]:
    """A router for `iris`, with one replica for each of the models `blue` and `green`."""
    async with AsyncExitStack() as stack:
        ports = {name: await stack.enter_async_context(served(model)) for name, model in models.items()}
        replicas = tuple(replica(name, port) for name, port in ports.items())
        one = Administered(Snapshot(endpoints=(iris(),), replicas=replicas), folder)
        await one.administration.vault.write("admin-key", ADMIN_KEY.encode(), None)
        following = asyncio.create_task(one.follow())
        try:
            await one.known()
            one.scoring = f"http://127.0.0.1:{await stack.enter_async_context(served(one.app))}"
            one.internal = f"http://127.0.0.1:{await stack.enter_async_context(served(one.admin_app))}"
            StateDirectory(folder).write_router(a_place(one.internal, one.scoring))
            (folder / "vault").mkdir()
            (folder / "vault" / "admin-key").write_text(ADMIN_KEY)
            yield one
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            for model in models.values():
                model.gate.set()
            await one.close()
