"""Does all of it work in a cluster, as its chart installs it, whatever happens to the cluster?

A real control plane; routers, autoscalers and models are real processes in its Pods, each with just the rights of its
ServiceAccount. The tests share one installation, and each leaves it whole.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bench import arrivals
from bench.tally import Report
from tests.e2e.conftest import until
from tests.e2e.installation import MANIFEST, Installation, process_of
from tests.kubernetes.cluster import Cluster

SECONDS = 12.0


@pytest.fixture(scope="module")
def installed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    pytest.importorskip("azureml_inference_server_http", reason="the example's model server is not installed")
    pytest.importorskip("sklearn", reason="the example's model library is not installed")
    cluster.needs_faults()
    with cluster.namespace("home") as home, cluster.namespace("models") as models:
        installed = Installation(cluster, home, models, tmp_path_factory.mktemp("pods"))
        installed.install()
        installed.deploy_iris(
            slow=True,
            requestSettings={"requestTimeoutMs": 30_000, "maxQueueWaitMs": 30_000},
            scaleSettings={
                "minInstances": 1,
                "maxInstances": 6,
                "targetUtilizationPercentage": 100,
                "scaleDownWindow": 8,
            },
        )
        installed.ready()
        yield installed


@pytest.fixture
def key(installed: Installation) -> str:
    return installed.keys()["primaryKey"]


def all_fine(report: Report) -> bool:
    return set(report.replies) == {200} and not report.failures and report.sent == report.intended


@pytest.fixture
def two_models(installed: Installation) -> Iterator[None]:
    """At least two replicas, whatever the load is."""
    installed.scale_between(2, 6)
    until("two models are ready", lambda: len(installed.models_ready()) >= 2)
    yield
    installed.scale_between(1, 6)


def test_the_model_scores_on_every_router_and_only_with_a_key(installed: Installation, key: str) -> None:
    until("both routers are ready", lambda: len(installed.routers()) == 2)
    for router in installed.routers():
        reply = installed.score(key, router)
        assert (reply.status_code, reply.json()) == (200, {"species": ["setosa", "versicolor", "virginica"]})
        assert reply.headers["azureml-model-deployment"] == "blue"
        assert installed.score("not the key", router).status_code == 401


def test_kubectl_shows_how_it_is(installed: Installation) -> None:
    until("it is told that it is ready", lambda: installed.condition("Ready").get("status") == "True")
    until("there is one", lambda: installed.status()["replicas"] == "1/1")
    until("utilization is told", lambda: "%" in installed.cluster.kubectl("-n", installed.models, "get", "iep"))
    header, line = installed.cluster.kubectl("-n", installed.models, "get", "iep").splitlines()
    assert header.split()[:4] == ["NAME", "URL", "READY", "UTILIZATION"]
    assert line.split()[:3] == ["iris", "/api/v1/endpoint/iris/score", "1/1"]
    shown = installed.cluster.get("inferenceendpoint", "iris", namespace=installed.models)
    assert shown["status"]["observedGeneration"] == shown["metadata"]["generation"]
    assert installed.condition("Accepted")["status"] == "True"


def test_nothing_secret_is_told(installed: Installation, key: str) -> None:
    shown = json.dumps(installed.cluster.get("iep,events", namespace=installed.models))
    logs = (installed.cluster.kubeconfig.parent / "log" / "kubelet.log").read_text(errors="replace")
    assert "scoring on" in logs
    for secret in installed.keys().values():
        assert secret not in shown
        assert secret not in logs


def test_replicas_come_with_the_load_and_go_after_it(installed: Installation, key: str) -> None:
    moments = arrivals.step(1, 12, 4.0, 24.0, None)
    with installed.loaded(moments, key) as course:
        until("there are three and more", lambda: len(installed.models_ready()) >= 3, 40.0)
    assert all_fine(course.result()), course.result()
    until("there is one again", lambda: installed.wished() == 1, 60.0)


def test_a_rolling_update_of_the_model_fails_no_request(installed: Installation, key: str, two_models: None) -> None:
    before = set(installed.models_ready())
    with installed.loaded(arrivals.constant(5, 30.0), key) as course:
        time.sleep(2)
        installed.cluster.kubectl(
            "-n", installed.models, "set", "env", "deployment/iris-blue", f"RELEASE={time.time_ns()}"
        )
        until(
            "all models are new ones", lambda: installed.models_ready() and not before & set(installed.models_ready())
        )
    assert all_fine(course.result()), course.result()


def test_a_pod_that_is_deleted_fails_no_request(installed: Installation, key: str, two_models: None) -> None:
    with installed.loaded(arrivals.constant(5, SECONDS), key) as course:
        time.sleep(2)
        name = installed.models_ready()[0]
        installed.cluster.kubectl("-n", installed.models, "delete", "pod", name, "--wait=false")
        until("another is ready", lambda: len(set(installed.models_ready()) - {name}) >= 2)
    assert all_fine(course.result()), course.result()


def test_without_an_api_server_it_serves_on_and_then_catches_up(installed: Installation, key: str) -> None:
    router = installed.routers()[0]
    with installed.loaded(arrivals.constant(4, SECONDS), key, router) as course:
        installed.cluster.fault("kill", "apiserver")
        until("the router says so", lambda: "ready, with what was known" in installed.readiness(router))
        assert "scoregate_platform_behind_seconds 0.0" not in installed.metrics(router)
        time.sleep(3)
        installed.cluster.repair()
        until("the router is up to date", lambda: installed.readiness(router) == "ready\n")
    assert all_fine(course.result()), course.result()
    with_two(installed)


def with_two(installed: Installation) -> None:
    """What changes now is seen."""
    installed.scale_between(2, 6)
    until("two models are ready", lambda: len(installed.models_ready()) >= 2)
    router = installed.routers()[0]
    until("the router knows two", lambda: installed.load(router)["ready"] >= 2, 60.0)
    installed.scale_between(1, 6)
    until("one is left", lambda: installed.wished() == 1, 60.0)


def test_a_paused_api_server_is_noticed_and_nobody_leads(installed: Installation, key: str) -> None:
    router = installed.routers()[0]
    with installed.loaded(arrivals.constant(4, 60.0), key, router) as course:
        installed.cluster.fault("pause", "apiserver")
        until("the router says so", lambda: "ready, with what was known" in installed.readiness(router), 60.0)
        installed.cluster.repair()
        until("the router is up to date", lambda: installed.readiness(router) == "ready\n")
    assert all_fine(course.result()), course.result()
    until("one leads again", lambda: installed.leader() != "", 30.0)


def test_an_expired_watch_is_begun_anew(installed: Installation, key: str) -> None:
    """The API server comes back without the past in which the watches were: each is answered 410."""
    with installed.loaded(arrivals.constant(4, SECONDS), key) as course:
        for number in range(3):
            notes = f"note={number}"
            installed.cluster.kubectl("-n", installed.models, "annotate", "deploy/iris-blue", notes, "--overwrite")
        installed.cluster.fault("kill", "apiserver")
        installed.cluster.fault("compact")
        installed.cluster.repair()
    assert all_fine(course.result()), course.result()
    with_two(installed)


def test_another_autoscaler_takes_over_from_one_that_is_killed(installed: Installation) -> None:
    until("one leads", lambda: installed.leader() != "")
    before = installed.leader()
    os.killpg(process_of(before.rpartition("_")[0]), signal.SIGKILL)
    until("another leads", lambda: installed.leader() not in ("", before), 30.0)
    with_two(installed)


def test_keys_are_rotated_without_a_wrong_answer(installed: Installation) -> None:
    keys = installed.keys()
    router = installed.routers()[0]
    with installed.loaded(arrivals.constant(4, SECONDS), keys["secondaryKey"], router) as course:
        fresh = "a-new-primary-key-0123456789"
        patch = json.dumps({"stringData": {"primaryKey": fresh}})
        installed.cluster.kubectl("-n", installed.models, "patch", "secret", "iris-keys", "-p", patch)
        until("the new key opens", lambda: installed.score(fresh, router).status_code == 200, 60.0)
        assert installed.score(keys["primaryKey"], router).status_code == 401
    assert all_fine(course.result()), course.result()


def test_a_right_that_is_missing_is_named(installed: Installation, tmp_path: Path) -> None:
    installed.cluster.kubectl("-n", installed.home, "create", "serviceaccount", "nobody")
    with installed.router_of("nobody") as (admin, log):
        until("it says what it may not", lambda: "403" in readyz(admin).text)
        assert readyz(admin).status_code == 503
        assert 'cannot list resource "' in readyz(admin).text
        assert "cannot list resource" in log.read_text()


def readyz(admin: str) -> httpx.Response:
    return httpx.get(f"{admin}/readyz", trust_env=False, timeout=5.0)


def test_the_example_is_what_its_file_says(installed: Installation) -> None:
    """Applied as it is, for its Pods cannot run here."""
    with installed.cluster.namespace("plain") as namespace:
        installed.cluster.kubectl("-n", namespace, "apply", "-f", str(MANIFEST))
        assert installed.cluster.get("iep", "iris", namespace=namespace)["spec"]["deployments"][0]["name"] == "blue"
