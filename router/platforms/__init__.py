"""Where do endpoints and replicas come from, and how does their number change?

I/O: none itself. A platform is anything with these methods; the router and the autoscaler know no other difference
between a cluster and one machine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from router.core.model import Snapshot

if TYPE_CHECKING:
    from router.platforms.administration import Administration
    from router.platforms.sizing import RouterSizing


class PlatformError(Exception):
    """The platform can't be used as it was asked to; the message says what to do about it."""


class Standing(NamedTuple):
    """How far a platform can be believed."""

    behind_s: float
    """So long ago it was last proven up to date; 0 while nothing is known to be wrong."""
    reason: str
    """What is wrong, for an operator; "" while nothing is."""


UP_TO_DATE = Standing(0.0, "")


class ClusterSettings(NamedTuple):
    """What a process looks at in a cluster."""

    namespaces: tuple[str, ...] = ()
    """Those whose endpoints are served; none named: all."""
    home: str | None = None
    """Where the routers run, and the autoscalers' Lease is; None: this process's own namespace."""
    adopt_v1: bool = True
    """Whether workloads of Azure ML's v1 are endpoints without a resource that says so."""
    vault: str = "scoregate-vault"
    """The Secret with the installation's own secrets, where the routers run."""
    router_deployment: str = "scoregate-router"
    """The Deployment of the routers, where they run."""
    pod: str = ""
    """The name of this process's own Pod, where the routers run; "" for the host's name, which it is by default."""


class Worker(NamedTuple):
    """Which of a Pod's router processes this is."""

    number: int
    state_dir: Path


class Platform(Protocol):
    """`async with` it, then follow `watch()`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def watch(self) -> AsyncIterator[Snapshot]:
        """Whole snapshots, the first as soon as one is known, then one after each change. Never ends by itself."""

    async def scale(self, endpoint: str, deployment: str, replicas: int, leave_first: Sequence[str] = ()) -> None:
        """Ask for that many replicas; returns once the wish is recorded, not once it is met.

        Where the deployment has scale settings, their bounds count. `leave_first`: uids in the order in which these
        replicas should leave when the number falls; those that are not ready go before them.
        Raises PlatformError for an unknown deployment, a negative count, or a platform that can't scale.
        """

    def leadership(self) -> AsyncIterator[bool]:
        """Whether this process may scale: its first word at once, then one after each change. Never ends by itself.

        At no moment may two. Who closes the iterator, or ends, lets another lead.
        Raises PlatformError where nothing can be scaled.
        """

    async def drained(self, uid: str) -> None:
        """A leaving replica has no request of this router in flight any more. It may be stopped once each router that
        lives has said so; one that starts after it left says so at once, and one that dies without a word is not
        waited for."""

    @property
    def own_instance(self) -> str:
        """The id of this process in `Snapshot.instances`, where it is or will be one of them; "" while the platform
        can't tell. Ask anew with each snapshot: in a cluster, a restart is known only some time after it."""

    def standing(self) -> Standing:
        """How far the last snapshot can be believed right now. Who follows goes on with it, and says so."""

    def note_utilization(self, ratios: Mapping[str, float]) -> None:
        """What the autoscaler sees, by deployment key: (in flight + queued) / (replicas x concurrency). A platform
        that has a place to show it does."""

    @property
    def administration(self) -> Administration:
        """What an administrator may do. Only while the platform is entered."""

    @property
    def sizing(self) -> RouterSizing:
        """How many routers there are to be. Only while the platform is entered."""


PLATFORMS = ("local", "static", "kubernetes")


def open_platform(
    name: str,
    *,
    file: Path | None,
    state_dir: Path,
    cluster: ClusterSettings | None = None,
    scaling: bool = False,
    worker: int | None = None,
) -> Platform:
    """`local` follows the supervisor of a state directory; `static` serves the fixed addresses in `file`;
    `kubernetes` follows the API server of a cluster. `scaling`: to scale, too; it takes more rights in a cluster.
    `worker`: the number of this router process among those of its machine or Pod; None where it is no router.
    """
    if name == "static":
        from router.platforms.static import StaticPlatform

        if file is None:
            raise PlatformError("the static platform needs an endpoints file: --file FILE")
        return StaticPlatform(file, state_dir)
    if name == "local":
        from router.platforms.local import LocalPlatform

        return LocalPlatform(state_dir)
    if name == "kubernetes":
        from router.platforms.kubernetes import KubernetesPlatform

        own = None if worker is None else Worker(worker, state_dir)
        return KubernetesPlatform(cluster or ClusterSettings(), own, scaling=scaling)
    raise PlatformError(f"there is no platform {name}: {', '.join(PLATFORMS)} are known")
