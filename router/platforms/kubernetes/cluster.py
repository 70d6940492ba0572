"""What is all that the API server said, in our nouns?

Pure. Objects come and go one at a time, in any order; `snapshot()` is what they amount to, and does not depend on that
order. What an event does not concern stays the very object that it was, so that one Pod among ten thousand costs what
one Pod costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from router.core.model import Deployment, Endpoint, Hold, Pods, PodsKind, Replica, Snapshot, Trouble
from router.core.rules import API_VERSION, KIND
from router.platforms import ClusterSettings
from router.platforms.kubernetes.keys_secret import KeysSecret
from router.platforms.kubernetes.objects import Autoscaler, EndpointObject, Pod, Workload
from router.platforms.kubernetes.picture.adoption import Adoption
from router.platforms.kubernetes.picture.claims import Claim, Claims, kept
from router.platforms.kubernetes.picture.index import Index
from router.platforms.kubernetes.picture.keyring import Keyring, KeysState, secret_of
from router.platforms.kubernetes.picture.members import Member, Membership
from router.platforms.kubernetes.picture.routers import NO_POD, OwnPod, Routers
from router.platforms.kubernetes.picture.workloads import Facts, WorkloadId, Workloads, pods_of


class Account(Struct, frozen=True, kw_only=True):
    """What is to be said of one InferenceEndpoint object."""

    namespace: str
    name: str
    uid: str
    generation: int
    status: dict[str, Any]
    """The present one, as it was read."""
    endpoint: Endpoint | None
    """As it is served; None when it isn't."""
    problems: tuple[str, ...]
    """Of the declaration, one for each thing to mend."""
    name_taken_by: str | None
    """namespace/name of the older object that is served under this name."""
    missing: tuple[str, ...]
    """As in "blue: there is no Deployment iris-blue in namespace models"."""
    secret: str
    """The name of the Secret with its keys; "" where it wants none."""
    keys: KeysState
    keys_problem: str
    holds: dict[str, Hold] = {}
    """By the deployment's name; also those whose time is over."""


class Owner(NamedTuple):
    """The object with which another shall go."""

    api_version: str
    kind: str
    name: str
    uid: str


class KeysWanted(NamedTuple):
    """A Secret that an endpoint needs, and that is not there."""

    namespace: str
    secret: str
    endpoint: str
    creates: bool
    """Whether the endpoint lets it be made."""
    owner: Owner | None
    """None for an adopted endpoint."""


class Place(NamedTuple):
    """Where what concerns one endpoint is kept."""

    endpoint: Endpoint
    namespace: str
    secret: str
    """With its keys; "" where it wants none."""
    resource_uid: str | None
    """Of the InferenceEndpoint that declares it; None for an adopted endpoint, which has none."""


class _Served(NamedTuple):
    endpoint: Endpoint
    """With the hashes of its keys."""
    declared: Endpoint
    """Without."""
    secret: str
    """namespace/name."""


class Cluster:
    """Keys of objects are namespace/name; those of deployments endpoint/name. None: the object is gone."""

    def __init__(self, settings: ClusterSettings, own: OwnPod = NO_POD) -> None:
        self.routers = Routers(own)
        self._adopts = settings.adopt_v1
        self._claims = Claims()
        self._adoption = Adoption()
        self._workloads = Workloads()
        self._keyring = Keyring()
        self._membership = Membership()
        self._served: dict[str, _Served] = {}
        self._deployments: dict[str, Deployment] = {}
        self._facts: dict[str, Facts] = {}
        self._declared_by: Index[WorkloadId] = Index()
        self._secret_users: Index[str] = Index()
        self._stale_names: set[str] = set()
        self._stale_deployments: set[str] = set()
        self._snapshot = Snapshot()

    # -- what the API server says --------------------------------------------------------------------------

    def endpoint(self, key: str, seen: EndpointObject | None) -> None:
        before, now = self._claims.put(key, seen)
        if before is not None:
            self._declares(before, says_so=False)
        if now is not None:
            self._declares(now, says_so=True)

    def pod(self, key: str, seen: Pod | None) -> None:
        self._membership.pod(key, seen)

    def workload(self, kind: PodsKind, key: str, seen: Workload | None) -> None:
        self._stale_deployments |= self._workloads.put(kind, key, seen)
        if self._adopts and kind == "Deployment":
            self._stale_names |= self._adoption.put(key, seen)

    def autoscaler(self, key: str, seen: Autoscaler | None) -> None:
        self._stale_deployments |= self._workloads.autoscaler(key, seen)

    def secret(self, key: str, seen: KeysSecret | None) -> None:
        self._keyring.put(key, seen)
        self._stale_names |= self._secret_users[key]

    # -- what it amounts to --------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Endpoints by name, their deployments as declared, replicas the oldest first. The same object as before if
        nothing is different."""
        self._settle()
        fresh = Snapshot(
            endpoints=tuple(served.endpoint for served in self._served.values()),
            replicas=tuple(chain.from_iterable(self._replicas())),
            wished={key: wished for key in self._deployments if (wished := self._facts[key].wished) is not None},
            troubles=tuple(chain.from_iterable(self._troubles())),
            holds=dict(self._holds()),
            instances=self.routers.instances(),
        )
        if fresh != self._snapshot:
            self._snapshot = fresh
        return self._snapshot

    def accounts(self) -> Iterator[Account]:
        """One for each InferenceEndpoint object, served or not."""
        self._settle()
        for claim in self._claims:
            yield self._account(claim)

    def keys_wanted(self) -> list[KeysWanted]:
        """Of every endpoint that is served, adopted ones too. Ask only once all Secrets were told."""
        self._settle()
        wanted = []
        for name, served in self._served.items():
            namespace, _, secret = served.secret.partition("/")
            if self._keyring.held(namespace, served.declared).state == "missing":
                claim = self._claims.owner(name)
                owner = None if claim is None else Owner(API_VERSION, KIND, claim.name, claim.uid)
                wanted.append(KeysWanted(namespace, secret, name, served.declared.creates_keys, owner))
        return wanted

    def left_out(self) -> list[str]:
        """Which workloads of Azure ML's v1 are not served, and which holds not kept, and why, one sentence each."""
        names = (name for name in self._adoption.names if self._claims.owner(name) is None)
        refused = (why for name in names for why in self._adoption.refused(name, self._is_declared))
        return [*refused, *(why for claim in self._claims for why in claim.bad_holds)]

    def place_of(self, endpoint: str) -> Place | None:
        """None where no endpoint of that name is served."""
        self._settle()
        served, claim = self._served.get(endpoint), self._claims.owner(endpoint)
        if served is None:
            return None
        namespace, _, secret = served.secret.partition("/")
        return Place(served.endpoint, namespace, secret, None if claim is None else claim.uid)

    def pod_of(self, replica: str) -> Member | None:
        """The Pod of the replica with this uid."""
        return self._membership.find(replica)

    def scalable(self, deployment: str) -> Pods | None:
        """Where its number of replicas is set; None where there is no such deployment, or only labels choose them."""
        self._settle()
        noun = self._deployments.get(deployment)
        return None if noun is None or pods_of(noun).kind is None else pods_of(noun)

    def pods_of(self, deployment: str) -> list[Member]:
        """Those that stay, the oldest first, also those that can't be placed; each under the uid of its replica."""
        self._settle()
        return self._membership.pods_of(deployment)

    # -- inside --------------------------------------------------------------------------------------------

    def _declares(self, claim: Claim, *, says_so: bool) -> None:
        self._stale_names.add(claim.name)
        for workload in claim.workloads:
            if says_so:
                self._declared_by.add(workload, claim.key)
            else:
                self._declared_by.discard(workload, claim.key)
            if (adopted := self._adoption.name_of(workload[1])) is not None:
                self._stale_names.add(adopted)

    def _is_declared(self, key: str) -> bool:
        """Whether some resource declares this Deployment."""
        return bool(self._declared_by["Deployment", key])

    def _settle(self) -> None:
        """Names first, then the deployments behind them, then their Pods."""
        if self._stale_names:
            for name in self._stale_names:
                self._serve(name)
            self._stale_names.clear()
            self._arrange()
        for key in self._stale_deployments:
            self._look(key)
        self._stale_deployments.clear()
        self._membership.look()

    def _serve(self, name: str) -> None:
        before = self._served.pop(name, None)
        if before is not None:
            self._secret_users.discard(before.secret, name)
        declared = self._declared(name)
        if declared is None:
            return
        namespace = pods_of(declared.deployments[0]).namespace
        secret = f"{namespace}/{secret_of(declared)}"
        self._secret_users.add(secret, name)
        declared = kept(declared, before.declared if before else None)
        endpoint = replace(declared, keys=self._keyring.held(namespace, declared).hashes)
        if before is not None and before.endpoint == endpoint:
            endpoint = before.endpoint
        self._served[name] = _Served(endpoint, declared, secret)

    def _declared(self, name: str) -> Endpoint | None:
        """By the owner of the name; by nobody: by v1's labels."""
        owner = self._claims.owner(name)
        if owner is not None:
            return owner.endpoint
        return self._adoption.adopt(name, self._is_declared)

    def _arrange(self) -> None:
        """Names were given, taken away, or mean something else."""
        self._served = dict(sorted(self._served.items()))
        before = self._deployments
        self._deployments = {
            deployment.key: deployment for served in self._served.values() for deployment in served.declared.deployments
        }
        for key in before.keys() - self._deployments.keys():
            self._stale_deployments |= self._workloads.drop(key)
            self._membership.forget(key)
            del self._facts[key]
        for key, deployment in self._deployments.items():
            if deployment is not before.get(key):
                self._stale_deployments |= self._workloads.use(deployment)
        self._stale_deployments &= self._deployments.keys()

    def _look(self, key: str) -> None:
        pods = pods_of(self._deployments[key])
        facts = self._facts[key] = self._workloads.facts(key)
        self._membership.choose(key, pods.port, pods.namespace, facts.selector)

    def _holds(self) -> Iterator[tuple[str, Hold]]:
        for name, served in self._served.items():
            claim = self._claims.owner(name)
            holds = {} if claim is None else claim.holds
            for each in served.declared.deployments if holds else ():
                if each.name in holds:
                    yield each.key, holds[each.name]

    def _replicas(self) -> Iterator[tuple[Replica, ...]]:
        return (self._membership.of(key).replicas for key in self._deployments)

    def _troubles(self) -> Iterator[tuple[Trouble, ...]]:
        for key in self._deployments:
            yield self._facts[key].troubles
            yield self._membership.of(key).troubles

    def _account(self, claim: Claim) -> Account:
        owner = self._claims.owner(claim.name)
        served = self._served.get(claim.name) if owner is claim else None
        deployments = served.declared.deployments if served else ()
        held = self._keyring.held(claim.namespace, claim.endpoint) if claim.endpoint else None
        return Account(
            namespace=claim.namespace,
            name=claim.name,
            uid=claim.uid,
            generation=claim.generation,
            status=claim.status,
            endpoint=served.endpoint if served else None,
            problems=claim.problems,
            name_taken_by=owner.key if owner is not None and owner is not claim else None,
            missing=tuple(missing for each in deployments if (missing := self._facts[each.key].missing)),
            secret=secret_of(claim.endpoint) if claim.endpoint else "",
            keys=held.state if held else "unused",
            keys_problem=held.problem if held else "",
            holds=claim.holds,
        )
