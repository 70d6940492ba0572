"""Which Pods does each deployment have, and what keeps it from more?

Pure. Pods and deployments come and go one at a time; what a Pod does not concern stays the object that it was. A Pod
is a replica from the moment it has a place to run until it is gone or has finished; before it has an address its
host is "", which nobody asks for, since it is not ready either. One that can't be placed is none: nothing of it runs.

Several deployments may choose one Pod. It is a replica of each: of the first by key under its own uid, of every other
under `uid@key`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Set

from msgspec import Struct
from msgspec.structs import replace

from router.core.model import Replica, Trouble
from router.platforms.kubernetes.objects import ContainerStatus, LabelSelector, Pod, shortened
from router.platforms.kubernetes.picture.selectors import Selection

FINISHED = ("Succeeded", "Failed")
CANT_START = frozenset(
    (
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    )
)
"""What a container waits for that starts only once somebody mends it."""

CRASHES = 2
"""A container that was started anew so often, and ended soon, won't start by itself, though it runs for a moment each
time: what it waits for says so only between those."""
SOON_S = 600.0
"""Kubelets, too, take it for well when it has run for so long."""


class Member(Struct, frozen=True, kw_only=True, gc=False):
    """What is kept of a Pod. `uid` is its replica's."""

    uid: str
    namespace: str
    name: str
    created: str
    host: str
    ready: bool
    leaving: bool
    """Is being deleted."""
    drained: bool
    """Somebody took it out by hand; it stays."""
    annotations: dict[str, str]
    unplaced: str = ""
    """Why it can't be placed."""
    failing: str = ""
    """Why it can't start."""

    def replica(self, key: str, port: int, *, shared: bool) -> Replica:
        """`shared`: another deployment has it under its own uid."""
        uid = f"{self.uid}@{key}" if shared else self.uid
        leaving = self.leaving or self.drained
        return Replica(uid=uid, deployment=key, host=self.host, port=port, ready=self.ready, leaving=leaving)


def pod_uid(replica: str) -> str:
    """The Pod's own, of its replica's uid."""
    return replica.partition("@")[0]


def member_of(pod: Pod) -> Member | None:
    """None for one that has finished."""
    if pod.status.phase in FINISHED:
        return None
    leaving = pod.metadata.deletion_timestamp is not None
    return Member(
        uid=pod.metadata.uid,
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        created=pod.metadata.creation_timestamp or "",
        host=pod.status.pod_ip,
        ready=pod.takes_requests,
        leaving=leaving,
        drained=pod.is_drained,
        annotations=pod.metadata.annotations,
        unplaced="" if leaving else _unplaced(pod),
        failing="" if leaving else _failing(pod),
    )


def _unplaced(pod: Pod) -> str:
    scheduled = pod.condition("PodScheduled")
    if scheduled is None or scheduled.status != "False" or scheduled.reason != "Unschedulable":
        return ""
    return f"Pod {pod.metadata.name} can't be placed: {shortened(scheduled.message) or scheduled.reason}"


def _failing(pod: Pod) -> str:
    if pod.takes_requests:
        return ""
    for container in _containers(pod):
        if why := _cant_start(container) or _ends_soon(container):
            return f"container {container.name} of Pod {pod.metadata.name} can't start: {why}"
    return ""


def _cant_start(container: ContainerStatus) -> str:
    waiting = container.state.waiting
    if waiting is None or waiting.reason not in CANT_START:
        return ""
    return f"{waiting.reason}: {shortened(waiting.message)}" if waiting.message else waiting.reason


def _ends_soon(container: ContainerStatus) -> str:
    if container.ready or container.restart_count < CRASHES:
        return ""
    now = container.state.terminated
    last = now or container.last_state.terminated
    if last is None or (now is not None and now.exit_code == 0):
        return ""
    lasted_s = last.lasted_s
    if lasted_s is None or lasted_s >= SOON_S:
        return ""
    times = container.restart_count + (now is not None)
    return f"it has ended soon {times} times, last with {last.reason or 'Error'} (exit code {last.exit_code})"


def _containers(pod: Pod) -> Iterator[ContainerStatus]:
    yield from pod.status.init_container_statuses
    yield from pod.status.container_statuses


_Place = tuple[str, str, str]
"""Creation time, uid, name: the oldest Pod comes first."""


class Members:
    """The Pods of one deployment."""

    def __init__(self, key: str, port: int) -> None:
        self.key = key
        self.port = port
        self.replicas: tuple[Replica, ...] = ()
        self.troubles: tuple[Trouble, ...] = ()
        self._places: dict[str, _Place] = {}
        self._order: list[_Place] = []
        self._replicas: dict[_Place, Replica] = {}
        self._unplaced: dict[_Place, str] = {}
        self._failing: dict[_Place, str] = {}
        self._ready: set[_Place] = set()

    @property
    def pods(self) -> list[str]:
        """The oldest first."""
        return [pod for _, _, pod in self._order]

    def put(self, pod: str, member: Member | None, *, shared: bool = False) -> None:
        """`pod` is this now; None: no member any more."""
        place = None if member is None else (member.created, member.uid, pod)
        before = self._places.get(pod)
        if before is not None and before != place:
            del self._places[pod]
            del self._order[bisect_left(self._order, before)]
            self._note(before, None, shared=False)
        if place is not None:
            if before != place:
                self._places[pod] = place
                insort(self._order, place)
            self._note(place, member, shared=shared)

    def _note(self, place: _Place, member: Member | None, *, shared: bool) -> None:
        _set(self._unplaced, place, member.unplaced if member else "")
        _set(self._failing, place, member.failing if member else "")
        if member is not None and member.ready:
            self._ready.add(place)
        else:
            self._ready.discard(place)
        if member is None or member.unplaced:
            self._replicas.pop(place, None)
            return
        replica = member.replica(self.key, self.port, shared=shared)
        if replica != self._replicas.get(place):
            self._replicas[place] = replica

    def look(self) -> None:
        """Bring `replicas` and `troubles` up to what was put."""
        replicas = tuple([self._replicas[place] for place in self._order if place in self._replicas])
        if replicas != self.replicas:
            self.replicas = replicas
        troubles = tuple(self._found())
        if troubles != self.troubles:
            self.troubles = troubles

    def _found(self) -> Iterator[Trouble]:
        if self._unplaced:
            yield Trouble(deployment=self.key, kind="placement", reason=self._unplaced[min(self._unplaced)])
        if self._failing and not self._ready:
            yield Trouble(deployment=self.key, kind="start", reason=self._failing[min(self._failing)])


def _set(texts: dict[_Place, str], place: _Place, text: str) -> None:
    if text:
        texts[place] = text
    else:
        texts.pop(place, None)


class Membership:
    """All deployments that were declared, and all Pods."""

    def __init__(self) -> None:
        self._pods: dict[str, Member] = {}
        self._selection = Selection()
        self._deployments: dict[str, Members] = {}
        self._changed: set[str] = set()

    def pod(self, key: str, pod: Pod | None) -> None:
        """`key`: namespace/name."""
        member = None if pod is None else member_of(pod)
        if pod is None or member is None:
            gone = self._pods.pop(key, None)
            if gone is None:
                return
            concerned = self._selection.label(key, gone.namespace, None)
        else:
            is_same = self._pods.get(key) == member
            self._pods[key] = member
            concerned = self._selection.label(key, member.namespace, pod.metadata.labels)
            if is_same and not concerned:
                return
        self._tell(key, concerned)

    def choose(self, deployment: str, port: int, namespace: str, selector: LabelSelector | None) -> None:
        """Its replicas are those that the selector chooses; without one it has none."""
        members = self._deployments.get(deployment)
        concerned: set[str] = set()
        if members is None or members.port != port:
            self._deployments[deployment] = Members(deployment, port)
            self._changed.add(deployment)
            concerned = self._selection.choose(deployment, namespace, None)
        for pod in concerned | self._selection.choose(deployment, namespace, selector):
            self._tell_of(pod, deployment)

    def forget(self, deployment: str) -> None:
        """It is declared no more."""
        if self._deployments.pop(deployment, None) is not None:
            self._changed.discard(deployment)
            for pod in self._selection.choose(deployment, "", None):
                self._tell(pod, set())

    def look(self) -> None:
        """Bring every deployment up to date."""
        for deployment in self._changed:
            self._deployments[deployment].look()
        self._changed.clear()

    def of(self, deployment: str) -> Members:
        return self._deployments[deployment]

    def pods_of(self, deployment: str) -> list[Member]:
        """Those that stay, the oldest first, each under the uid of its replica; also those that can't be placed."""
        members = self._deployments.get(deployment)
        found = [(pod, self._pods[pod]) for pod in members.pods] if members is not None else []
        return [
            replace(member, uid=f"{member.uid}@{deployment}") if self._is_shared(pod, deployment) else member
            for pod, member in found
            if not member.leaving
        ]

    def _is_shared(self, pod: str, deployment: str) -> bool:
        return min(self._selection.chosen_by(pod)) != deployment

    def find(self, replica: str) -> Member | None:
        """The Pod of that replica. To be asked seldom: it looks at all of them."""
        uid = pod_uid(replica)
        return next((member for member in self._pods.values() if member.uid == uid), None)

    def _tell(self, pod: str, lost: Set[str]) -> None:
        """All that choose the Pod now, and those that may have lost it."""
        choosers = self._selection.chosen_by(pod)
        first = min(choosers, default="")
        for deployment in choosers | lost:
            self._put(pod, deployment, first, keeps=deployment in choosers)

    def _tell_of(self, pod: str, changed: str) -> None:
        """One of all that choose the Pod has changed its mind: that is news for it, and for the first of the others."""
        choosers = self._selection.chosen_by(pod)
        first = min(choosers, default="")
        self._put(pod, changed, first, keeps=changed in choosers)
        second = min((each for each in choosers if each != changed), default="")
        if second and changed <= second:
            self._put(pod, second, first, keeps=True)

    def _put(self, pod: str, deployment: str, first: str, *, keeps: bool) -> None:
        member = self._pods.get(pod) if keeps else None
        self._deployments[deployment].put(pod, member, shared=member is not None and deployment != first)
        self._changed.add(deployment)
