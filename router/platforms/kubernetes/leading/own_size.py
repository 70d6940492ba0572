"""How many Pods have the routers themselves, with how many workers in each, and how does that change?

I/O: the Deployment of the routers, its scale subresource, its Pods, and HorizontalPodAutoscalers beside it. Another
number of workers is another Pod template, so all Pods are replaced, one after the other, as the Deployment's strategy
says: none goes before a new one is ready, and each drains. A worker more has what the others have: CPU and memory of
the container grow and shrink with their number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Any

import msgspec
from msgspec import Struct

from router.core.model import Pods
from router.platforms import PlatformError
from router.platforms.kubernetes.api import MERGE_PATCH, Api, ApiError
from router.platforms.kubernetes.leading.scaling import scale
from router.platforms.kubernetes.objects import MAX_WORKERS, WORKERS, Autoscaler, Pod, shortened
from router.platforms.sizing import RouterSize, RouterStand

CONTAINER = "router"
TRIES = 5
"""A Deployment's status is written while its Pods come and go, and each time its version changes."""
_GROWING = ("cpu", "memory")
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)((?:[eE][+-]?\d+)|[A-Za-z]{0,2})")
_CANT_BE_MADE = "ReplicaFailure", "True", "FailedCreate"
_WORKERS_OPTION = re.compile(r"--workers=\d+")


class _Items(Struct, frozen=True):
    items: list[dict[str, Any]] = []


class DeploymentSizing:
    """Of the Deployment `name`. `leads` is asked right before each write."""

    def __init__(self, api: Api, namespace: str, name: str, leads: Callable[[], bool]) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._leads = leads
        self._path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"

    async def stand(self) -> RouterStand:
        """Raises PlatformError where there is no such Deployment, or none that can be understood."""
        found = await self._read()
        is_settled = _is_settled(found)
        return RouterStand(
            RouterSize(workers=_workers(found, str(self)), pods=found["spec"].get("replicas", 1)),
            has_pods=True,
            is_settled=is_settled,
            no_room="" if is_settled else await self._no_room(found),
            conflict=await self._conflict(),
        )

    async def resize(self, size: RouterSize) -> None:
        """Raises PlatformError for who does not lead, too, and where others never stop writing; else ApiError."""
        await self._put_workers(size.workers)
        await scale(
            self._api,
            Pods(namespace=self._namespace, kind="Deployment", name=self._name),
            size.pods,
            leads=self._leads,
        )

    def __str__(self) -> str:
        return f"Deployment {self._name} in namespace {self._namespace}"

    async def _put_workers(self, workers: int) -> None:
        for _ in range(TRIES):
            found = await self._read()
            if _workers(found, str(self)) == workers:
                return
            change = resized(found, workers, str(self))
            if not self._leads():
                raise PlatformError(f"can't give {self} {workers} workers: this process no longer leads")
            try:
                await self._api.write("PATCH", self._path, change, content_type=MERGE_PATCH)
                return
            except ApiError as error:
                if error.status != 409:
                    raise
        raise PlatformError(f"{self} was not given {workers} workers: in each of {TRIES} tries it was written to")

    async def _read(self) -> dict[str, Any]:
        try:
            found = msgspec.json.decode(await self._api.read(self._path), type=dict[str, Any])
            found["spec"]["template"]["spec"]["containers"], found["metadata"]["resourceVersion"]
            return found
        except ApiError as error:
            if error.status == 404:
                raise PlatformError(
                    f"there is no {self}: say with --router-deployment which one has the routers"
                ) from error
            raise
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise PlatformError(f"{self} can't be understood: {error}") from error

    async def _no_room(self, found: dict[str, Any]) -> str:
        """Why a Pod can't be made, as where a quota is used up; else what the scheduler says of the first one that it
        has no place for; "" where there is none."""
        for said in (found.get("status") or {}).get("conditions") or ():
            if (said.get("type"), said.get("status"), said.get("reason")) == _CANT_BE_MADE:
                return _worded(said.get("message", ""), "a Pod can't be made")
        labels = found["spec"].get("selector", {}).get("matchLabels", {})
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        chosen = {"labelSelector": ",".join(f"{name}={value}" for name, value in sorted(labels.items()))}
        for pod in msgspec.convert(_items(await self._api.read(path, chosen)), list[Pod]):
            placed = pod.condition("PodScheduled")
            if pod.metadata.deletion_timestamp is None and placed is not None and placed.reason == "Unschedulable":
                return _worded(placed.message, "a Pod can't be scheduled")
        return ""

    async def _conflict(self) -> str:
        path = f"/apis/autoscaling/v1/namespaces/{self._namespace}/horizontalpodautoscalers"
        for each in msgspec.convert(_items(await self._api.read(path)), list[Autoscaler]):
            of = each.spec.scale_target_ref
            if (of.kind, of.name) == ("Deployment", self._name):
                return f"HorizontalPodAutoscaler {each.metadata.name} scales {self}, too"
        return ""


def resized(found: dict[str, Any], workers: int, what: str) -> dict[str, Any]:
    """A merge patch of this Deployment, for this version of it alone. A merge patch replaces lists whole, so all of its
    containers are in it as they were found. Raises PlatformError."""
    if not 1 <= workers <= MAX_WORKERS:
        raise PlatformError(f"{what} can't have {workers} workers in a Pod: 1 to {MAX_WORKERS}")
    by = Fraction(workers, _workers(found, what))
    containers = found["spec"]["template"]["spec"]["containers"]
    if not any(each.get("name") == CONTAINER for each in containers):
        raise PlatformError(f"{what} has no container {CONTAINER}")
    changed = [_grown(each, by, workers) if each.get("name") == CONTAINER else each for each in containers]
    template = {"metadata": {"annotations": {WORKERS: str(workers)}}, "spec": {"containers": changed}}
    return {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "spec": {"template": template}}


def times(quantity: object, by: Fraction) -> str:
    """As Kubernetes writes quantities, never less. Raises PlatformError for what is none."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        raise PlatformError(f"{str(quantity)[:40]!r} is no quantity of CPU or memory")
    thousandths = ceil(Fraction(match[1]) * by * 1000)
    whole, rest = divmod(thousandths, 1000)
    return f"{whole}{f'.{rest:03}'.rstrip('0') if rest else ''}{match[2]}"


def _grown(container: dict[str, Any], by: Fraction, workers: int) -> dict[str, Any]:
    resources = dict(container.get("resources") or {})
    for part in ("requests", "limits"):
        if given := resources.get(part):
            resources[part] = {
                name: times(amount, by) if name in _GROWING else amount for name, amount in given.items()
            }
    args = [_WORKERS_OPTION.sub(f"--workers={workers}", word) for word in container.get("args") or ()]
    return {**container, "resources": resources, **({"args": args} if args else {})}


def _workers(found: dict[str, Any], what: str) -> int:
    annotations = (found["spec"]["template"].get("metadata") or {}).get("annotations") or {}
    text = annotations.get(WORKERS, "1")
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_WORKERS))
    if not (is_number and 1 <= int(text) <= MAX_WORKERS):
        raise PlatformError(f"{what} says {WORKERS}: {text[:40]!r}, which must be a number from 1 to {MAX_WORKERS}")
    return int(text)


def _is_settled(found: dict[str, Any]) -> bool:
    """All Pods are of the newest template, and available, and there are no others."""
    status, wanted = found.get("status") or {}, found["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) != found["metadata"].get("generation", 0):
        return False
    return all(status.get(name, 0) == wanted for name in ("replicas", "updatedReplicas", "availableReplicas"))


def _worded(message: str, otherwise: str) -> str:
    return shortened(" ".join(message.split()) or otherwise)


def _items(answer: bytes) -> list[dict[str, Any]]:
    return msgspec.json.decode(answer, type=_Items).items
