"""What does deploy/ ship, as objects of Kubernetes?

I/O: runs helm and kubectl.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/scoregate"
KUSTOMIZE = ROOT / "deploy/kubernetes"
DEFINITION = ROOT / "deploy/crds/inferenceendpoints.yaml"
OVERLAYS = {"load-balancer": "loadBalancer", "node-port": "nodePort", "cluster-ip": "clusterIP"}
"""Of kustomize, and the value of the chart that says the same."""

Object = dict[str, Any]


class Refused(Exception):
    """helm renders nothing. The message is what it says."""


def helm(*words: str | Path) -> str:
    """Raises Refused."""
    program = Path(sys.executable).with_name("helm")
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Refused(done.stderr + done.stdout)
    return done.stdout


def rendered(*words: str | Path, chart: Path = CHART, minimal: bool = True) -> list[Object]:
    """By `helm template`, with only the values that must be given, unless not `minimal`, and those in `words`."""
    given = ("--set=allowInsecureConnections=true", "--set=inferenceRouterServiceType=loadBalancer") if minimal else ()
    return objects(helm("template", "scoregate", chart, "--namespace=scoregate", *given, *words))


def kustomized(overlay: str) -> list[Object]:
    program = shutil.which("kubectl")
    assert program is not None
    done = subprocess.run([program, "kustomize", KUSTOMIZE / overlay], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return objects(done.stdout)


def objects(text: str) -> list[Object]:
    return [document for document in yaml.safe_load_all(text) if document is not None]


def one(found: Iterable[Object], kind: str, name: str = "") -> Object:
    """The only one of this kind, and of this name where one is given."""
    matching = [each for each in found if each["kind"] == kind and name in ("", each["metadata"]["name"])]
    assert len(matching) == 1, f"{len(matching)} of {kind} {name}"
    return matching[0]


def options_of(found: Iterable[Object], component: str = "router") -> dict[str, str]:
    """Of its command; "" for those that have no value."""
    words = container(found, component)["args"]
    return {name: value for name, _, value in (word.partition("=") for word in words if word.startswith("--"))}


def container(found: Iterable[Object], component: str) -> Object:
    """Of the router or the autoscaler."""
    spec = one(found, "Deployment", f"scoregate-{component}")["spec"]["template"]["spec"]
    (only,) = spec["containers"]
    return dict(only)
