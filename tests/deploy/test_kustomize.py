"""Does kustomize build what the chart renders?"""

from __future__ import annotations

import copy
import json
import shutil
from typing import Any

import pytest
import yaml

from tests.deploy.shipped import DEFINITION, OVERLAYS, Object, kustomized, one, rendered
from tests.kubernetes.cluster import Cluster

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on the path")

OF_HELM = {"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"}
"""Labels that say how a thing was installed."""
Key = tuple[str, str]


@pytest.fixture(scope="module", params=sorted(OVERLAYS))
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def built(overlay: str) -> list[Object]:
    return kustomized(overlay)


def plain(value: Any) -> Any:
    """Without the labels of helm, wherever labels stand."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key not in OF_HELM}
    return [plain(each) for each in value] if isinstance(value, list) else value


def by_name(found: list[Object]) -> dict[Key, Object]:
    named = {(each["kind"], each["metadata"]["name"]): plain(copy.deepcopy(each)) for each in found}
    assert len(named) == len(found)
    return named


def test_it_builds_what_the_chart_renders(overlay: str, built: list[Object]) -> None:
    chart = by_name(rendered(f"--set=inferenceRouterServiceType={OVERLAYS[overlay]}"))
    kustomize = by_name(built)
    del kustomize["Namespace", "scoregate"]
    del kustomize["CustomResourceDefinition", "inferenceendpoints.scoregate.io"]
    assert kustomize.keys() == chart.keys()
    for key, wanted in chart.items():
        assert kustomize[key] == wanted, key


def test_administration_is_what_the_chart_gives_more() -> None:
    without, given = (
        one(rendered(f"--set=administration.enabled={enabled}"), "ClusterRole", "scoregate-router")["rules"]
        for enabled in ("false", "true")
    )
    found = kustomized("administration")
    assert len(found) == 2
    assert [*without, *one(found, "ClusterRole", "scoregate-administration")["rules"]] == given
    (chart,) = (
        each for each in rendered() if each["kind"] == "ClusterRoleBinding" and "router" in str(each["roleRef"])
    )
    binding = one(found, "ClusterRoleBinding", "scoregate-administration")
    assert binding["subjects"] == chart["subjects"]
    assert binding["roleRef"] == {**chart["roleRef"], "name": "scoregate-administration"}


def test_it_brings_the_definition_and_a_namespace_of_its_own(built: list[Object]) -> None:
    assert one(built, "CustomResourceDefinition") == yaml.safe_load(DEFINITION.read_text("utf-8"))
    assert one(built, "Namespace")["metadata"]["name"] == "scoregate"
    namespaced = {each["metadata"].get("namespace") for each in built}
    assert namespaced == {"scoregate", None}


def test_an_api_server_takes_it(cluster: Cluster, built: list[Object]) -> None:
    old = "policy/v1" not in cluster.kubectl("api-versions").split()
    with cluster.namespace("f") as namespace:
        moved = json.loads(json.dumps(built).replace('"namespace": "scoregate"', f'"namespace": "{namespace}"'))
        for each in moved:
            if old and each["kind"] == "PodDisruptionBudget":
                each["apiVersion"] = "policy/v1beta1"  # the base is for 1.21 and newer
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": moved})
        said = cluster.kubectl("apply", "--dry-run=server", "-f", "-", text=text)
        assert said.count("(server dry run)") == len(built)
