"""Which processes are the routers of this installation, by their Pods?

Pure. A Pod has as many as its annotation says, 1 where it says nothing; worker i listens for its peers on PEER_PORT
+ i. They are listed from when the Pod has an address and its container runs until that has ended, whether they are
ready or not: while one starts or drains, its peers must still reach it. `Instance.serves` says which take requests.
"""

from __future__ import annotations

from typing import NamedTuple

from router.core.model import Instance
from router.platforms.kubernetes.objects import ContainerStatus, Pod

ADMIN_PORT = 9001
PEER_PORT = 9002
"""Of every router in a cluster: what deploy/ starts it with."""
INSTALLATION = "app.kubernetes.io/instance"
"""The label that tells two installations in one namespace apart: they share no vault, and can't meet."""
_CONTAINER = "router"


class OwnPod(NamedTuple):
    """The Pod of this process."""

    key: str
    """namespace/name."""
    sockets: tuple[str, ...]
    """Paths where its workers meet, by their numbers; "" for one that has none."""


NO_POD = OwnPod("", ())
"""Of a process that is no router of the cluster: the autoscaler, a command."""


class Routers:
    """Pods come and go one at a time."""

    def __init__(self, own: OwnPod) -> None:
        self._own = own
        self._pods: dict[str, Pod] = {}
        self._instances: tuple[Instance, ...] | None = ()

    def put(self, key: str, seen: Pod | None) -> None:
        if self._pods.get(key) == seen:
            return
        if seen is None:
            del self._pods[key]
        else:
            self._pods[key] = seen
        self._instances = None

    def instances(self) -> tuple[Instance, ...]:
        """By their ids. The same object as before if nothing is different."""
        if self._instances is None:
            found = (each for key, pod in self._pods.items() if self._belongs(pod) for each in self._workers(key, pod))
            self._instances = tuple(sorted(found, key=lambda each: each.id))
        return self._instances

    def own_id(self, index: int) -> str:
        """Of worker `index` of the own Pod; "" while that is not known."""
        pod = self._pods.get(self._own.key)
        return "" if pod is None else _id(pod, index)

    def _belongs(self, pod: Pod) -> bool:
        own = self._pods.get(self._own.key)
        return own is None or own.metadata.labels.get(INSTALLATION) == pod.metadata.labels.get(INSTALLATION)

    def _workers(self, key: str, pod: Pod) -> list[Instance]:
        if not _runs(pod):
            return []
        ip = pod.status.pod_ip
        host = f"[{ip}]" if ":" in ip else ip
        sockets = self._own.sockets if key == self._own.key else ()
        return [
            Instance(
                id=_id(pod, index),
                admin=f"http://{host}:{ADMIN_PORT}",
                peer=f"https://{host}:{PEER_PORT + index}",
                socket=sockets[index] if index < len(sockets) else "",
                serves=pod.takes_requests,
            )
            for index in range(pod.workers)
        ]


def _id(pod: Pod, index: int) -> str:
    """Whatever starts anew in the Pod makes others of its workers."""
    restarts = sum(container.restart_count for container in _containers(pod))
    return f"{pod.metadata.uid}/{restarts}#{index}"


def _runs(pod: Pod) -> bool:
    if pod.status.phase != "Running" or not pod.status.pod_ip:
        return False
    states = [container.state for container in _containers(pod)]
    return not states or any(state.waiting is None and state.terminated is None for state in states)


def _containers(pod: Pod) -> list[ContainerStatus]:
    """The router's own; all of them where none has its name. What a mesh adds beside it may restart by itself."""
    statuses = pod.status.container_statuses
    return [each for each in statuses if each.name == _CONTAINER] or list(statuses)
