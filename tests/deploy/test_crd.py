"""Does a real API server take the definition, and refuse, fill in and show what it should?"""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from router.core.declaration import Declaration
from router.core.shape import problems_of
from router.platforms.kubernetes.api import Api, ApiError
from router.platforms.kubernetes.leading.conditions import Condition
from router.platforms.kubernetes.leading.status import DeploymentStatus, EndpointStatus
from router.platforms.kubernetes.schema import API_VERSION, PLURAL
from tests.deploy.shipped import DEFINITION
from tests.kubernetes.cluster import Cluster
from tests.platforms.kubernetes.edges import EDGES, PATHS, as_stored, with_value

JUDGES_AT_ONCE = 8
EMPTY_LABEL = ("selector", "blue")
"""API servers of Kubernetes 1.20 take empty text for null, and refuse it; newer ones take it."""
MINIMAL = {"deployments": [{"name": "blue", "workload": {"kind": "Deployment", "name": "iris-blue"}}]}


@pytest.fixture(scope="module")
def defined(cluster: Cluster) -> Cluster:
    """With the definition, which stays: others may use it, too."""
    cluster.kubectl("apply", "-f", str(DEFINITION))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{PLURAL}.scoregate.io")
    deadline = time.monotonic() + 30
    while f"{PLURAL}.scoregate.io" not in cluster.kubectl("api-resources", "--api-group=scoregate.io", "-o", "name"):
        assert time.monotonic() < deadline, "the definition is established, but not served"
    return cluster


@pytest.fixture
def namespace(defined: Cluster) -> Iterator[str]:
    with defined.namespace("f") as name:
        yield name


@pytest.fixture
def path(defined: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of the endpoints in the namespace; the API is that of the cluster."""
    monkeypatch.setenv("KUBECONFIG", str(defined.kubeconfig))
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}"


def document(name: str = "iris", spec: dict[str, Any] = MINIMAL) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "InferenceEndpoint", "metadata": {"name": name}, "spec": spec}


async def refusal(api: Api, path: str, given: dict[str, Any]) -> str:
    """What the API server says against it; "" for nothing."""
    try:
        await api.write("POST", path, given, query={"dryRun": "All"}, within_s=30)
    except ApiError as error:
        return str(error) or "refused"
    return ""


def problems(at: tuple[str | int, ...], value: Any) -> list[str]:
    return problems_of(Declaration, with_value(at, as_stored(value)))


def outermost(at: tuple[str | int, ...]) -> Iterator[Any]:
    """Of each type the first and the last edge that the rules accept, and the first and the last that they refuse."""
    alike: dict[tuple[type, bool], list[Any]] = {}
    for value in EDGES:
        alike.setdefault((type(value), bool(problems(at, value))), []).append(value)
    for values in alike.values():
        yield from values if len(values) < 2 else (values[0], values[-1])


async def test_it_accepts_and_refuses_what_the_rules_do(path: str) -> None:
    cases = [(at, value) for at in PATHS for value in outermost(at) if not (at[-2:] == EMPTY_LABEL and value == "")]
    places = asyncio.Semaphore(JUDGES_AT_ONCE)
    async with await Api.open() as api:

        async def judged(at: tuple[str | int, ...], value: Any) -> str:
            async with places:
                return await refusal(api, path, with_value(at, value))

        said = await asyncio.gather(*(judged(at, value) for at, value in cases))
    wrong = [
        (at, value, words)
        for (at, value), words in zip(cases, said, strict=True)
        if bool(words) != bool(problems(at, value))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (("deployments", 0, "port"), 70_000, "spec.deployments.port"),
        (
            ("deployments", 0, "requestSettings", "maxQueueWaitMs"),
            -1,
            "spec.deployments.requestSettings.maxQueueWaitMs",
        ),
        (("deployments", 0, "name"), "1", "spec.deployments.name"),
        (("auth", "mode"), "basic", "spec.auth.mode"),
        (("traffic", "blue"), 101, "spec.traffic.blue"),
        (("deployments", 0, "workload"), None, "spec.deployments.workload"),
        (("deployments",), [], "spec.deployments"),
    ],
)
async def test_what_is_wrong_is_named(path: str, at: tuple[str | int, ...], value: Any, words: str) -> None:
    async with await Api.open() as api:
        said = await refusal(api, path, with_value(at, value))
    assert words in said.replace("[0]", "")


async def test_two_deployments_of_one_name_are_refused(path: str) -> None:
    twice = {"deployments": [*MINIMAL["deployments"], *copy.deepcopy(MINIMAL["deployments"])]}
    async with await Api.open() as api:
        assert "Duplicate value" in await refusal(api, path, document(spec=twice))


async def test_defaults_are_filled_in_and_what_one_machine_has_is_dropped(path: str) -> None:
    spec = copy.deepcopy(MINIMAL)
    spec["deployments"][0] |= {"requestSettings": {}, "instanceCount": 2}  # type: ignore[dict-item]
    async with await Api.open() as api:
        stored = json.loads(await api.write("POST", path, document(spec=spec), query={"dryRun": "All"}))["spec"]
    settings = stored["deployments"][0]
    assert stored["maxPayloadBytes"] == 104_857_600
    assert settings["port"] == 5001
    assert settings["requestSettings"]["maxQueueWaitMs"] == 500
    assert "requestTimeoutMs" not in settings["requestSettings"]
    assert "instanceCount" not in settings


async def test_kubectl_shows_what_the_status_says(defined: Cluster, namespace: str, path: str) -> None:
    condition = Condition(
        type="Accepted",
        status="True",
        reason="Valid",
        message="all of it is right",
        last_transition_time="2026-11-21T10:00:00Z",
        observed_generation=1,
    )
    status = EndpointStatus(
        observed_generation=1,
        url_path="/api/v1/endpoint/iris/score",
        replicas="2/3",
        ready_replicas=2,
        total_replicas=3,
        utilization="47%",
        deployments=(
            DeploymentStatus(name="blue", ready=2, total=3),
            DeploymentStatus(name="green", ready=0, total=0, wished=1),
        ),
        conditions=(condition,),
    )
    defined.apply(document(), namespace=namespace)
    async with await Api.open() as api:
        patch = {"status": status}
        await api.write("PATCH", f"{path}/iris/status", patch, content_type="application/merge-patch+json")
    header, row = defined.kubectl("-n", namespace, "get", PLURAL).splitlines()
    assert header.split() == ["NAME", "URL", "READY", "UTILIZATION", "ACCEPTED", "AGE"]
    assert row.split()[:5] == ["iris", "/api/v1/endpoint/iris/score", "2/3", "47%", "True"]
    assert "all of it is right" in defined.kubectl("-n", namespace, "get", "ie", "-o", "wide")
    assert defined.kubectl("-n", namespace, "get", "iep", "-o", "name") == "inferenceendpoint.scoregate.io/iris\n"
    kept = defined.get(PLURAL, "iris", namespace=namespace)
    assert kept["metadata"]["generation"] == 1
    assert kept["status"]["deployments"][1]["wished"] == 1


def test_kubectl_explains_every_setting(defined: Cluster) -> None:
    words = " ".join(defined.kubectl("explain", f"{PLURAL}.spec.deployments", "--recursive=false").split())
    assert "scaleSettings" in words
    assert "How the number of replicas follows the load." in words
    setting = f"{PLURAL}.spec.deployments.requestSettings.requestTimeoutMs"
    assert "Default: 5000; 60000" in " ".join(defined.kubectl("explain", setting).split())


def test_kubectl_complains_of_a_field_that_is_not_there(defined: Cluster, namespace: str) -> None:
    text = json.dumps(document(spec={**MINIMAL, "mirrorTraffic": {"blue": 10}}))
    with pytest.raises(AssertionError, match="mirrorTraffic"):
        defined.kubectl("-n", namespace, "apply", "--validate=true", "-f", "-", text=text)
