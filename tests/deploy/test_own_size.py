"""Is the autoscaler told how large the router itself may be, and does an upgrade leave the size alone?"""

from __future__ import annotations

import pytest

from tests.deploy.shipped import CHART, DEFINITION, Refused, helm, options_of, rendered
from tests.kubernetes.cluster import Cluster

OWN = {
    "--self-scaling": "on",
    "--router-deployment": "scoregate-router",
    "--min-routers": "3",
    "--max-routers": "10",
    "--max-router-workers": "4",
    "--route-mean-ms": "3",
    "--route-p99-ms": "15",
}


def own(*values: str) -> dict[str, str]:
    """What the autoscaler is told of the router's own size."""
    found = options_of(rendered(*(f"--set={each}" for each in values)), "autoscaler")
    return {name: value for name, value in found.items() if name in OWN}


def test_what_is_not_said_is_as_azure_ml_has_it() -> None:
    assert own() == OWN


def test_each_value_is_an_option() -> None:
    given = "inferenceRouterHA=false", "clusterPurpose=DenseProd", "selfScaling.maxRouters=2"
    more = "selfScaling.maxWorkers=8", "selfScaling.routeMeanMs=2.5", "selfScaling.routeP99Ms=0.5"
    said = {"--min-routers": "1", "--max-routers": "2", "--max-router-workers": "8"}
    assert own(*given, *more) == OWN | said | {"--route-mean-ms": "2.5", "--route-p99-ms": "0.5"}


@pytest.mark.parametrize("off", ["clusterPurpose=DevTest", "selfScaling.enabled=false"])
def test_off_is_off(off: str) -> None:
    assert own(off) == {"--self-scaling": "off"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("selfScaling.maxRouters=2", "selfScaling.maxRouters is 2, but inferenceRouterHA wants 3 routers"),
        ("selfScaling.maxWorkers=65", "maxWorkers"),
        ("selfScaling.routeMeanMs=0", "routeMeanMs"),
        ("clusterPurpose=Prod", "clusterPurpose"),
        *((f"autoscaler.extraArgs={{{name}=1}}", f"extraArgs has {name}=1, but the chart sets it") for name in OWN),
    ],
)
def test_what_can_not_be_is_refused(given: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        own(given)
    assert words in str(refused.value)


def test_fewer_routers_than_three_are_no_matter_where_the_size_stays() -> None:
    assert own("selfScaling.maxRouters=2", "clusterPurpose=DevTest") == {"--self-scaling": "off"}


def test_an_upgrade_keeps_the_routers_that_the_load_asked_for(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", str(DEFINITION))
    with cluster.namespace("f") as namespace:

        def routers(*values: str) -> int:
            given = [f"--set={each}" for each in (f"watchNamespaces={{{namespace}}}", *values)]
            at = f"--namespace={namespace}", f"--kubeconfig={cluster.kubeconfig}"
            helm("upgrade", "--install", "scoregate", CHART, *at, "-f", CHART / "ci/load-balancer-values.yaml", *given)
            spec = cluster.get("deployment", "scoregate-router", namespace=namespace)["spec"]
            return int(spec["replicas"])

        def load_asks_for(count: int) -> None:
            at = ("--namespace", namespace)
            cluster.kubectl(*at, "scale", "deployment", "scoregate-router", f"--replicas={count}")

        assert routers() == 3
        load_asks_for(6)
        assert routers() == 6
        assert routers("selfScaling.maxRouters=5") == 5
        assert routers("inferenceRouterHA=false") == 5
        assert routers("selfScaling.enabled=false") == 3
        assert routers("inferenceRouterHA=false") == 1
        helm("uninstall", "scoregate", f"--namespace={namespace}", f"--kubeconfig={cluster.kubeconfig}")
