"""Does the chart render what its values say, refuse what can't be, and would an API server take it?"""

from __future__ import annotations

import itertools
import json
import re
import tarfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from autoscaler.cli import autoscaler
from router import __version__
from router.cli import main
from router.config import RouterConfig
from router.platforms.kubernetes.picture.routers import ADMIN_PORT, PEER_PORT
from tests.deploy.shipped import CHART, DEFINITION, ROOT, Object, Refused, container, helm, one, options_of, rendered
from tests.kubernetes.cluster import Cluster

EVERYTHING = ("-f", CHART / "ci/everything-values.yaml")


@pytest.fixture(scope="module")
def minimal() -> list[Object]:
    return rendered()


@pytest.fixture(scope="module")
def everything() -> list[Object]:
    return rendered(*EVERYTHING, minimal=False)


@pytest.mark.parametrize("values", sorted((CHART / "ci").glob("*.yaml")), ids=lambda path: path.stem)
def test_it_is_without_fault(values: Path) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", "-f", values, CHART)


def test_its_version_is_that_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["version"] == chart["appVersion"] == __version__


def test_a_packed_chart_holds_the_definition_the_rules_and_the_dashboard(tmp_path: Path) -> None:
    helm("package", CHART, "--destination", tmp_path)
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as packed:
        names = packed.getnames()
        for inside, source in (
            ("crds/inferenceendpoints.yaml", DEFINITION),
            ("files/rules.yaml", ROOT / "deploy/prometheus/rules.yaml"),
            ("files/scoregate.json", ROOT / "deploy/grafana/scoregate.json"),
        ):
            member = packed.extractfile(f"scoregate/{inside}")
            assert member is not None
            assert member.read() == source.read_bytes()
    assert not any("/ci/" in name for name in names)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("inferenceRouterServiceType=NodePort",), "must be one of the following"),
        (("inferenceRouterServiceTyp=nodePort",), "inferenceRouterServiceTyp is not allowed"),
        (("allowInsecureConnections=yes",), "allowInsecureConnections"),
        (("internalLoadBalancerProvider=aws",), "internalLoadBalancerProvider"),
        (("autoscaler.replicas=0",), "autoscaler.replicas"),
        (("image.digest=sha256:1",), "image.digest"),
        (("watchNamespaces[0]=Models",), "watchNamespaces"),
        (("drainTimeoutSeconds=0",), "drainTimeoutSeconds"),
        (("extraArgs[0]=port",), "extraArgs"),
        (("topologySpread=Never",), "topologySpread"),
        (("fullnameOverride=Models",), "fullnameOverride"),
        (("allowInsecureConnections=false",), "sslCname is required unless allowInsecureConnections=true"),
        (("plainHttp=serve",), "plainHttp"),
        *(
            ((given,), "allowInsecureConnections=true serves plain HTTP: leave them out")
            for given in ("sslSecret=mine", "sslCname=a.example", "sslClientCaSecret=ca", "plainHttp=redirect")
        ),
        (
            ("inferenceRouterServiceType=nodePort", "internalLoadBalancerProvider=azure"),
            "internalLoadBalancerProvider is azure, but inferenceRouterServiceType is nodePort: it needs loadBalancer",
        ),
        (("inferenceRouterServiceType=clusterIP", "loadBalancerSourceRanges={10.0.0.0/8}"), "it needs loadBalancer"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(given: tuple[str, ...], words: str) -> None:
    with pytest.raises(Refused) as refused:
        rendered(*(f"--set={each}" for each in given))
    assert words in str(refused.value)


def test_how_clients_reach_it_must_be_chosen() -> None:
    with pytest.raises(Refused, match="inferenceRouterServiceType is required"):
        rendered(minimal=False)


@pytest.mark.parametrize(
    "option", ["--peer-port=1", "--admin-port=9002", "--state-dir=/x", "--platform=local", "--port"]
)
def test_an_option_that_the_chart_sets_itself_is_refused(option: str) -> None:
    """The last one of two counts: the autoscaler would ask where nobody listens."""
    with pytest.raises(Refused, match=f"extraArgs has {option}, but the chart sets it"):
        rendered(f"--set=extraArgs={{--max-connections=5,{option}}}")


def test_every_value_has_a_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    properties = json.loads((CHART / "values.schema.json").read_text("utf-8"))["properties"]
    assert {*values, "inferenceRouterServiceType", "global"} == set(properties)
    for name, value in values.items():
        if isinstance(value, dict) and "properties" in properties[name]:
            assert value.keys() <= properties[name]["properties"].keys(), name


def test_its_page_tells_of_every_value() -> None:
    page = (CHART / "README.md").read_text("utf-8")
    properties = json.loads((CHART / "values.schema.json").read_text("utf-8"))["properties"]
    inner = [name for each in properties.values() for name in each.get("properties", {})]
    untold = {name for name in (*properties, *inner) if name != "global" and not re.search(rf"`\S*\b{name}\b", page)}
    assert untold == set()


@pytest.mark.parametrize(
    ("given", "kind"), [("loadBalancer", "LoadBalancer"), ("nodePort", "NodePort"), ("clusterIP", "ClusterIP")]
)
def test_clients_reach_it_as_was_asked_for(given: str, kind: str) -> None:
    found = rendered(f"--set=inferenceRouterServiceType={given}")
    spec = one(found, "Service", "scoregate")["spec"]
    assert spec["type"] == kind
    assert [(port["port"], port["targetPort"]) for port in spec["ports"]] == [(80, "http")]
    assert (
        spec["selector"].items()
        <= one(found, "Deployment", "scoregate-router")["spec"]["template"]["metadata"]["labels"].items()
    )


def test_an_internal_load_balancer_is_asked_for_beside_other_annotations(everything: list[Object]) -> None:
    annotations = one(everything, "Service", "scoregate")["metadata"]["annotations"]
    assert annotations == {
        "service.beta.kubernetes.io/azure-load-balancer-internal": "true",
        "example.com/owner": "ml",
    }


def test_three_routers_on_different_nodes_or_one(minimal: list[Object]) -> None:
    router = one(minimal, "Deployment", "scoregate-router")["spec"]
    (spread,) = router["template"]["spec"]["topologySpreadConstraints"]
    assert router["replicas"] == 3
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["labelSelector"] == router["selector"]
    # Nodes with taints count, too: with DoNotSchedule an update would wait for room on one for ever.
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    strict = one(rendered("--set=topologySpread=DoNotSchedule"), "Deployment", "scoregate-router")["spec"]
    assert strict["template"]["spec"]["topologySpreadConstraints"] == [{**spread, "whenUnsatisfiable": "DoNotSchedule"}]
    assert one(minimal, "PodDisruptionBudget")["spec"] == {"maxUnavailable": 1, "selector": router["selector"]}

    single = rendered("--set=inferenceRouterHA=False")  # as azureml-fe's users write it
    router = one(single, "Deployment", "scoregate-router")["spec"]
    assert router["replicas"] == 1
    assert "topologySpreadConstraints" not in router["template"]["spec"]
    assert "PodDisruptionBudget" not in {each["kind"] for each in single}


def test_the_longest_request_of_v1_ends_before_its_router() -> None:
    """One that comes at the last moment of the grace, waits as long as it may, and takes as long as it may."""
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    assert values["drainTimeoutSeconds"] * 1000 > 500 + 60_000


@pytest.mark.parametrize("values", [(), ("--set=drainGraceSeconds=15", "--set=drainTimeoutSeconds=300")])
def test_a_pod_has_the_time_that_its_drain_takes(values: tuple[str, ...]) -> None:
    found = rendered(*values)
    options = options_of(found)
    drain_s = (int(options["--drain-grace-ms"]) + int(options["--drain-timeout-ms"])) / 1000
    spec = one(found, "Deployment", "scoregate-router")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == drain_s + 10
    assert "lifecycle" not in container(found, "router")


@pytest.mark.parametrize("values", [(), EVERYTHING], ids=["minimal", "everything"])
def test_each_command_is_one_that_scoregate_has(values: tuple[str | Path, ...]) -> None:
    found = rendered(*values)
    word, *options = container(found, "router")["args"]
    assert CliRunner().invoke(main, [word, *options, "--help"]).exit_code == 0
    known = {name for parameter in main.commands[word].params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {option.split("=")[0] for option in options} <= known
    group, word, *options = container(found, "autoscaler")["args"]
    assert group == "autoscaler"
    known = {n for parameter in autoscaler.commands[word].params for n in (*parameter.opts, *parameter.secondary_opts)}
    assert {option.split("=")[0] for option in options} <= known


def test_values_reach_both_commands(everything: list[Object]) -> None:
    for component in ("router", "autoscaler"):
        arguments = container(everything, component)["args"]
        assert "--namespaces=models,more-models" in arguments
        assert "--no-adopt-v1" in arguments
        assert container(everything, component)["image"].startswith("registry.example/scoregate@sha256:0123")
    assert "--trusted-proxies=10.0.0.0/8" in container(everything, "router")["args"]


@pytest.mark.parametrize("component", ["router", "autoscaler"])
def test_pods_are_confined(minimal: list[Object], component: str) -> None:
    spec = one(minimal, "Deployment", f"scoregate-{component}")["spec"]["template"]["spec"]
    only = container(minimal, component)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 65532
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["mountPath"] for mount in only["volumeMounts"]] == ["/var/lib/scoregate"]


@pytest.mark.parametrize("component", ["router", "autoscaler"])
def test_nothing_in_the_namespace_sets_an_option_by_its_name(minimal: list[Object], component: str) -> None:
    """The Service scoregate is SCOREGATE_PORT=tcp://10.0.0.1:80 in every Pod of its namespace, unless it is told not
    to be; that is the environment variable of --port."""
    assert one(minimal, "Service")["metadata"]["name"] == "scoregate"
    assert CliRunner().invoke(main, ["router"], env={"SCOREGATE_PORT": "tcp://10.0.0.1:80"}).exit_code == 2
    assert (
        one(minimal, "Deployment", f"scoregate-{component}")["spec"]["template"]["spec"]["enableServiceLinks"] is False
    )


def test_probes_ask_the_internal_port(minimal: list[Object]) -> None:
    router = container(minimal, "router")
    assert {port["name"]: port["containerPort"] for port in router["ports"]} == {
        "http": 8080,
        "internal": ADMIN_PORT,
        "peers": PEER_PORT,
    }
    options = options_of(minimal)
    assert (options["--port"], options["--admin-port"]) == ("8080", str(ADMIN_PORT))
    assert (options["--peer-host"], options["--peer-port"]) == ("0.0.0.0", str(PEER_PORT))
    assert RouterConfig.admin_port == ADMIN_PORT
    asked = {name: router[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe["port"] for probe in asked.values()} == {"internal"}
    assert asked["readinessProbe"]["path"] == "/readyz"
    assert asked["livenessProbe"]["path"] == asked["startupProbe"]["path"] == "/healthz"
    ready = router["readinessProbe"]
    assert ready["periodSeconds"] * ready["failureThreshold"] * 1000 <= int(options["--drain-grace-ms"])


def test_the_public_port_takes_all_and_the_internal_one_few(everything: list[Object]) -> None:
    scoring, peers, internal = one(everything, "NetworkPolicy", "scoregate-router")["spec"]["ingress"]
    assert scoring == {"ports": [{"port": "http", "protocol": "TCP"}]}
    assert peers == {"from": [{"podSelector": {}}]}, "at whatever port a worker has"
    assert internal["ports"] == [{"port": "internal", "protocol": "TCP"}]
    own, prometheus = internal["from"]
    assert own == {"podSelector": {}}
    (names,) = prometheus["namespaceSelector"]["matchExpressions"]
    assert names["values"] == ["monitoring", "observability"]
    assert "ingress" not in one(everything, "NetworkPolicy", "scoregate-autoscaler")["spec"]


def test_each_process_knows_its_own_pod(minimal: list[Object]) -> None:
    env = {each["name"]: each for each in container(minimal, "router")["env"]}
    assert env["SCOREGATE_POD"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_prometheus_finds_the_internal_port_and_clients_do_not(everything: list[Object]) -> None:
    monitor = one(everything, "ServiceMonitor")["spec"]
    selected = monitor["selector"]["matchLabels"].items()
    services = [each for each in everything if each["kind"] == "Service"]
    (internal,) = [each for each in services if selected <= each["metadata"]["labels"].items()]
    assert internal["metadata"]["name"] == "scoregate-internal"
    assert internal["spec"]["clusterIP"] == "None"
    (endpoint,) = monitor["endpoints"]
    assert (endpoint["port"], endpoint["path"], endpoint["interval"]) == ("internal", "/metrics", "30s")


def test_rules_and_dashboard_are_those_of_the_repository(everything: list[Object]) -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text("utf-8"))
    assert one(everything, "PrometheusRule")["spec"] == rules
    dashboard = json.loads((ROOT / "deploy/grafana/scoregate.json").read_text("utf-8"))
    assert json.loads(one(everything, "ConfigMap")["data"]["scoregate.json"]) == dashboard
    for name in ("serviceMonitor", "prometheusRule", "grafanaDashboard"):
        kinds = {each["kind"] for each in rendered(*EVERYTHING, f"--set={name}.enabled=false", minimal=False)}
        assert (
            not {"serviceMonitor": {"ServiceMonitor"}, "prometheusRule": {"PrometheusRule"}}.get(name, {"ConfigMap"})
            & kinds
        )


def test_without_an_autoscaler_there_is_nothing_of_it() -> None:
    found = rendered("--set=autoscaler.enabled=false")
    assert not [each for each in found if "autoscaler" in each["metadata"]["name"]]


# -- before a real API server -------------------------------------------------------------------------------------

MATRIX: list[tuple[str | Path, ...]] = [
    (f"--set=inferenceRouterServiceType={kind}", f"--set=inferenceRouterHA={ha}", *more)
    for (kind, ha), more in zip(
        itertools.product(("loadBalancer", "nodePort", "clusterIP"), ("true", "false")),
        itertools.cycle([(), ("--set=networkPolicy.enabled=false", "--set=autoscaler.enabled=false"), EVERYTHING]),
        strict=False,
    )
]
WITHOUT_OPERATOR = ("--set=serviceMonitor.enabled=false", "--set=prometheusRule.enabled=false")


@pytest.mark.parametrize("values", MATRIX, ids=lambda values: "-".join(str(each).split("=")[-1] for each in values))
def test_an_api_server_takes_it(cluster: Cluster, values: tuple[str | Path, ...]) -> None:
    with cluster.namespace("f") as namespace:
        given = ("--validate", f"--kubeconfig={cluster.kubeconfig}", *WITHOUT_OPERATOR)
        found = rendered("-f", CHART / "ci/load-balancer-values.yaml", *values, *given, *UNBOUND, minimal=False)
        text = "---\n".join(yaml.safe_dump(placed(each, namespace)) for each in found)
        said = cluster.kubectl("apply", "--dry-run=server", "-f", "-", text=text)
        assert said.count("(server dry run)") == len(found)
        if budgets := [each for each in found if each["kind"] == "PodDisruptionBudget"]:
            known = cluster.kubectl("api-versions").split()
            assert budgets[0]["apiVersion"] == ("policy/v1" if "policy/v1" in known else "policy/v1beta1")


UNBOUND = ("--set=internalLoadBalancerProvider=", "--set=loadBalancerSourceRanges=null")
"""What is for a load balancer alone."""


def placed(given: Object, namespace: str) -> Object:
    """In this namespace, for the one it is for need not be there."""
    if "namespace" in given["metadata"]:
        given["metadata"]["namespace"] = namespace
    return given


def test_it_is_installed_and_goes_again(cluster: Cluster) -> None:
    with cluster.namespace("f") as namespace:
        at = (f"--namespace={namespace}", f"--kubeconfig={cluster.kubeconfig}")
        notes = helm(
            *("install", "models", CHART, "-f", CHART / "ci/load-balancer-values.yaml", *at),
            *(f"--set=watchNamespaces={{{namespace}}}", "--set=inferenceRouterServiceType=nodePort"),
        )
        assert f"kubectl -n {namespace} rollout status deployment/models-scoregate-router" in notes
        router = cluster.get("deployment", "models-scoregate-router", namespace=namespace)
        assert router["spec"]["replicas"] == 3
        assert "inferenceendpoints.scoregate.io" in cluster.kubectl("get", "crd", "-o", "name")
        helm("uninstall", "models", *at)
        assert cluster.get("deployments,services,roles,rolebindings,pdb", namespace=namespace)["items"] == []


def test_each_router_has_as_many_workers_as_its_annotation_says() -> None:
    template = one(rendered("--set=workers=3"), "Deployment", "scoregate-router")["spec"]["template"]
    assert template["metadata"]["annotations"]["scoregate.io/workers"] == "3"
    (router,) = template["spec"]["containers"]
    (given,) = [each["valueFrom"]["fieldRef"] for each in router["env"] if each["name"] == "SCOREGATE_WORKERS"]
    assert given["fieldPath"] == "metadata.annotations['scoregate.io/workers']"
    assert not any(word.startswith("--workers") for word in router["args"]), "it would be stronger than the environment"
