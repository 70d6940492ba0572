"""How does a test get a real Kubernetes API server?

I/O: starts processes, or uses the cluster that KUBECONFIG names. `cluster` is the fixture: one control plane for each
process that runs tests, with ports, addresses and a folder of its own; one that runs already is never touched.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.processes import free_port

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT.parent / "shared" / "kubernetes"
TOOLS = ("bash", "openssl", "xz", "curl", "kubectl", "ip")
START_WITHIN_S = 180.0
ANSWER_WITHIN_S = 60.0


class Cluster:
    """A cluster that tests may fill. `can_fault`: it may be broken, too; `repair` makes it whole again."""

    def __init__(self, kubeconfig: Path, environment: dict[str, str] | None = None) -> None:
        self.kubeconfig = kubeconfig
        self._environment = environment
        self._broken = False

    @property
    def can_fault(self) -> bool:
        return self._environment is not None

    def needs_faults(self) -> None:
        """Skips the test where the cluster is not ours to break."""
        if not self.can_fault:
            pytest.skip("KUBECONFIG names a cluster that is not ours to break")

    def kubectl(self, *words: str, text: str | None = None) -> str:
        """What it prints. Raises `AssertionError` with what it complains of. `text`: its input."""
        argv = ["kubectl", "--kubeconfig", str(self.kubeconfig), *words]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=ANSWER_WITHIN_S)
        assert done.returncode == 0, f"{' '.join(argv[3:])}: {done.stderr.strip()}"
        return done.stdout

    def apply(self, *documents: dict[str, Any], namespace: str = "default") -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        self.kubectl("--namespace", namespace, "apply", "-f", "-", text=text)

    def get(self, *words: str, namespace: str = "default") -> dict[str, Any]:
        return dict(json.loads(self.kubectl("--namespace", namespace, "get", *words, "-o", "json")))

    def fault(self, *words: str) -> str:
        """As `fault kill apiserver`: kill, term, pause, resume, start or restart of apiserver, etcd, kcm or kubelet;
        `compact`."""
        assert self._environment is not None, "not ours to break: ask can_fault first"
        self._broken = True
        return _run([str(SCRIPTS / "fault"), *words], self._environment, ANSWER_WITHIN_S)

    def repair(self) -> None:
        """What was paused goes on, what was ended starts; returns when the API server answers."""
        if not self._broken:
            return
        for name in ("etcd", "apiserver", "kcm", "kubelet"):
            if self._runs(name):
                self.fault("resume", name)
            else:
                self.fault("start", name)
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while (reply := self._ready()) != "ok":
            assert time.monotonic() < deadline, f"the API server does not get well: {reply}"
            time.sleep(0.1)
        self._broken = False

    @contextmanager
    def namespace(self, prefix: str = "t") -> Iterator[str]:
        """A fresh one, where Pods can be made; deleted after, which the cluster finishes by itself."""
        self.repair()
        name = f"{prefix}-{secrets.token_hex(4)}"
        self.kubectl("create", "namespace", name)
        try:
            self._until_there("serviceaccount", "default", "--namespace", name)
            yield name
        finally:
            self.repair()
            self.kubectl("delete", "namespace", name, "--wait=false")

    def until_no_pods(self, *scope: str) -> bool:
        """Whether the last one goes in time: a kubelet that is stopped before would leave their processes behind.
        `scope`: which Pods, as kubectl is told; all of them if nothing is."""
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while self.kubectl("get", "pods", "--output=name", *(scope or ("--all-namespaces",))):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

    @contextmanager
    def custom_resource(self, group: str, kind: str, plural: str) -> Iterator[None]:
        """Any spec, any status, and the status subresource."""
        open_schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}}
        name = f"{plural}.{group}"
        spec = {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{**version, "schema": {"openAPIV3Schema": open_schema}}],
        }
        definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
        self.apply({**definition, "metadata": {"name": name}, "spec": spec})
        try:
            self.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{name}")
            self._until_there(name)
            yield
        finally:
            self.repair()
            self.kubectl("delete", "crd", name, "--wait=false")

    def token(self, service_account: str, namespace: str, seconds: int = 3600) -> str:
        """Of a ServiceAccount, as its Pods have one."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        wish = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        text = json.dumps({**wish, "spec": {"expirationSeconds": seconds}})
        return str(json.loads(self.kubectl("create", "--raw", path, "-f", "-", text=text))["status"]["token"])

    def kubeconfig_of(self, service_account: str, namespace: str, folder: Path) -> Path:
        """That of a program which is nothing but this ServiceAccount."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        config["users"] = [{"name": "account", "user": {"token": self.token(service_account, namespace)}}]
        for each in config["contexts"]:
            each["context"].update(user="account", namespace=namespace)
        path = folder / f"{namespace}-{service_account}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def _runs(self, name: str) -> bool:
        assert self._environment is not None
        try:
            os.kill(int((Path(self._environment["K8S_RUN"]) / f"{name}.pid").read_text()), 0)
        except (OSError, ValueError):
            return False
        return True

    def _ready(self) -> str:
        try:
            return self.kubectl("get", "--raw", "/readyz")
        except AssertionError as error:
            return str(error)

    def _until_there(self, *words: str) -> None:
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while True:
            try:
                self.kubectl("get", *words)
                return
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)


def missing() -> str:
    """Why no control plane can be started here; "": one can."""
    if not (SCRIPTS / "up").is_file():
        return "KUBECONFIG is not set, and ../shared/kubernetes is not there to start a control plane"
    if tools := [name for name in TOOLS if shutil.which(name) is None]:
        return f"a control plane cannot be started without {', '.join(tools)}"
    return "" if os.geteuid() == 0 else "a control plane can be started by root only, for the route to its Pods"


def environment(folder: Path) -> dict[str, str]:
    """What `up`, `down` and `fault` are told: nothing that another control plane here has."""
    names = ("API_PORT", "ETCD_PORT", "KCM_PORT")
    return {
        "K8S_RUN": str(folder),
        "POD_CIDR": str(free_network()),
        "PYTHON": sys.executable,
        **dict(zip(names, map(str, free_ports(3)), strict=True)),
    }


def unpack(into: Path) -> None:
    """The programs that `up` wants in K8S_RUN/bin: it would unpack all 300 MB for every control plane."""
    into.mkdir(parents=True, exist_ok=True)
    with (into / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for packed in (SCRIPTS / "bin").glob("*.xz"):
            program = into / packed.stem
            if not program.exists() or program.stat().st_mtime < packed.stat().st_mtime:
                fresh = program.with_suffix(".part")
                with fresh.open("wb") as out:
                    subprocess.run(["xz", "-dc", str(packed)], check=True, stdout=out)
                fresh.chmod(0o755)
                fresh.replace(program)


def free_network() -> IPv4Network:
    """Addresses for Pods, of those that clusters commonly use, that no route of this machine leads to."""
    routes = subprocess.run(["ip", "-4", "route", "show", "table", "all"], check=True, capture_output=True, text=True)
    words = (word for line in routes.stdout.splitlines() for word in line.split()[:2] if word[0].isdigit())
    taken = [IPv4Network(word, strict=False) for word in words]
    common = (
        block for number in range(244, 248) for block in IPv4Network(f"10.{number}.0.0/16").subnets(new_prefix=20)
    )
    free = [block for block in common if not any(block.overlaps(each) for each in taken)]
    assert free, "all Pod networks are in use: end some control planes"
    return free[os.getpid() % len(free)]  # two that look at once have two ids, and so take two networks


def free_ports(count: int) -> list[int]:
    """Each with a free one after it: etcd takes two."""
    firsts = (port for port in iter(free_port, None) if _is_free(port + 1))
    return list(islice(firsts, count))


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _run(argv: Sequence[str], extra: dict[str, str], within_s: float) -> str:
    done = subprocess.run(argv, env=os.environ | extra, capture_output=True, text=True, timeout=within_s)
    assert done.returncode == 0, f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}"
    return done.stdout


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if given := os.environ.get("KUBECONFIG"):
        yield Cluster(Path(given.split(os.pathsep)[0]))
        return
    if why := missing():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("kubernetes")
    unpack(ROOT / "build" / "kubernetes")
    (folder / "bin").symlink_to(ROOT / "build" / "kubernetes")
    ours = environment(folder)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        sys.stderr.write(f"\nstarting a Kubernetes control plane at port {ours['API_PORT']} ...\n")
    try:
        kubeconfig = _run([str(SCRIPTS / "up")], ours, START_WITHIN_S).splitlines()[-1]
        started = Cluster(Path(kubeconfig), ours)
        yield started
        started.repair()
        started.until_no_pods()
    finally:
        _run([str(SCRIPTS / "down")], {**ours, "PURGE": "1"}, ANSWER_WITHIN_S)
