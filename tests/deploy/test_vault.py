"""Is the vault shipped empty, and does it keep what routers put into it?"""

from __future__ import annotations

import base64
import json

import pytest

from tests.deploy.shipped import CHART, OVERLAYS, Object, helm, kustomized, one, rendered
from tests.kubernetes.cluster import Cluster

HUSH = base64.b64encode(b"hush").decode()


def the_vault(found: list[Object]) -> Object:
    return one((each for each in found if each.get("type") == "scoregate.io/vault"), "Secret")


def test_it_says_nothing_of_data() -> None:
    for found in (rendered(), *map(kustomized, OVERLAYS)):
        assert the_vault(found).keys() == {"apiVersion", "kind", "type", "metadata"}


@pytest.fixture
def filled() -> dict[str, str]:
    return {"admin-key": HUSH, "signing-keys": HUSH}


def fill(cluster: Cluster, namespace: str, data: dict[str, str]) -> None:
    patch = json.dumps({"data": data})
    cluster.kubectl("-n", namespace, "patch", "secret", "scoregate-vault", "--type=merge", "-p", patch)


def test_apply_leaves_its_data_alone(cluster: Cluster, filled: dict[str, str]) -> None:
    with cluster.namespace("f") as namespace:
        vault = the_vault(kustomized("cluster-ip"))
        vault["metadata"]["namespace"] = namespace
        cluster.kubectl("apply", "-f", "-", text=json.dumps(vault))
        fill(cluster, namespace, filled)
        vault["metadata"]["labels"]["more"] = "other"
        cluster.kubectl("apply", "-f", "-", text=json.dumps(vault))
        seen = cluster.get("secret", "scoregate-vault", namespace=namespace)
        assert (seen["data"], seen["metadata"]["labels"]["more"]) == (filled, "other")


def test_an_upgrade_leaves_its_data_alone(cluster: Cluster, filled: dict[str, str]) -> None:
    with cluster.namespace("f") as namespace:

        def release(verb: str, *more: str) -> None:
            at = (f"--kubeconfig={cluster.kubeconfig}", f"--namespace={namespace}", "--skip-crds")
            values = (
                "allowInsecureConnections=true",
                "inferenceRouterServiceType=clusterIP",
                f"watchNamespaces={{{namespace}}}",
            )
            helm(verb, "scoregate", CHART, *at, *(f"--set={each}" for each in (*values, *more)))

        release("install")
        fill(cluster, namespace, filled)
        release("upgrade", "inferenceRouterHA=false", "administration.enabled=true")
        seen = cluster.get("secret", "scoregate-vault", namespace=namespace)
        assert seen["data"] == filled
        assert cluster.get("deployment", "scoregate-router", namespace=namespace)["spec"]["replicas"] == 1
        helm("uninstall", "scoregate", f"--kubeconfig={cluster.kubeconfig}", f"--namespace={namespace}")


@pytest.mark.parametrize("enabled", [False, True])
def test_notes_say_how_to_administer_and_what_that_may_change(cluster: Cluster, enabled: bool) -> None:
    at = ("--namespace=scoregate", f"--kubeconfig={cluster.kubeconfig}", "--dry-run=client")
    values = f"--set=fullnameOverride=mine,administration.enabled={str(enabled).lower()}"
    given = ("-f", CHART / "ci/load-balancer-values.yaml", values, *at)
    notes = helm("install", "scoregate", CHART, *given).partition("NOTES:")[2]
    assert "port-forward deployment/mine-router 9001" in notes
    assert "get secret mine-vault -o jsonpath='{.data.admin-key}'" in notes
    assert ("Routers may change Secrets" in notes) == enabled
    assert ("with administration.enabled=true" in notes) == (not enabled)
