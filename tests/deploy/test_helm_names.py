"""What are things called, whatever the release is called, and how many releases may stand side by side?"""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.deploy.shipped import CHART, DEFINITION, Object, Refused, helm, objects, one
from tests.kubernetes.cluster import Cluster

GIVEN = ("--set=allowInsecureConnections=true", "--set=inferenceRouterServiceType=clusterIP")
LONGEST = "abcdefghij-abcdefghij-abcdefghij-abcdefghij-abcdefghi"
SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?")
EVERYTHING = tuple(f"--set={each}.enabled=true" for each in ("serviceMonitor", "prometheusRule", "grafanaDashboard"))


def released(name: str, *values: str) -> list[Object]:
    return objects(helm("template", name, CHART, "--namespace=elsewhere", *GIVEN, *values))


def labels_in(value: Any) -> list[str]:
    """The values of all labels, wherever they stand."""
    if isinstance(value, list):
        return [label for each in value for label in labels_in(each)]
    if not isinstance(value, dict):
        return []
    found = [*value.get("labels", {}).values(), *value.get("matchLabels", {}).values()]
    return found + [label for each in value.values() for label in labels_in(each)]


def test_a_release_of_another_name_has_names_of_its_own() -> None:
    found = released("models")
    assert {each["metadata"]["name"].split("scoregate")[0] for each in found} == {"models-"}
    assert {each["metadata"].get("namespace", "elsewhere") for each in found} == {"elsewhere"}
    labels = one(found, "Deployment", "models-scoregate-router")["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "scoregate"  # by which the autoscaler finds routers
    assert labels["app.kubernetes.io/component"] == "router"


@pytest.mark.parametrize("release", ["a", "my.release", LONGEST, f"{LONGEST[:44]}scoregate", "scoregate"])
def test_every_name_and_label_can_be_had(release: str) -> None:
    found = released(release, *EVERYTHING)
    for each in found:
        assert SERVICE_NAME.fullmatch(each["metadata"]["name"]), each["metadata"]["name"]
    assert [label for label in labels_in(found) if not LABEL.fullmatch(label)] == []


def test_a_long_name_says_still_whose_it_is() -> None:
    assert all("scoregate" in each["metadata"]["name"] for each in released(LONGEST))


def test_everything_can_be_given_another_name() -> None:
    assert {each["metadata"]["name"].split("-")[0] for each in released("models", "--set=fullnameOverride=front")} == {
        "front"
    }


def test_a_name_that_begins_with_a_digit_is_refused() -> None:
    with pytest.raises(Refused, match="which begins with a letter: choose another, or set fullnameOverride"):
        released("1-model")
    assert released("1-model", "--set=fullnameOverride=model")


@pytest.mark.parametrize("values", [(), ("--set=fullnameOverride=front",)])
@pytest.mark.parametrize("release", ["models", LONGEST])
def test_alerts_find_the_routers_of_every_release(release: str, values: tuple[str, ...]) -> None:
    found = released(release, *values, *EVERYTHING)
    monitor = one(found, "ServiceMonitor")["spec"]
    selected = monitor["selector"]["matchLabels"].items()
    (internal,) = [e for e in found if e["kind"] == "Service" and selected <= e["metadata"]["labels"].items()]
    job = internal["metadata"]["labels"][monitor["jobLabel"]]
    asked = re.findall(r'up\{job=~"(.+?)"\}', yaml.safe_dump(one(found, "PrometheusRule"), width=10_000))
    assert asked
    assert all(re.fullmatch(pattern, job) for pattern in asked)


def test_two_releases_do_not_share_a_namespace(cluster: Cluster) -> None:
    """They would share the Lease, so that one of them would never lead, and ask the routers of both for their load."""
    cluster.kubectl("apply", "-f", str(DEFINITION))
    with cluster.namespace("f") as namespace, cluster.namespace("f") as other:
        connected = f"--kubeconfig={cluster.kubeconfig}"

        def install(name: str, at: str, *words: str) -> str:
            scope = f"--set=watchNamespaces={{{at}}}"
            return helm("upgrade", "--install", name, CHART, f"--namespace={at}", connected, *GIVEN, scope, *words)

        install("first", namespace)
        with pytest.raises(Refused, match=f"namespace {namespace} has Scoregate already .Deployment first-scoregate"):
            install("second", namespace)
        install("first", namespace)  # itself is no other
        with pytest.raises(Refused, match="has Scoregate already"):
            install("second", namespace, "--set=autoscaler.enabled=false")
        install("second", other)
        for name, at in (("first", namespace), ("second", other)):
            helm("uninstall", name, f"--namespace={at}", connected)
