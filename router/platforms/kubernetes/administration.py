"""How does an administrator's change get into a cluster?

I/O: the API server. Keys are in a Secret, traffic in the InferenceEndpoint's spec, a number of replicas set by hand in
an annotation of it, and that a Pod is drained in one of the Pod. Each write carries the version, or the uid, of the
object that it means, and touches nothing but what it changes; what follows the cluster brings it to every router. A
write returns once this process has seen it, too, or after SEEN_WITHIN_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct

from router.core.declare import DeclarationError, declared_resource
from router.core.keys import Keys, checked
from router.core.model import Endpoint, Hold, Snapshot
from router.core.rules import API_VERSION, KIND
from router.platforms import PlatformError
from router.platforms.administration import Conflict, Unfit, Unknown
from router.platforms.asked import check_hold, check_present, deployment_of, endpoint_of
from router.platforms.kubernetes.api import MERGE_PATCH, Api, ApiError
from router.platforms.kubernetes.cluster import Cluster, Place
from router.platforms.kubernetes.keys_secret import KEYS_TYPE, BadKeys, KeysSecret, changed_data
from router.platforms.kubernetes.objects import DRAINED, HOLD, EndpointObject
from router.platforms.kubernetes.picture.members import pod_uid
from router.platforms.kubernetes.refusals import TRIES, told
from router.platforms.kubernetes.vault import SecretVault

SEEN_WITHIN_S = 2.0
RIGHT = (
    "routers get this right from the chart with administration.enabled=true, or from deploy/kubernetes/administration"
)
T = TypeVar("T")
Weights = tuple[tuple[str, int], ...]


class Followed(Protocol):
    """The platform, as far as administration needs it."""

    @property
    def snapshot(self) -> Snapshot:
        """The newest."""

    async def known(self) -> None:
        """Raises PlatformError when the cluster does not say what there is."""

    async def until(self, holds: Callable[[Snapshot], bool]) -> None:
        """Until the newest snapshot is so."""


class _KeysSecrets(Struct, frozen=True):
    items: list[KeysSecret]


class KubernetesAdministration:
    """`home`: the namespace where autoscalers run."""

    def __init__(self, api: Api, cluster: Cluster, followed: Followed, vault: SecretVault, home: str) -> None:
        self.vault = vault
        self._api = api
        self._cluster = cluster
        self._followed = followed
        self._home = home
        self._one_at_a_time = asyncio.Lock()
        """Changes of this process that read first: none of them loses to another."""

    # -- keys ------------------------------------------------------------------------------------------------

    async def keys(self, endpoint: str) -> Keys:
        place = await self._place(endpoint)
        return _keys(await self._secret(place, f"read the keys of {endpoint}"))

    async def change_keys(self, endpoint: str, change: Callable[[Keys], Keys]) -> Keys:
        async with self._one_at_a_time:
            wanted = await _repeated(
                lambda: self._change_keys(endpoint, change), f"the keys of {endpoint} were changed"
            )
        hashes = wanted.hashes
        await self._seen(lambda now: any(each.name == endpoint and each.keys == hashes for each in now.endpoints))
        return wanted

    async def _change_keys(self, endpoint: str, change: Callable[[Keys], Keys]) -> Keys | None:
        what = f"change the keys of {endpoint}"
        place = await self._place(endpoint)
        secret = await self._secret(place, what)
        present = _keys(secret)
        wanted = checked(change(present))
        metadata = {"uid": secret.metadata.uid, "resourceVersion": secret.metadata.resource_version}
        patch = {"metadata": metadata, "data": changed_data(present, wanted)}
        is_done = wanted == present or await self._patched(f"{_folder(place)}/{place.secret}", patch, what)
        return wanted if is_done else None

    async def _secret(self, place: Place, what: str) -> KeysSecret:
        name = place.endpoint.name
        if not place.secret:
            raise Unknown(f"endpoint {name} has no keys: neither spec.auth.mode nor alsoAccepts is key")
        where = f"Secret {place.secret} in namespace {place.namespace}"
        missing = f"endpoint {name} has no keys: no {where}"
        # As a list, which routers may ask for anyway: reading keys takes no right to administer.
        only = {"fieldSelector": f"metadata.name={place.secret}"}
        secrets = (await self._read(_folder(place), _KeysSecrets, what, missing, only)).items
        if not secrets:
            raise Unknown(missing)
        if secrets[0].type != KEYS_TYPE:
            raise Conflict(f"{where} is of type {secrets[0].type}, but keys are in one of type {KEYS_TYPE}")
        return secrets[0]

    # -- the InferenceEndpoint -------------------------------------------------------------------------------

    async def set_traffic(self, endpoint: str, traffic: Mapping[str, int], expected: Mapping[str, int] | None) -> None:
        async with self._one_at_a_time:
            weights = await _repeated(
                lambda: self._set_traffic(endpoint, traffic, expected), f"endpoint {endpoint} was changed"
            )
        await self._seen(lambda now: any(each.name == endpoint and each.weights == weights for each in now.endpoints))

    async def _set_traffic(
        self, endpoint: str, traffic: Mapping[str, int], expected: Mapping[str, int] | None
    ) -> Weights | None:
        what = f"change the traffic of {endpoint}"
        path, _ = await self._resource(endpoint)
        seen = await self._read(path, EndpointObject, what, f"there is no endpoint {endpoint} any more")
        present = dict(_declared(seen).weights)
        check_present(endpoint, present, expected)
        weights = _weighed(seen, traffic)
        gone = dict.fromkeys((seen.spec.get("traffic") or {}).keys() - traffic.keys())
        metadata = {"uid": seen.metadata.uid, "resourceVersion": seen.metadata.resource_version}
        patch = {"metadata": metadata, "spec": {"traffic": {**gone, **traffic}}}
        return weights if await self._patched(path, patch, what) else None

    async def hold(self, endpoint: str, deployment: str, hold: Hold | None) -> None:
        await self._followed.known()
        noun = deployment_of(self._followed.snapshot, endpoint, deployment)
        path, uid = await self._resource(endpoint)
        check_hold(noun, hold)
        text = None if hold is None else msgspec.json.encode(hold).decode()
        change = {"metadata": {"uid": uid, "annotations": {f"{HOLD}{deployment}": text}}}
        if not await self._patched(path, change, f"set the number of replicas of {noun.key}"):
            raise Conflict(f"endpoint {endpoint} was made anew meanwhile")
        await self._seen(lambda now: now.holds.get(noun.key) == hold)

    async def _resource(self, endpoint: str) -> tuple[str, str]:
        """The path of the InferenceEndpoint, and its uid."""
        place = await self._place(endpoint)
        if place.resource_uid is None:
            raise Conflict(
                f"endpoint {endpoint} is adopted from Azure ML's v1, and has no resource that could say so: declare "
                f"it as an InferenceEndpoint in namespace {place.namespace}, as `scoregate import azureml` does"
            )
        return f"/apis/{API_VERSION}/namespaces/{place.namespace}/inferenceendpoints/{endpoint}", place.resource_uid

    # -- Pods ------------------------------------------------------------------------------------------------

    async def drain(self, replica: str, drained: bool) -> None:
        """A Pod that is a replica of several deployments is drained for all of them."""
        await self._followed.known()
        missing = f"there is no replica {replica[:80]!r}"
        is_one = any(each.uid == replica for each in self._followed.snapshot.replicas)
        pod = self._cluster.pod_of(replica) if is_one else None
        if pod is None:
            raise Unknown(missing)
        # Through the status, as leading/scaling.py says: the right to patch a Pod would be one to change its image.
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status"
        change = {"metadata": {"uid": pod.uid, "annotations": {DRAINED: "true" if drained else None}}}
        if not await self._patched(path, change, f"drain Pod {pod.name} in namespace {pod.namespace}", missing):
            raise Unknown(missing)
        await self._seen(lambda now: all(e.leaving == drained for e in now.replicas if pod_uid(e.uid) == pod.uid))

    async def decisions(self, endpoint: str, deployment: str, last: int) -> list[Any]:
        """Raises Unfit: they are in the autoscaler's own Pod."""
        await self._followed.known()
        noun = deployment_of(self._followed.snapshot, endpoint, deployment)
        raise Unfit(
            f"the autoscaler that leads keeps its decisions in its own Pod: kubectl -n {self._home} exec "
            f"deploy/scoregate-autoscaler -- scoregate explain {noun.key} --last {last}"
        )

    # -- inside ----------------------------------------------------------------------------------------------

    async def _place(self, endpoint: str) -> Place:
        await self._followed.known()
        noun = endpoint_of(self._followed.snapshot, endpoint)
        if (place := self._cluster.place_of(noun.name)) is None:
            raise Unknown(f"there is no endpoint {endpoint} any more")
        return place

    async def _read(
        self, path: str, kind: type[T], what: str, missing: str, query: Mapping[str, str] | None = None
    ) -> T:
        with told(what, missing=missing, right=RIGHT):
            answer = await self._api.read(path, query)
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError):  # whose text might quote a Secret
            raise PlatformError(f"GET {path}: the API server's answer can't be read") from None

    async def _patched(self, path: str, change: Mapping[str, object], what: str, missing: str = "") -> bool:
        """False: it is another by now."""
        try:
            with told(what, missing=missing or f"there is no {path.rpartition('/')[2]} any more", right=RIGHT):
                await self._api.write("PATCH", path, change, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status != 409:
                raise
            return False
        return True

    async def _seen(self, holds: Callable[[Snapshot], bool]) -> None:
        try:
            async with asyncio.timeout(SEEN_WITHIN_S):
                await self._followed.until(holds)
        except TimeoutError:
            return


async def _repeated(once: Callable[[], Awaitable[T | None]], changed: str) -> T:
    """What it returns in the end; None is that somebody else was faster. Raises Conflict."""
    for _ in range(TRIES):
        if (result := await once()) is not None:
            return result
    raise Conflict(f"{changed} by somebody else in each of {TRIES} tries")


def _keys(secret: KeysSecret) -> Keys:
    try:
        return secret.keys()
    except BadKeys as error:
        raise Conflict(str(error)) from None


def _folder(place: Place) -> str:
    return f"/api/v1/namespaces/{place.namespace}/secrets"


def _declared(seen: EndpointObject) -> Endpoint:
    """Raises Conflict for one that declares what can't be."""
    try:
        return _endpoint(seen, seen.spec)
    except DeclarationError as error:
        raise Conflict(f"mend the declaration of {seen.metadata.name} first: {'; '.join(error.problems)}") from None


def _weighed(seen: EndpointObject, traffic: Mapping[str, int]) -> Weights:
    """What each of its deployments would have then. Raises Conflict, Unfit."""
    for each in seen.spec["deployments"]:
        for field in ("trafficPercentile", "isDefault"):
            if each.get(field) is not None:
                raise Conflict(
                    f"endpoint {seen.metadata.name} splits its traffic the v1 way, by trafficPercentile and isDefault: "
                    f"take both from its deployments, and give spec.traffic, in one change (kubectl edit)"
                )
    try:
        return _endpoint(seen, {**seen.spec, "traffic": dict(traffic)}).weights
    except DeclarationError as error:
        raise Unfit("; ".join(error.problems)) from None


def _endpoint(seen: EndpointObject, spec: object) -> Endpoint:
    """Raises DeclarationError."""
    document = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": seen.metadata.name}, "spec": spec}
    return declared_resource(document, seen.metadata.namespace)
