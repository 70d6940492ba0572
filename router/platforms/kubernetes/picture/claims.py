"""Which InferenceEndpoint has which name, and what does it declare?

Pure. Scoring URLs know no namespaces: a name belongs to the oldest object that has it, good or not, so that every
router agrees, also one that has just started; the others wait for it to go. What an object declared last without a
problem stays in force while it says something wrong. Its annotations hold the numbers of replicas set by hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from router.core.declare import DeclarationError, declared_resource
from router.core.model import Endpoint, Hold
from router.core.rules import API_VERSION, KIND
from router.platforms.kubernetes.objects import HOLD, EndpointMetadata, EndpointObject
from router.platforms.kubernetes.picture.workloads import WorkloadId, workload_id

YEAR_10000_S = 253_402_300_800
"""Since the epoch: no calendar has what is later."""


class Claim(Struct, frozen=True, kw_only=True):
    """One InferenceEndpoint object."""

    key: str
    namespace: str
    name: str
    uid: str
    created: str
    generation: int
    spec: Any
    status: dict[str, Any]
    endpoint: Endpoint | None
    """The last one that was declared without a problem."""
    problems: tuple[str, ...]
    holds: dict[str, Hold]
    """By the deployment's name."""
    bad_holds: tuple[str, ...]
    """One sentence for each annotation that says nothing usable."""

    @property
    def workloads(self) -> Iterator[WorkloadId]:
        for deployment in self.endpoint.deployments if self.endpoint else ():
            if (workload := workload_id(deployment)) is not None:
                yield workload


class Claims:
    """All of them, by namespace/name."""

    def __init__(self) -> None:
        self._by_key: dict[str, Claim] = {}
        self._by_name: defaultdict[str, dict[str, Claim]] = defaultdict(dict)

    def put(self, key: str, seen: EndpointObject | None) -> tuple[Claim | None, Claim | None]:
        """It is this now, or gone. Returns what it was and what it is."""
        before = self._by_key.pop(key, None)
        if before is not None:
            del self._by_name[before.name][key]
            if not self._by_name[before.name]:
                del self._by_name[before.name]
        if seen is None:
            return before, None
        claim = _claim(key, seen, before)
        self._by_key[key] = self._by_name[claim.name][key] = claim
        return before, claim

    def owner(self, name: str) -> Claim | None:
        """Whose the name is."""
        claims = self._by_name.get(name)
        return min(claims.values(), key=lambda claim: (claim.created, claim.namespace)) if claims else None

    def __iter__(self) -> Iterator[Claim]:
        return iter(list(self._by_key.values()))


def _claim(key: str, seen: EndpointObject, before: Claim | None) -> Claim:
    metadata = seen.metadata
    if before is not None and before.uid != metadata.uid:
        before = None
    if before is not None and before.spec == seen.spec:
        endpoint, problems = before.endpoint, before.problems
    else:
        endpoint, problems = _declared(seen, before.endpoint if before else None)
    holds, bad_holds = _holds(metadata)
    return Claim(
        key=key,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        created=metadata.creation_timestamp or "",
        generation=metadata.generation,
        spec=seen.spec,
        status=seen.status if isinstance(seen.status, dict) else {},
        endpoint=endpoint,
        problems=problems,
        holds=holds,
        bad_holds=bad_holds,
    )


def _declared(seen: EndpointObject, last_good: Endpoint | None) -> tuple[Endpoint | None, tuple[str, ...]]:
    metadata = {"name": seen.metadata.name}
    document = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": seen.spec}
    try:
        return declared_resource(document, seen.metadata.namespace), ()
    except DeclarationError as error:
        return last_good, error.problems


def _holds(metadata: EndpointMetadata) -> tuple[dict[str, Hold], tuple[str, ...]]:
    """What its annotations say, and what is wrong with them."""
    holds: dict[str, Hold] = {}
    bad: list[str] = []
    for name, text in metadata.annotations.items():
        if not name.startswith(HOLD):
            continue
        try:
            hold = msgspec.json.decode(text, type=Hold)
            if hold.replicas < 0:
                raise msgspec.ValidationError(f"{hold.replicas} replicas are too few")
            if not 0 <= hold.until_s < YEAR_10000_S:
                raise msgspec.ValidationError("untilS is no time between 1970 and 9999, in seconds since 1970")
            holds[name.removeprefix(HOLD)] = hold
        except msgspec.MsgspecError as error:
            rule = 'it must be JSON as {"replicas": 3, "untilS": 1790000000}'
            bad.append(f"annotation {name} of InferenceEndpoint {metadata.key} is passed over, for {rule}: {error}")
    return holds, tuple(bad)


def kept(new: Endpoint, old: Endpoint | None) -> Endpoint:
    """Equal to the new one, made of as much of the old one as is still so."""
    if old is None or new == old:
        return old or new
    before = {deployment.name: deployment for deployment in old.deployments}
    same = (before.get(each.name) for each in new.deployments)
    pairs = zip(new.deployments, same, strict=True)
    return replace(new, deployments=tuple(mine if mine == each and mine is not None else each for each, mine in pairs))
