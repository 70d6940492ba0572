"""What do we read of Kubernetes' objects?

Pure. Structs with just the fields that are used, decoded from the API server's JSON; whatever else it says is skipped.
Times stay the text that it writes: RFC 3339 in UTC and whole seconds, so that text order is the order of time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, field

SCALE = "scoregate.io/scale"
""""false" on an adopted Deployment leaves the number of its replicas alone."""
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
LEAVE_ORDER = "scoregate.io/leave-order"
"""On a Pod, holds the cost as we wrote it. A cost without it, or that differs, is somebody else's."""
DRAINED = "scoregate.io/drained"
""""true" on a Pod: it finishes what it has, takes nothing new, and stays."""
WORKERS = "scoregate.io/workers"
"""On a router's Pod: how many processes it is."""
MAX_WORKERS = 64
"""In one Pod: each has a port of its own."""
HOLD = "scoregate.io/hold."
"""On an InferenceEndpoint, before the name of a deployment: a number of replicas that somebody set by hand."""

_LONGEST_MESSAGE = 200


def shortened(message: str) -> str:
    """What Kubernetes has to say may be long; a client gets it in a reply."""
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[: _LONGEST_MESSAGE - 1]}…"


class _Object(Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """Trees that no reference closes to a circle: the collector need not look at ten thousand of them."""


class _Notes(_Object, frozen=True, kw_only=True):
    """The annotations that mean something to us. Others may be large: `kubectl apply` keeps a copy of all that it
    applied there, of a Secret's keys, too."""

    scale: str | None = field(name=SCALE, default=None)
    cost: str | None = field(name=DELETION_COST, default=None)
    order: str | None = field(name=LEAVE_ORDER, default=None)
    drained: str | None = field(name=DRAINED, default=None)
    workers: str | None = field(name=WORKERS, default=None)


_NO_NOTES = _Notes()


class _Metadata(_Object, frozen=True, kw_only=True):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def age(self) -> tuple[str, str]:
        """Sorts the oldest first; the uid decides within a second."""
        return (self.creation_timestamp or "", self.uid)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key}, uid={self.uid!r}, resource_version={self.resource_version!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("key", self.key), ("uid", self.uid), ("resource_version", self.resource_version)]


class Metadata(_Metadata, frozen=True, kw_only=True):
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    notes: _Notes = field(name="annotations", default=_NO_NOTES)

    @property
    def annotations(self) -> dict[str, str]:
        """Those that are kept, by name."""
        notes = self.notes
        named = {
            SCALE: notes.scale,
            DELETION_COST: notes.cost,
            LEAVE_ORDER: notes.order,
            DRAINED: notes.drained,
            WORKERS: notes.workers,
        }
        return {name: text for name, text in named.items() if text is not None}


class EndpointMetadata(_Metadata, frozen=True, kw_only=True):
    """Of an InferenceEndpoint: the names of its annotations have those of its deployments in them."""

    annotations: dict[str, str] = {}


class Condition(_Object, frozen=True, kw_only=True):
    type: str
    status: str
    reason: str = ""
    message: str = ""


class Waiting(_Object, frozen=True, kw_only=True):
    reason: str = ""
    message: str = ""


class Terminated(_Object, frozen=True, kw_only=True):
    exit_code: int = 0
    reason: str = ""
    started_at: str | None = None
    finished_at: str | None = None

    @property
    def lasted_s(self) -> float | None:
        """None where that is not said in a way that can be read."""
        if self.started_at is None or self.finished_at is None:
            return None
        try:
            lasted = datetime.fromisoformat(self.finished_at) - datetime.fromisoformat(self.started_at)
        except (ValueError, TypeError):  # no such times, or one without a zone
            return None
        return lasted.total_seconds()


class ContainerState(_Object, frozen=True, kw_only=True):
    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Object, frozen=True, kw_only=True):
    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    """How it ended before it was started anew."""


class PodStatus(_Object, frozen=True, kw_only=True):
    phase: str = "Pending"
    pod_ip: str = field(name="podIP", default="")
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(_Object, frozen=True, kw_only=True):
    metadata: Metadata
    status: PodStatus = PodStatus()

    def condition(self, kind: str) -> Condition | None:
        return next((each for each in self.status.conditions if each.type == kind), None)

    @property
    def is_drained(self) -> bool:
        """Whether somebody took it out by hand."""
        return self.metadata.notes.drained == "true"

    @property
    def workers(self) -> int:
        """Of a router's Pod; what says no such number says nothing."""
        text = self.metadata.notes.workers or ""
        is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_WORKERS))
        return int(text) if is_number and 1 <= int(text) <= MAX_WORKERS else 1

    @property
    def takes_requests(self) -> bool:
        """Whether Kubernetes, too, would send it requests: it runs, is Ready, and is not on its way out."""
        if self.metadata.deletion_timestamp is not None or self.status.phase != "Running" or not self.status.pod_ip:
            return False
        ready = self.condition("Ready")
        return ready is not None and ready.status == "True"


class Requirement(_Object, frozen=True, kw_only=True):
    """One of `matchExpressions`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(_Object, frozen=True, kw_only=True):
    match_labels: dict[str, str] = {}
    match_expressions: tuple[Requirement, ...] = ()


class ContainerPort(_Object, frozen=True, kw_only=True):
    container_port: int


class Container(_Object, frozen=True, kw_only=True):
    ports: tuple[ContainerPort, ...] = ()


class PodSpec(_Object, frozen=True, kw_only=True):
    containers: tuple[Container, ...] = ()


class PodTemplate(_Object, frozen=True, kw_only=True):
    spec: PodSpec = PodSpec()


class WorkloadSpec(_Object, frozen=True, kw_only=True):
    replicas: int = 1
    selector: LabelSelector = LabelSelector()
    template: PodTemplate = PodTemplate()


class WorkloadStatus(_Object, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()


class Workload(_Object, frozen=True, kw_only=True):
    """A Deployment or a StatefulSet: it does not say which."""

    metadata: Metadata
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()

    @property
    def first_port(self) -> int | None:
        """The first port of the first container that has one."""
        ports = (port.container_port for container in self.spec.template.spec.containers for port in container.ports)
        return next(ports, None)


class Scaled(_Object, frozen=True, kw_only=True):
    """What an autoscaler scales, in its own namespace."""

    kind: str
    name: str


class AutoscalerSpec(_Object, frozen=True, kw_only=True):
    scale_target_ref: Scaled


class Autoscaler(_Object, frozen=True, kw_only=True):
    """A HorizontalPodAutoscaler of autoscaling/v1."""

    metadata: Metadata
    spec: AutoscalerSpec


class EndpointObject(_Object, frozen=True, kw_only=True):
    """An InferenceEndpoint. What it declares router.core.declare reads, which has words for every problem."""

    metadata: EndpointMetadata
    spec: Any = None
    status: Any = None
