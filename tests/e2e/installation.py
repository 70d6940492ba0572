"""What does a cluster look like in which Scoregate and a model run?

I/O: kubectl, helm; processes through the test kubelet. Everything comes from the chart and from examples/: Pods differ
only in that their commands run on this machine, at the address of their Pod.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from bench.openloop import Plan, generate
from bench.processes import free_port
from bench.tally import Report
from tests.deploy.shipped import DEFINITION, ROOT, rendered
from tests.e2e.conftest import EXAMPLE, until
from tests.e2e.pod_network import PodNetwork
from tests.kubernetes.cluster import Cluster

MANIFEST = ROOT / "examples" / "kubernetes" / "iris.yaml"
FLOWERS = (EXAMPLE / "sample-request.json").read_bytes()
SCORE_S = 0.2
"""How long the slow model takes to score."""
LEASE = "scoregate-autoscaler"
_ROUTER = _AUTOSCALER = sys.executable, "-m", "router"


class Installation:
    """Scoregate from its chart, in a namespace of its own, serving the models of another."""

    def __init__(
        self,
        cluster: Cluster,
        home: str,
        models: str,
        folder: Path,
        *values: str,
        mounts: dict[str, Path] | None = None,
        network: PodNetwork | None = None,
        scaler: Sequence[str] = _AUTOSCALER,
    ) -> None:
        """`values`: more of the chart's. `mounts`: the folder of this machine that stands for what is mounted there:
        the test kubelet mounts nothing. `network`: of the routers, where they have one of their own. `scaler`: the
        command of autoscalers' Pods."""
        self.cluster = cluster
        self.home = home
        self.models = models
        self._folder = folder
        self._values = values or ("allowInsecureConnections=true",)
        self._network = network
        self._commands: Mapping[str, Sequence[str]] = {"router": _ROUTER, "autoscaler": scaler}
        self._mounts = {"/var/lib/scoregate": Path(f"{folder}/$(POD_NAME)"), **(mounts or {})}

    # -- setting up ------------------------------------------------------------------------------------------

    def install(self, routers: int = 2, *more: str) -> None:
        """Or upgrade. `more`: values of the chart."""
        self.cluster.kubectl("apply", "-f", str(DEFINITION))
        self.cluster.kubectl(
            "wait", "--for=condition=Established", "--timeout=30s", "crd/inferenceendpoints.scoregate.io"
        )
        objects = self._render(*more)
        self._apply([each for each in objects if each["kind"] != "Deployment"])
        for each in (each for each in objects if each["kind"] == "Deployment"):
            component = each["metadata"]["labels"]["app.kubernetes.io/component"]
            if component == "router":
                each["spec"]["replicas"] = routers
            self._apply([self._on_this_machine(each, component)])

    def _render(self, *more: str) -> list[dict[str, Any]]:
        values = "inferenceRouterServiceType=clusterIP", f"watchNamespaces={{{self.models}}}", *self._values, *more
        given = (f"--set={value}" for value in values)
        return rendered("--kube-version=1.20", *given, f"--namespace={self.home}", minimal=False)

    def grant(self, *values: str) -> None:
        """The rights that the chart gives with these values, and its own."""
        self._apply([each for each in self._render(*values) if each["kind"] in ("Role", "RoleBinding")])

    def _on_this_machine(self, deployment: dict[str, Any], component: str) -> dict[str, Any]:
        """The Pods' command as a process of this machine, that is nothing but the ServiceAccount of the chart."""
        template = deployment["spec"]["template"]
        account = template["spec"]["serviceAccountName"]
        (container,) = template["spec"]["containers"]
        template["metadata"].setdefault("annotations", {})["test-kubelet/run"] = "true"
        container["command"] = list(self._commands[component])
        container["args"] = [self._here(each) for each in container["args"]]
        environment = {
            "KUBECONFIG": str(self.cluster.kubeconfig_of(account, self.home, self._folder)),
            "SCOREGATE_NAMESPACE": self.home,
            "SCOREGATE_VAULT": "scoregate-vault",
            "PYTHONPATH": str(ROOT),
        }
        if component == "router":
            container["args"].append("--pod=$(POD_NAME)")
            environment["SCOREGATE_WORKERS"] = template["metadata"]["annotations"]["scoregate.io/workers"]
            container["readinessProbe"]["httpGet"]["port"] = 9001
        if component == "router" and self._network is not None:
            container["command"] = self._network.inside(container["command"])
            environment["KUBECONFIG"] = str(self._network.reaching(Path(environment["KUBECONFIG"])))
        container["env"] = [{"name": name, "value": value} for name, value in environment.items()]
        container["workingDir"] = str(self._folder)
        return deployment

    def _here(self, word: str) -> str:
        for mounted, folder in self._mounts.items():
            word = word.replace(mounted, str(folder))
        return word.replace("0.0.0.0", "$(POD_IP)")

    def deploy_iris(self, *, slow: bool, **spec: Any) -> None:
        """examples/kubernetes/iris.yaml, with the model server from this machine. `slow`: a score takes a while."""
        code = self._folder / ("slow" if slow else "iris")
        if not code.exists():
            shutil.copytree(EXAMPLE, code, ignore=shutil.ignore_patterns("__pycache__"))
            subprocess.run([sys.executable, code / "train.py"], check=True, capture_output=True)
            if slow:
                script = code / "score.py"
                text = script.read_text()
                sleeping = f"    __import__('time').sleep({SCORE_S})\n    measured ="
                script.write_text(text.replace("    measured =", sleeping))
        workload, endpoint = yaml.safe_load_all(MANIFEST.read_text())
        template = workload["spec"]["template"]
        (container,) = template["spec"]["containers"]
        template["metadata"]["annotations"] = {"test-kubelet/run": "true"}
        server = f"{sys.executable} -m azureml_inference_server_http {' '.join(container['args'])}"
        container["command"] = ["bash", "-c", _AS_A_POD.format(server=server, pre_stop_s=1)]
        container["args"] = []
        container["env"] += [
            {"name": "AZUREML_MODEL_DIR", "value": "models/blue"},
            {"name": "PORT", "value": "5001"},
        ]
        container["workingDir"] = str(code)
        del container["lifecycle"]  # the test kubelet knows none: it is in the command
        endpoint["spec"]["deployments"][0].update(spec)
        for each in (workload, endpoint):
            each["metadata"]["namespace"] = self.models
        self._apply([workload, endpoint])

    def _apply(self, documents: list[dict[str, Any]]) -> None:
        """Each to the namespace that it names, or for which it is."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        self.cluster.kubectl("apply", "-f", "-", text=text)

    # -- looking ---------------------------------------------------------------------------------------------

    def pods(self, labels: str, namespace: str) -> list[dict[str, Any]]:
        return list(self.cluster.get("pods", "-l", labels, namespace=namespace)["items"])

    def routers(self) -> list[str]:
        """The addresses of those that are ready."""
        pods = self.pods("app.kubernetes.io/component=router", self.home)
        return [pod["status"]["podIP"] for pod in pods if is_ready(pod)]

    def models_ready(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.pods("app=iris", self.models) if is_ready(pod)]

    def wished(self) -> int:
        return int(self.cluster.get("deployment", "iris-blue", namespace=self.models)["spec"]["replicas"])

    def keys(self) -> dict[str, str]:
        data = self.cluster.get("secret", "iris-keys", namespace=self.models)["data"]
        return {name: base64.b64decode(value).decode() for name, value in data.items()}

    def status(self) -> dict[str, Any]:
        return dict(self.cluster.get("inferenceendpoint", "iris", namespace=self.models).get("status", {}))

    def condition(self, kind: str) -> dict[str, Any]:
        return next((each for each in self.status().get("conditions", []) if each["type"] == kind), {})

    def leader(self) -> str:
        return str(self.cluster.get("lease", LEASE, namespace=self.home)["spec"].get("holderIdentity", ""))

    def readiness(self, router: str) -> str:
        return httpx.get(f"http://{router}:9001/readyz", trust_env=False, timeout=5.0).text

    def score(self, key: str, router: str | None = None) -> httpx.Response:
        url = f"http://{router or self.routers()[0]}:8080/api/v1/endpoint/iris/score"
        return httpx.post(url, content=FLOWERS, headers=_headers(key), trust_env=False, timeout=30.0)

    def ready(self) -> None:
        until("routers are ready", lambda: len(self.routers()) >= 1)
        until("the keys are there", lambda: self._has("secret", "iris-keys", self.models))
        until("the model is ready", self.models_ready)
        until("a score is 200", lambda: self.score(self.keys()["primaryKey"]).status_code == 200)

    def _has(self, kind: str, name: str, namespace: str) -> bool:
        return name in self.cluster.kubectl("--namespace", namespace, "get", kind, "-o", "name", "--ignore-not-found")

    def scale_between(self, least: int, most: int) -> None:
        """Its `minInstances` and `maxInstances`."""
        path = "/spec/deployments/0/scaleSettings"
        patch = [
            {"op": "replace", "path": f"{path}/minInstances", "value": least},
            {"op": "replace", "path": f"{path}/maxInstances", "value": most},
        ]
        self.cluster.kubectl("-n", self.models, "patch", "iep", "iris", "--type=json", "-p", json.dumps(patch))

    def metrics(self, router: str) -> str:
        return httpx.get(f"http://{router}:9001/metrics", trust_env=False, timeout=5.0).text

    def load(self, router: str) -> dict[str, Any]:
        (load,) = httpx.get(f"http://{router}:9001/load?scope=instance", trust_env=False, timeout=5.0).json()
        return dict(load)

    @contextmanager
    def router_of(self, account: str) -> Iterator[tuple[str, Path]]:
        """A router with the rights of this ServiceAccount of our namespace: its internal URL, and its log."""
        log = self._folder / f"{account}.log"
        admin = f"http://127.0.0.1:{free_port()}"
        argv = [sys.executable, "-m", "router", "router", "--platform", "kubernetes", "--port", "0"]
        argv += ["--namespaces", self.models, "--admin-port", admin.rpartition(":")[2]]
        argv += ["--state-dir", str(self._folder / account)]
        kubeconfig = self.cluster.kubeconfig_of(account, self.home, self._folder)
        with log.open("wb") as file:
            process = subprocess.Popen(argv, stderr=file, env={**os.environ, "KUBECONFIG": str(kubeconfig)})
        try:
            until("it listens", lambda: "internal on" in log.read_text())
            yield admin, log
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)

    # -- a load ----------------------------------------------------------------------------------------------

    @contextmanager
    def loaded(self, moments_s: list[float], key: str, router: str | None = None) -> Iterator[Future[Report]]:
        """Requests at these moments, from now on; the block ends when the last one has its reply."""
        plan = Plan(
            url=f"http://{router or self.routers()[0]}:8080/api/v1/endpoint/iris/score",
            moments_s=moments_s,
            seconds=max(moments_s) + 0.1,
            headers=_headers(key),
            body=FLOWERS,
        )
        with ThreadPoolExecutor(1) as pool:
            report = pool.submit(lambda: asyncio.run(generate(plan)))
            yield report
            report.result()


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _headers(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", "content-type": "application/json"}


def process_of(pod: str) -> int:
    """The first process of a Pod that runs on this machine."""
    name = f"POD_NAME={pod}".encode()
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            if name in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and os.getsid(pid) == pid:
                return pid
        except OSError:
            continue
    raise AssertionError(f"no process of Pod {pod}")


_AS_A_POD = """
HOST=$POD_IP setsid {server} & server=$!
trap 'sleep {pre_stop_s}; kill -TERM $server' TERM
wait $server; wait $server
"""
"""What a kubelet does beside running the server: at its end it waits for the preStop hook, then sends SIGTERM."""
