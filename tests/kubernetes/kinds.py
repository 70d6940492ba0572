"""Which kinds does the fake API server know, and what does it ask of their objects?

Pure. Only what the router meets: defaults and checks of a few fields. There is no schema of any kind, no RBAC, no
admission and no managedFields; Deployments make no Pods.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, NamedTuple

from tests.kubernetes.refusals import REQUIRED, Refusal, bad_request, invalid

Object = dict[str, Any]

NAMED = ("metadata.name", "metadata.namespace")


class Kind(NamedTuple):
    name: str
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    status: bool = False
    """Its status is written through the subresource only."""
    scale: bool = False
    generation: bool = False
    custom: bool = False
    """Made by a CustomResourceDefinition: items of a list name their kind, no strategic merge patch."""
    put_blindly: bool = True
    """A PUT without resourceVersion is allowed."""
    put_creates: bool = False
    fields: tuple[str, ...] = NAMED

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"


def custom(name: str, plural: str, group: str) -> Kind:
    """As a CustomResourceDefinition with `subresources: {status: {}}` makes one."""
    return Kind(name, plural, group, status=True, generation=True, custom=True, put_blindly=False)


INFERENCE_ENDPOINT = custom("InferenceEndpoint", "inferenceendpoints", "scoregate.io")
BUILT_IN = (
    Kind("Namespace", "namespaces", namespaced=False, status=True),
    Kind("Pod", "pods", status=True, fields=(*NAMED, "status.phase", "spec.nodeName", "status.podIP")),
    Kind("Secret", "secrets", fields=(*NAMED, "type")),
    Kind("ConfigMap", "configmaps"),
    Kind("ServiceAccount", "serviceaccounts"),
    Kind(
        "Event",
        "events",
        put_creates=True,
        fields=(*NAMED, "involvedObject.kind", "involvedObject.name", "involvedObject.uid", "reason", "type"),
    ),
    Kind("Deployment", "deployments", "apps", status=True, scale=True, generation=True),
    Kind("StatefulSet", "statefulsets", "apps", status=True, scale=True, generation=True),
    Kind("Lease", "leases", "coordination.k8s.io", put_blindly=False, put_creates=True),
    Kind("HorizontalPodAutoscaler", "horizontalpodautoscalers", "autoscaling", status=True),
)

_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_MICRO_TIMES = {"Lease": ("spec.renewTime", "spec.acquireTime"), "Event": ("eventTime",)}
_TIMES = {"Event": ("firstTimestamp", "lastTimestamp")}


def defaulted(kind: Kind, object: Object) -> Object:
    """With what the server fills in. `object` may be changed."""
    spec = object.setdefault("spec", {}) if kind.name in _SPECS else {}
    for field, value in _SPECS.get(kind.name, {}).items():
        spec.setdefault(field, value)
    if kind.name == "Pod":
        object.setdefault("status", {}).setdefault("phase", "Pending")
    if kind.name == "Secret":
        object.setdefault("type", "Opaque")
        plain = object.pop("stringData", None) or {}
        if plain:
            coded = {name: base64.b64encode(value.encode()).decode() for name, value in plain.items()}
            object["data"] = {**(object.get("data") or {}), **coded}
        if not object.get("data"):
            object.pop("data", None)
    return object


_SPECS: dict[str, dict[str, Any]] = {
    "Pod": {"terminationGracePeriodSeconds": 30},
    "Deployment": {"replicas": 1},
    "StatefulSet": {"replicas": 1},
    "HorizontalPodAutoscaler": {"minReplicas": 1},
}


def decodes(kind: Kind, object: Object) -> None:
    """Raises `Refusal` 400 for what a typed server cannot even read."""
    for paths, form, layout in ((_MICRO_TIMES, _MICRO_TIME, ".000000Z07:00"), (_TIMES, _TIME, "Z07:00")):
        for path in paths.get(kind.name, ()):
            value = _at(object, path)
            if value is not None and not (isinstance(value, str) and form.fullmatch(value)):
                why = f'cannot parse "{str(value)[19:]}" as "{layout.removesuffix("Z07:00") or layout}"'
                raise _undecodable(kind, f'parsing time "{value}" as "2006-01-02T15:04:05{layout}": {why}')
    if kind.name == "Secret":
        for value in (object.get("data") or {}).values():
            try:
                base64.b64decode(value, validate=True)
            except (binascii.Error, TypeError) as error:
                raise _undecodable(kind, "illegal base64 data") from error


def _undecodable(kind: Kind, why: str) -> Refusal:
    return bad_request(f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: {why}')


def check(kind: Kind, object: Object, before: Object | None) -> None:
    """Raises `Refusal` 422."""
    name = object["metadata"]["name"]
    if kind.name == "Lease":
        seconds = _at(object, "spec.leaseDurationSeconds")
        if seconds is not None and seconds <= 0:
            _refuse(kind, name, "spec.leaseDurationSeconds", f"Invalid value: {seconds}: must be greater than 0")
    elif kind.scale:
        _check_replicas(kind.name, kind.group, name, object["spec"]["replicas"])
    elif kind.name == "HorizontalPodAutoscaler" and (_at(object, "spec.maxReplicas") or 0) <= 0:
        _refuse(kind, name, "spec.maxReplicas", "Invalid value: 0: must be greater than 0")
    elif kind.name == "Secret" and before is not None and before["type"] != object["type"]:
        _refuse(kind, name, "type", f'Invalid value: "{object["type"]}": field is immutable')
    elif kind.name == "Event":
        _check_event(kind, name, object)


def check_scale(name: str, replicas: object) -> None:
    _check_replicas("Scale", "autoscaling", name, replicas)


def _check_replicas(subject: str, group: str, name: str, replicas: object) -> None:
    if not isinstance(replicas, int):
        raise invalid(subject, group, name, "patch", f'Invalid value: "{replicas}": readUint32: unexpected character')
    if replicas < 0:
        what = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise invalid(subject, group, name, "spec.replicas", what)


def _check_event(kind: Kind, name: str, event: Object) -> None:
    about = _at(event, "involvedObject.namespace") or ""
    if about != event["metadata"]["namespace"]:
        what = f'Invalid value: "{about}": does not match event.namespace'
        _refuse(kind, name, "involvedObject.namespace", what)
    if event.get("eventTime"):  # an event of the new sort must say who reports what
        for field in ("reportingComponent", "reportingInstance", "action"):
            if not event.get(field):
                raise invalid(kind.name, kind.group, name, field, "Required value", why=REQUIRED)


def _refuse(kind: Kind, name: str, field: str, what: str) -> None:
    raise invalid(kind.name, kind.group, name, field, what)


def _at(object: Object, path: str) -> Any:
    value: Any = object
    for part in path.split("."):
        value = (value or {}).get(part)
    return value
