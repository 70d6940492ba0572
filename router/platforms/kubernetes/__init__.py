"""How does a cluster tell what to serve, and how is it told how much of it there should be?

I/O: the API server. Each collection of objects is followed (following.py) into one picture of the cluster (cluster.py),
and every change of the picture is a snapshot. Who scales writes, too: the number of replicas, and, while it leads,
status and Secrets of keys. What administrators change is in administration.py.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Any, Self

from router.core.model import Deployment, Snapshot
from router.platforms import UP_TO_DATE, ClusterSettings, PlatformError, Standing, Worker
from router.platforms.kubernetes.administration import KubernetesAdministration
from router.platforms.kubernetes.api import Api
from router.platforms.kubernetes.cluster import Cluster
from router.platforms.kubernetes.following import Collection, Following
from router.platforms.kubernetes.keys_secret import KEYS_TYPE, KeysSecret
from router.platforms.kubernetes.leading.leader import Leader
from router.platforms.kubernetes.leading.own_size import DeploymentSizing
from router.platforms.kubernetes.leading.reporting import Reporter
from router.platforms.kubernetes.leading.scaling import order_leaving, scale
from router.platforms.kubernetes.objects import MAX_WORKERS, Autoscaler, EndpointObject, Pod, Workload
from router.platforms.kubernetes.picture.routers import NO_POD, OwnPod
from router.platforms.kubernetes.vault import SecretVault
from router.platforms.peer_socket import peer_socket

LEASE = "scoregate-autoscaler"
ROUTERS = "app.kubernetes.io/name=scoregate,app.kubernetes.io/component=router"
"""The labels of router Pods, in the namespace where they run."""
KNOWN_WITHIN_S = 10.0
_NOTHING = Snapshot()
_LOOK_S = 0.05
NAMED = 10
"""At most so many of the collections that are waited for."""
REST_TO_WORK = 4
"""Snapshots are made at once, but for so many times as long as the last one took none is: in a cluster with ten
thousand Pods a rolling update changes them all the time."""

log = logging.getLogger("scoregate.platform")


class KubernetesPlatform:
    """Entering raises PlatformError where there is no way to an API server; one that does not answer is waited for."""

    def __init__(self, settings: ClusterSettings, worker: Worker | None = None, *, scaling: bool = False) -> None:
        """`worker`: which router process this is; None where it is none."""
        self._settings = settings
        self._worker = worker
        self._scaling = scaling
        self._snapshot: Snapshot | None = None
        """None until every collection is known: half a picture would look as if endpoints were gone."""
        self._changed = asyncio.Event()
        self._utilization: Mapping[str, float] = {}
        self._followings: list[Following[Any]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._leader: Leader | None = None
        self._next_snapshot: asyncio.TimerHandle | None = None
        self._rest_ends_s = 0.0
        self._left_out: set[str] = set()
        self._routers: Following[Pod] | None = None

    async def __aenter__(self) -> Self:
        self._api = await Api.open()
        self._home = self._settings.home or self._api.namespace
        self._cluster = Cluster(self._settings, self._own_pod())
        vault = SecretVault(self._api, self._home, self._settings.vault, self._start)
        self._administration = KubernetesAdministration(self._api, self._cluster, self, vault, self._home)
        self._sizing = DeploymentSizing(self._api, self._home, self._settings.router_deployment, self._leads)
        self._followings = list(self._all_followings())
        for following in self._followings:
            self._start(following.run())
        self._start(self._wait_for_all())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._next_snapshot is not None:
            self._next_snapshot.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._api.__aexit__(kind, error, trace)

    async def watch(self) -> AsyncIterator[Snapshot]:
        """Each time the newest: one who is slow misses those between."""
        told: Snapshot | None = None
        while True:
            changed = self._changed
            if self._snapshot is not None and self._snapshot != told:
                told = self._snapshot
                yield told
            await changed.wait()

    async def scale(self, endpoint: str, deployment: str, replicas: int, leave_first: Sequence[str] = ()) -> None:
        key = f"{endpoint}/{deployment}"
        if replicas < 0:
            raise PlatformError(f"{key} can't have {replicas} replicas: 0 is the fewest")
        await self.known()
        deployment_noun, workload = self._deployment(key), self._cluster.scalable(key)
        if deployment_noun is None or workload is None:
            raise PlatformError(f"there is no deployment {key} to scale: {self._known()}")
        leads = self._leads
        wished = deployment_noun.allowed(replicas) if deployment_noun.scale is not None else replicas
        leaving = self.snapshot.wished.get(key, 0) - wished
        if leaving > 0:
            pods = self._cluster.pods_of(key)
            await order_leaving(self._api, workload, pods, leave_first, leaving, leads=leads)
        await scale(self._api, workload, wished, leads=leads)

    async def leadership(self) -> AsyncIterator[bool]:
        """Raises PlatformError for a platform that was opened to serve alone."""
        if not self._scaling:
            raise PlatformError("this process follows the cluster to serve, and has no right to scale")
        self._leader = Leader(self._api, self._home, LEASE, _identity())
        reporting: asyncio.Task[None] | None = None
        try:
            async with aclosing(self._leader.follow()) as changes:
                async for leads in changes:
                    if leads and reporting is None:
                        reporting = self._start(self._report(self._leader.leads))
                    elif not leads and reporting is not None:
                        reporting.cancel()
                        reporting = None
                    yield leads
        finally:
            if reporting is not None:
                reporting.cancel()

    async def drained(self, uid: str) -> None:
        """A Pod that is deleted has its grace period, whatever the routers say."""

    def standing(self) -> Standing:
        """Of the collection that has been out of reach for longest; until all are known, which ones are not, too."""
        now = asyncio.get_running_loop().time()
        behind = [each for each in (following.standing(now) for following in self._followings) if each.reason]
        if not behind and self._snapshot is not None:
            return UP_TO_DATE
        worst = max(behind, key=lambda standing: standing.behind_s, default=UP_TO_DATE)
        others = f" (and {len(behind) - 1} more)" if behind[1:] else ""
        reasons = (worst.reason + others, _waits_for(self._followings))
        return Standing(worst.behind_s, "; ".join(filter(None, reasons)))

    def note_utilization(self, ratios: Mapping[str, float]) -> None:
        self._utilization = ratios

    @property
    def own_instance(self) -> str:
        return "" if self._worker is None else self._cluster.routers.own_id(self._worker.number)

    @property
    def administration(self) -> KubernetesAdministration:
        return self._administration

    @property
    def sizing(self) -> DeploymentSizing:
        return self._sizing

    @property
    def snapshot(self) -> Snapshot:
        """The newest; an empty one while none is known."""
        return self._snapshot or _NOTHING

    async def known(self) -> None:
        """Raises PlatformError when the cluster does not say within KNOWN_WITHIN_S what there is."""
        try:
            async with asyncio.timeout(KNOWN_WITHIN_S):
                await self._first_snapshot()
        except TimeoutError:
            why = self.standing().reason or "the API server has not told all of it yet"
            raise PlatformError(f"the cluster is not known: {why}") from None

    async def until(self, holds: Callable[[Snapshot], bool]) -> None:
        """Until the newest snapshot is so, which may be never."""
        while not holds(self.snapshot):
            await self._changed.wait()

    # -- what is followed ------------------------------------------------------------------------------------

    def _all_followings(self) -> Iterator[Following[Any]]:
        cluster, follow = self._cluster, self._following
        for scope in self._scopes():
            yield follow(
                Collection(f"/apis/scoregate.io/v1{scope}/inferenceendpoints", EndpointObject, optional=True),
                cluster.endpoint,
            )
            yield follow(Collection(f"/api/v1{scope}/pods", Pod), cluster.pod)
            for kind in ("Deployment", "StatefulSet"):
                path = f"/apis/apps/v1{scope}/{kind.lower()}s"
                yield follow(Collection(path, Workload), partial(cluster.workload, kind))
            keys = Collection(f"/api/v1{scope}/secrets", KeysSecret, field_selector=f"type={KEYS_TYPE}")
            yield follow(keys, cluster.secret)
            if self._scaling:
                path = f"/apis/autoscaling/v1{scope}/horizontalpodautoscalers"
                yield follow(Collection(path, Autoscaler), cluster.autoscaler)
        routers = Collection(f"/api/v1/namespaces/{self._home}/pods", Pod, label_selector=ROUTERS)
        self._routers = follow(routers, cluster.routers.put)
        yield self._routers

    def _scopes(self) -> list[str]:
        """What stands before the plural in the paths: nothing for all namespaces, or one for each that is named."""
        return [f"/namespaces/{namespace}" for namespace in self._settings.namespaces] or [""]

    def _following(self, collection: Collection[Any], tell: Callable[[str, Any], None]) -> Following[Any]:
        def changed(key: str, noun: Any) -> None:
            tell(key, noun)
            self._is_due()

        return Following(self._api, collection, changed, chance=random.random)

    def _is_due(self) -> None:
        """Something changed: a snapshot follows, once for all that changes in the same turn of the loop."""
        loop = asyncio.get_running_loop()
        if self._next_snapshot is None and all(self._is_known(each, loop.time()) for each in self._followings):
            self._next_snapshot = loop.call_at(max(loop.time(), self._rest_ends_s), self._publish)

    def _is_known(self, following: Following[Any], now: float) -> bool:
        """A router that may not see the others serves alone, and says so: `standing`."""
        alone = following is self._routers and not self._scaling and following.standing(now).reason
        return following.synced or bool(alone)

    def _publish(self) -> None:
        loop = asyncio.get_running_loop()
        self._next_snapshot = None
        began_s = loop.time()
        self._snapshot = self._cluster.snapshot()
        self._say_what_is_left_out()
        self._changed.set()
        self._changed = asyncio.Event()
        self._rest_ends_s = loop.time() + REST_TO_WORK * (loop.time() - began_s)

    # -- inside ----------------------------------------------------------------------------------------------

    async def _wait_for_all(self) -> None:
        """The last collection may be empty: then there is no change that says that it is known."""
        while self._snapshot is None:
            self._is_due()
            await asyncio.sleep(_LOOK_S)

    async def _first_snapshot(self) -> None:
        while self._snapshot is None:
            await self._changed.wait()

    def _leads(self) -> bool:
        """Who scales without having asked to lead is a person's command."""
        return self._leader is None or self._leader.leads()

    async def _report(self, leads: Callable[[], bool]) -> None:
        await self._first_snapshot()
        await Reporter(self._api, self._cluster, lambda: self._utilization, leads=leads).run()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _own_pod(self) -> OwnPod:
        if self._worker is None:
            return NO_POD
        sockets = (peer_socket(self._worker.state_dir, str(index)) for index in range(MAX_WORKERS))
        return OwnPod(f"{self._home}/{self._settings.pod or socket.gethostname()}", tuple(sockets))

    def _deployment(self, key: str) -> Deployment | None:
        name = key.partition("/")[0]
        endpoint = next((each for each in self.snapshot.endpoints if each.name == name), None)
        return next((each for each in endpoint.deployments if each.key == key), None) if endpoint is not None else None

    def _say_what_is_left_out(self) -> None:
        """Each once: there is no object of ours, or no condition of it, that could say it."""
        left_out = set(self._cluster.left_out())
        for why in sorted(left_out - self._left_out):
            log.warning("%s", why)
        self._left_out = left_out

    def _known(self) -> str:
        keys = [each.key for endpoint in self.snapshot.endpoints for each in endpoint.deployments]
        return f"known are {', '.join(sorted(keys)[:20])}" if keys else "none is known"


def _waits_for(followings: Sequence[Following[Any]]) -> str:
    names = [following.name for following in followings if not following.synced]
    more = f" and {len(names) - NAMED} more" if names[NAMED:] else ""
    return f"waiting for the first list of {', '.join(names[:NAMED])}{more}" if names else ""


def _identity() -> str:
    """Of this process among those that would lead; says to a person which Pod it is."""
    return os.environ.get("POD_NAME") or socket.gethostname()
