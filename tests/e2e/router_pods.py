"""What does a cluster look like in which several router Pods share replicas that count their own requests?

I/O: kubectl, helm, `ip`; processes through the test kubelet. Every router Pod has a network of its own
(pod_network.py), so that its traffic can be told and cut.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import yaml

from bench.dispatch.counting import Account, Overlap
from router.platforms.local.state import RouterPlace, StateDirectory
from tests.deploy.shipped import ROOT
from tests.e2e.conftest import until
from tests.e2e.counting_replica import account_at
from tests.e2e.crowd import PORT, Crowd, Pods
from tests.e2e.installation import MANIFEST, Installation
from tests.e2e.pod_network import PodNetwork, pod_network
from tests.kubernetes.cluster import Cluster

ROUTERS, REPLICAS = 3, 3
_DEPLOYMENT = "deployment/scoregate-router"
_ACCOUNTS = 5002


class Page(msgspec.Struct, rename="camel"):
    """What an instance says of one of them."""

    id: str
    is_self: bool
    up: bool
    owns: int
    view_agrees: bool


class RouterPods:
    """Their installation, and whoever calls them."""

    def __init__(self, installed: Installation, network: PodNetwork, folder: Path) -> None:
        self.installed = installed
        self.network = network
        self.crowd: Crowd
        self._folder = folder

    # -- what there is -----------------------------------------------------------------------------------------

    def pods(self) -> dict[str, dict[str, Any]]:
        """Those that are not on their way out, by name."""
        pods = self.installed.pods("app.kubernetes.io/component=router", self.installed.home)
        return {pod["metadata"]["name"]: pod for pod in pods if "deletionTimestamp" not in pod["metadata"]}

    def addresses(self) -> dict[str, str]:
        return {name: pod["status"].get("podIP", "") for name, pod in self.pods().items()}

    def workers(self, pod: str) -> dict[int, RouterPlace]:
        """Those that run, by number."""
        return {place.index: place for place in StateDirectory(self._folder / pod).living_routers()}

    def said(self) -> str:
        """Whatever all processes in Pods have logged."""
        return (self.installed.cluster.kubeconfig.parent / "log" / "kubelet.log").read_text(errors="replace")

    def views(self, address: str) -> dict[str, list[Page]]:
        """Of the instances of one Pod that answer, by their ids: how they see all. Who answers is by chance, and where
        nothing else is asked of them it may be the same one each time."""
        found: dict[str, list[Page]] = {}
        with suppress(httpx.TransportError):
            for _ in range(4):
                reply = httpx.get(f"http://{address}:9001/instances", trust_env=False, timeout=5.0)
                pages = msgspec.json.decode(reply.content, type=list[Page])
                found[pages[0].id] = pages
        return found

    def views_of_all(self) -> dict[str, list[Page]]:
        return {id: view for address in self.addresses().values() for id, view in self.views(address).items()}

    def owner(self) -> tuple[str, int]:
        """The Pod, and the number of its worker."""
        uid, _, index = str(until("one owns it", self._owner)).partition("/0#")
        return next(name for name, pod in self.pods().items() if pod["metadata"]["uid"] == uid), int(index)

    def _owner(self) -> str:
        views = self.views(next(iter(self.addresses().values())))
        return next((owner for view in views.values() for owner in _owners(view)), "")

    def are_one(self, workers: int) -> bool:
        """Whether all that answer, in each Pod, see all and the same owner."""
        views = self.views_of_all()
        there = len({id.partition("/")[0] for id in views}) == ROUTERS
        whole = all(len(view) == workers * ROUTERS for view in views.values())
        agree = all(page.up and page.view_agrees for view in views.values() for page in view)
        return there and whole and agree and len({owner for view in views.values() for owner in _owners(view)}) == 1

    # -- what is done to it --------------------------------------------------------------------------------------

    def deploy_counting(self) -> None:
        """examples/kubernetes/iris.yaml, with replicas that count."""
        workload, endpoint = yaml.safe_load_all(MANIFEST.read_text())
        workload["spec"]["replicas"] = REPLICAS
        template = workload["spec"]["template"]
        (container,) = template["spec"]["containers"]
        template["metadata"]["annotations"] = {"test-kubelet/run": "true"}
        container["command"] = [sys.executable, "-m", "tests.e2e.counting_replica"]
        container["args"] = ["$(POD_IP)", "5001", str(_ACCOUNTS)]
        container["workingDir"] = str(ROOT)
        del container["lifecycle"]
        endpoint["spec"]["deployments"][0].update(
            requestSettings={
                "requestTimeoutMs": 10_000,
                "maxConcurrentRequestsPerInstance": 1,
                "maxQueueWaitMs": 20_000,
            },
            scaleSettings={"minInstances": REPLICAS, "maxInstances": REPLICAS},
        )
        self.installed.cluster.apply(workload, endpoint, namespace=self.installed.models)

    def be(self, workers: int) -> None:
        """So many workers in each Pod, and all of them one."""
        self.installed.install(ROUTERS, f"workers={workers}")
        self.until_rolled_out()
        until("all instances are one", lambda: self.are_one(workers))

    def restart(self) -> None:
        """All Pods, one after the other."""
        self._kubectl("rollout", "restart", _DEPLOYMENT)
        self.until_rolled_out()

    def until_rolled_out(self) -> None:
        until("the routers are rolled out", self._is_rolled_out)

    def _is_rolled_out(self) -> bool:
        deployment = self.installed.cluster.get(*_DEPLOYMENT.split("/"), namespace=self.installed.home)
        status, wished = deployment["status"], deployment["spec"]["replicas"]
        counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
        return bool(status.get("observedGeneration") == deployment["metadata"]["generation"] and counts == {wished})

    def kill_pod(self, pod: str) -> None:
        """Every process of the router in it, at once; the node starts it again."""
        workers = [place.pid for place in self.workers(pod).values()]
        for pid in [*{_parent(pid) for pid in workers}, *workers]:
            os.kill(pid, signal.SIGKILL)

    def may_list_pods(self, may: bool) -> None:
        """Those of the installation."""
        if may:
            self.installed.grant()
            return
        role = self.installed.cluster.get("role", "scoregate-router-home", namespace=self.installed.home)
        role["rules"] = [rule for rule in role["rules"] if rule["resources"] != ["pods"]]
        self.installed.cluster.apply(role, namespace=self.installed.home)

    def limit(self, requests: int) -> None:
        """What each replica may have at a time."""
        path = "/spec/deployments/0/requestSettings/maxConcurrentRequestsPerInstance"
        patch = json.dumps([{"op": "replace", "path": path, "value": requests}])
        self.installed.cluster.kubectl("-n", self.installed.models, "patch", "iep", "iris", "--type=json", "-p", patch)

    def _kubectl(self, *words: str) -> str:
        return self.installed.cluster.kubectl("--namespace", self.installed.home, *words)

    # -- what the replicas saw -----------------------------------------------------------------------------------

    def most(self) -> int:
        """Requests that a replica had at a time, since this was asked last."""
        return max(account.most for account in self._accounts())

    def overlaps(self) -> list[Overlap]:
        """Times in which a replica had more than one request, since this was asked last."""
        return [overlap for account in self._accounts() for overlap in account.overlaps]

    def _accounts(self) -> list[Account]:
        pods = self.installed.pods("app=iris", self.installed.models)
        return [account_at(pod["status"]["podIP"], _ACCOUNTS) for pod in pods]


def _owners(view: list[Page]) -> list[str]:
    return [page.id for page in view if page.owns]


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@contextmanager
def router_pods(
    cluster: Cluster,
    folder: Path,
    workers: int,
    *,
    nodes: Callable[[Path], AbstractContextManager[PodNetwork]] = pod_network,
    values: Sequence[str] = ("selfScaling.enabled=false",),
    **more: Any,
) -> Iterator[RouterPods]:
    """With so many workers in each, at first. `nodes`: what there is around each Pod. `values`: of the chart. `more`:
    as Installation has it."""
    with (
        nodes(cluster.kubeconfig) as network,
        cluster.namespace("home") as home,
        cluster.namespace("models") as models,
    ):
        values = "allowInsecureConnections=true", *values
        installed = Installation(cluster, home, models, folder, *values, network=network, **more)
        site = RouterPods(installed, network, folder)
        site.installed.install(ROUTERS, f"workers={workers}")
        site.deploy_counting()
        until("replicas are ready", lambda: len(site.installed.models_ready()) == REPLICAS)
        site.until_rolled_out()
        headers = {"authorization": f"Bearer {_key(site.installed)}"}
        pods = Pods(str(cluster.kubeconfig), home, "scoregate")
        try:
            site.crowd = Crowd(pods, "/api/v1/endpoint/iris/score", headers)
            until("clients find all", lambda: len(pods.addresses) == ROUTERS)
            until("all are scored by", lambda: all(_scores(each, headers) for each in pods.addresses))
            yield site
        finally:
            pods.close()
            cluster.kubectl("--namespace", home, "delete", "deployments", "--all", "--wait=false")
            cluster.until_no_pods("--namespace", home)


def _key(installed: Installation) -> str:
    def primary() -> str:
        with suppress(AssertionError):
            return installed.keys()["primaryKey"]
        return ""

    return str(until("the keys are there", primary))


def _scores(address: str, headers: dict[str, str]) -> bool:
    url = f"http://{address}:{PORT}/api/v1/endpoint/iris/score"
    with suppress(httpx.TransportError):
        reply = httpx.post(url, content=json.dumps({"n": 0, "s": 0.0}), headers=headers, trust_env=False, timeout=5.0)
        return reply.status_code == 200
    time.sleep(0.1)
    return False
