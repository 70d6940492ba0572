"""What do the verbs of the API do to an object?

Pure. create, replace, patch and delete, on an object or on its `status` or `scale`, by the rules of a real server. What
is refused is a `Refusal`.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.kubernetes.kinds import Kind, check, check_scale, decodes, defaulted
from tests.kubernetes.refusals import (
    REQUIRED,
    Refusal,
    already_exists,
    bad_request,
    conflict,
    invalid,
    not_found,
)
from tests.kubernetes.selectors import selector_text
from tests.kubernetes.store import Key, Object, Store

_SERVERS_OWN = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


class Registry:
    """`clock` gives the time that is written into objects."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self.store = store
        self._clock = clock
        self._made = 0

    def read(self, kind: Kind, key: Key) -> Object:
        found = self.store.get(kind.plural, key)
        if found is None:
            raise not_found(kind.plural, kind.group, key[1])
        return found

    def create(self, kind: Kind, namespace: str, object: Object) -> Object:
        new = copy.deepcopy(object)
        decodes(kind, new)
        key = (namespace, self._name(kind, namespace, new))
        metadata = new["metadata"]
        if metadata.pop("resourceVersion", ""):
            raise Refusal(500, "resourceVersion should not be set on objects to be created", reason="")
        if self.store.get(kind.plural, key) is not None:
            raise already_exists(kind.plural, kind.group, key[1])
        if kind.status:
            new.pop("status", None)
        for field in _SERVERS_OWN:
            metadata.pop(field, None)
        return self._add(kind, key, new)

    def put(self, kind: Kind, namespace: str, object: Object) -> Object:
        """Creates or replaces it whole, status too, as no client could: what a test wants to be there."""
        new = copy.deepcopy(object)
        key = (namespace, self._name(kind, namespace, new))
        before = self.store.get(kind.plural, key)
        if before is None:
            return self._add(kind, key, new)
        kept = {field: before["metadata"][field] for field in _SERVERS_OWN if field in before["metadata"]}
        whose = {"namespace": namespace} if kind.namespaced else {}
        version = before["metadata"]["resourceVersion"]
        new["metadata"] = {**kept, **whose, **new["metadata"], "resourceVersion": version}
        return self._store(kind, key, before, defaulted(kind, new))

    def replace(self, kind: Kind, key: Key, object: Object, part: str = "") -> tuple[Object, bool]:
        """PUT; also tells whether it was created."""
        new = copy.deepcopy(object)
        decodes(kind, new)
        self._belongs(key, new)
        if self.store.get(kind.plural, key) is None and kind.put_creates:
            new["metadata"].pop("resourceVersion", None)
            return self.create(kind, key[0], new), True
        before = self.read(kind, key)
        if not new["metadata"].get("resourceVersion") and not kind.put_blindly:
            what = "Invalid value: 0: must be specified for an update"
            raise invalid(kind.plural, kind.group, key[1], "metadata.resourceVersion", what)
        return self._update(kind, key, before, new, part), False

    def patch(self, kind: Kind, key: Key, patch: Object, part: str = "") -> Object:
        before = self.read(kind, key)
        new = merged(before, patch)
        if new["metadata"].get("name") != key[1]:
            raise bad_request("the name of the object does not match the name on the URL")
        try:
            decodes(kind, new)
        except Refusal as refusal:  # the patch can be read; what it makes of the object can not
            raise invalid("", "", "", "patch", f"Invalid value: {refusal}") from refusal
        return self._update(kind, key, before, new, part)

    def delete(self, kind: Kind, key: Key, options: Object) -> tuple[Object, bool]:
        """The object as it is now or last was, and whether it is gone. A Pod is always shown leaving before."""
        before = self.read(kind, key)
        self._holds(kind, key, before, options.get("preconditions") or {})
        metadata = before["metadata"]
        grace_s = self._grace_s(kind, before, options.get("gracePeriodSeconds"))
        lasts_s = metadata.get("deletionGracePeriodSeconds", grace_s + 1)
        if grace_s < lasts_s and (kind.name == "Pod" or metadata.get("finalizers")):
            leaves = {"deletionTimestamp": self._time(grace_s), "deletionGracePeriodSeconds": grace_s}
            if "generation" in metadata:
                leaves["generation"] = metadata["generation"] + 1
            before = self.store.write(kind.plural, key, {**before, "metadata": {**metadata, **leaves}})
        if grace_s == 0 and not metadata.get("finalizers"):
            return self.store.write(kind.plural, key, None), True
        return before, False

    def scale(self, kind: Kind, key: Key) -> Object:
        try:
            return _scale(self.read(kind, key))
        except Refusal as refusal:
            raise not_found(f"{kind.plural}/scale", kind.group, key[1]) from refusal

    def rescale(self, kind: Kind, key: Key, object: Object, *, is_patch: bool) -> Object:
        before = self.read(kind, key)
        scale = merged(_scale(before), object) if is_patch else object
        self._belongs(key, scale)
        if not scale["metadata"].get("namespace"):
            raise invalid("Scale", "autoscaling", key[1], "metadata.namespace", "Required value", why=REQUIRED)
        replicas = (scale.get("spec") or {}).get("replicas", 0)
        check_scale(key[1], replicas)
        said = scale["metadata"].get("resourceVersion")
        new = {**before, "spec": {**before["spec"], "replicas": replicas}}
        new["metadata"] = {**before["metadata"], "resourceVersion": said}
        return _scale(self._update(kind, key, before, new, ""))

    def _name(self, kind: Kind, namespace: str, new: Object) -> str:
        metadata = new.setdefault("metadata", {})
        if metadata.get("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        if "name" not in metadata and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName']}{self._made:05x}"
        if not metadata.get("name"):
            what = "Required value: name or generateName is required"
            raise invalid(kind.name, kind.group, "", "metadata.name", what, why=REQUIRED)
        return str(metadata["name"])

    def _belongs(self, key: Key, new: Object) -> None:
        metadata = new.setdefault("metadata", {})
        name = metadata.setdefault("name", key[1])
        if name != key[1]:
            raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({key[1]})")
        if metadata.get("namespace", key[0]) != key[0]:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")

    def _add(self, kind: Kind, key: Key, new: Object) -> Object:
        self._made += 1
        own: dict[str, Any] = {
            **({"namespace": key[0]} if kind.namespaced else {}),
            "uid": str(uuid.UUID(int=(0x4000 << 64) | (0x8 << 60) | self._made)),
            "creationTimestamp": self._time(),
            **({"generation": 1} if kind.generation else {}),
        }
        metadata = {"name": key[1], **own, **new["metadata"]}
        new = defaulted(kind, {"kind": kind.name, "apiVersion": kind.api_version, **new, "metadata": metadata})
        check(kind, new, None)
        return self.store.write(kind.plural, key, new)

    def _update(self, kind: Kind, key: Key, before: Object, new: Object, part: str) -> Object:
        """What a client may change by way of `part`, if its resourceVersion is the present one or it named none."""
        said, present = new["metadata"].get("resourceVersion"), before["metadata"]["resourceVersion"]
        if said and said != present:
            raise conflict(kind.plural, kind.group, key[1])
        if new["metadata"].get("uid", before["metadata"]["uid"]) != before["metadata"]["uid"]:
            what = f"Precondition failed: UID in precondition: {new['metadata']['uid']}"
            raise conflict(kind.plural, kind.group, key[1], what)
        if part == "status":
            metadata = before["metadata"] if kind.custom else new["metadata"]  # only custom resources keep theirs
            rest = {k: v for k, v in before.items() if k != "status"}
            status = {"status": new["status"]} if "status" in new else {}
        else:
            metadata, rest = new["metadata"], {k: v for k, v in new.items() if k != "status" or not kind.status}
            status = {"status": before["status"]} if kind.status and "status" in before else {}
        kept = {field: before["metadata"][field] for field in _SERVERS_OWN if field in before["metadata"]}
        free = {k: v for k, v in metadata.items() if k not in _SERVERS_OWN}
        whose = {"namespace": key[0]} if kind.namespaced else {}
        new = {**rest, **status, "metadata": {**free, **whose, **kept, "resourceVersion": present}}
        return self._store(kind, key, before, defaulted(kind, new))

    def _store(self, kind: Kind, key: Key, before: Object, new: Object) -> Object:
        new = {"kind": kind.name, "apiVersion": kind.api_version, **new}
        check(kind, new, before)
        if new == before:
            return before
        if kind.generation and _wish(kind, new) != _wish(kind, before):
            new["metadata"] = {**new["metadata"], "generation": before["metadata"]["generation"] + 1}
        metadata = new["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers") and kind.name != "Pod":
            return self.store.write(kind.plural, key, None)
        return self.store.write(kind.plural, key, new)

    def _holds(self, kind: Kind, key: Key, before: Object, preconditions: Object) -> None:
        for field, name in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            said, present = preconditions.get(field), before["metadata"][field]
            if said is not None and said != present:
                what = f"the {name} in the precondition ({said}) does not match the {name} in record ({present})"
                raise conflict(kind.name, kind.group, key[1], what)

    def _grace_s(self, kind: Kind, object: Object, asked_s: int | None) -> int:
        """Only Pods leave gracefully, and only one that a node has or that runs."""
        if kind.name != "Pod":
            return 0
        spec, phase = object["spec"], object["status"]["phase"]
        if not spec.get("nodeName") and phase != "Running":
            return 0
        return int(spec["terminationGracePeriodSeconds"] if asked_s is None else asked_s)

    def _time(self, ahead_s: float = 0) -> str:
        return (self._clock() + timedelta(seconds=ahead_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def merged(object: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(object) if isinstance(object, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _wish(kind: Kind, object: Object) -> Any:
    """What makes a new generation when it changes."""
    rest = {k: v for k, v in object.items() if k not in ("metadata", "status")}
    return rest, object["metadata"].get("annotations") if kind.name == "Deployment" else None


def _scale(workload: Object) -> Object:
    metadata, status = workload["metadata"], workload.get("status") or {}
    own = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {field: metadata[field] for field in own},
        "spec": {"replicas": workload["spec"]["replicas"]} if workload["spec"]["replicas"] else {},
        "status": {
            "replicas": status.get("replicas", 0),
            "selector": selector_text(workload["spec"].get("selector") or {}),
        },
    }
