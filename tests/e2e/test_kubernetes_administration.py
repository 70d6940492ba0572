"""Is a cluster's installation administered as a person does it, and does every router follow?

The chart with TLS and with `administration.enabled`, on a real control plane. Routers are real processes with the
rights of their ServiceAccount alone; commands reach one of them as `kubectl port-forward` does. The test kubelet mounts
no Secrets: their files are put where the routers look, exchanged as a kubelet does it.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from tests.certificates import NAME, Authority, Certified
from tests.command_line import failed, run
from tests.e2e.conftest import until
from tests.e2e.forwarding import forwarded
from tests.e2e.installation import FLOWERS, Installation
from tests.kubernetes.cluster import Cluster

HTTPS = 8443
SOON_S = 60.0
"""For what one router wrote to be what all of them do."""
SCORE = "/api/v1/endpoint/iris/score"


class Site:
    """The installation, who certifies it, and the administrator."""

    def __init__(self, installed: Installation, authority: Authority, mounted: Path) -> None:
        self.installed = installed
        self._trust = authority.trusting()
        self._mounted = mounted
        self.admin_url = ""

    # -- clients ---------------------------------------------------------------------------------------------

    def client(self, router: str) -> httpx.Client:
        return httpx.Client(base_url=f"https://{router}:{HTTPS}", verify=self._trust, trust_env=False, timeout=30.0)

    def score(self, client: httpx.Client, credential: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {credential}", "content-type": "application/json"}
        return client.post(SCORE, content=FLOWERS, headers=headers, extensions={"sni_hostname": NAME})

    def status(self, credential: str, router: str) -> int:
        with self.client(router) as client:
            return self.score(client, credential).status_code

    def statuses(self, credential: str) -> set[int]:
        """On all routers."""
        return {self.status(credential, router) for router in self.installed.routers()}

    @contextmanager
    def loaded(self, credential: str) -> Iterator[Counter[int]]:
        """Requests to all routers without end, every other one over a connection of its own; how they were answered."""
        seen: Counter[int] = Counter()
        ended = Event()

        def ask(router: str) -> None:
            with self.client(router) as kept:
                while not ended.is_set():
                    seen[self.score(kept, credential).status_code] += 1
                    seen[self.status(credential, router)] += 1

        threads = [Thread(target=ask, args=(router,)) for router in self.installed.routers()]
        for each in threads:
            each.start()
        try:
            until("there is load", lambda: sum(seen.values()) > 10)
            yield seen
        finally:
            ended.set()
            for each in threads:
                each.join()

    # -- the administrator -----------------------------------------------------------------------------------

    def vault(self) -> dict[str, bytes]:
        secret = self.installed.cluster.get("secret", "scoregate-vault", namespace=self.installed.home)
        return {name: base64.b64decode(text) for name, text in secret.get("data", {}).items()}

    def printed(self, *words: object) -> str:
        result = run(*words, "--admin-url", self.admin_url, SCOREGATE_ADMIN_KEY=self._admin_key())
        assert result.exit_code == 0, result.output
        return result.stdout.removesuffix("\n")

    def refused(self, *words: object) -> str:
        return failed(*words, "--admin-url", self.admin_url, SCOREGATE_ADMIN_KEY=self._admin_key())

    def _admin_key(self) -> str:
        return self.vault()["admin-key"].decode()

    def resource(self) -> dict[str, Any]:
        return self.installed.cluster.get("inferenceendpoint", "iris", namespace=self.installed.models)

    # -- the kubelet's part ----------------------------------------------------------------------------------

    def mount(self, certified: Certified) -> None:
        """Puts the Secret into the cluster, and its files to where routers have it mounted: all at once."""
        text = {"tls.crt": certified.certificate.decode(), "tls.key": certified.key.decode()}
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "router-tls"}}
        self.installed.cluster.apply({**secret, "stringData": text}, namespace=self.installed.home)
        data = self.installed.cluster.get("secret", "router-tls", namespace=self.installed.home)["data"]
        fresh = self._mounted / f"..{secrets.token_hex(4)}"
        fresh.mkdir(parents=True)
        for name, content in data.items():
            (fresh / name).write_bytes(base64.b64decode(content))
            if not (self._mounted / name).is_symlink():
                (self._mounted / name).symlink_to(f"..data/{name}")
        link = self._mounted / "..data_tmp"
        link.symlink_to(fresh.name)
        link.replace(self._mounted / "..data")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def site(cluster: Cluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    pytest.importorskip("azureml_inference_server_http", reason="the example's model server is not installed")
    pytest.importorskip("sklearn", reason="the example's model library is not installed")
    cluster.needs_faults()
    folder = tmp_path_factory.mktemp("pods")
    mounted = folder / "tls"
    values = "sslSecret=router-tls", f"sslCname={NAME}", "administration.enabled=true"
    with cluster.namespace("home") as home, cluster.namespace("models") as models:
        mounts = {"/etc/scoregate/tls": mounted}
        site = Site(Installation(cluster, home, models, folder, *values, mounts=mounts), authority, mounted)
        site.mount(authority.certify())
        site.installed.install()
        site.installed.deploy_iris(slow=False, scaleSettings={"minInstances": 1, "maxInstances": 3})
        accepts = json.dumps({"spec": {"auth": {"mode": "key", "alsoAccepts": ["token"]}}})
        cluster.kubectl("-n", models, "patch", "iep", "iris", "--type=merge", "-p", accepts)
        until("routers are ready", lambda: len(site.installed.routers()) == 2)
        until("the model is ready", site.installed.models_ready)
        until(
            "the keys are there", lambda: site.resource()["metadata"]["name"] and site.installed.condition("KeysReady")
        )
        with forwarded(site.installed.routers()[0], 9001) as site.admin_url:
            until("the vault is full", lambda: {"admin-key", "signing-keys", "instance-ca"} <= site.vault().keys())
            primary = site.printed("key", "show", "iris", "primary")
            until("a score is 200", lambda: site.statuses(primary) == {200})
            yield site


@pytest.fixture
def secondary(site: Site) -> str:
    return site.printed("key", "show", "iris", "secondary")


def test_another_certificate_is_served_and_no_request_fails(site: Site, authority: Authority, secondary: str) -> None:
    newer = authority.certify()

    def serial(router: str) -> bytes:
        with site.client(router) as client, client.stream("GET", "/", extensions={"sni_hostname": NAME}) as reply:
            certificate = reply.extensions["network_stream"].get_extra_info("ssl_object").getpeercert()
            return str(certificate["serialNumber"]).encode()

    before = {serial(router) for router in site.installed.routers()}
    with site.loaded(secondary) as seen:
        site.mount(newer)
        until("all serve the new one", lambda: not before & {serial(each) for each in site.installed.routers()}, SOON_S)
    assert set(seen) == {200}


def test_keys_are_regenerated_under_load_without_a_wrong_answer(site: Site, secondary: str) -> None:
    old = site.printed("key", "show", "iris", "primary")
    with site.loaded(secondary) as seen:
        new = site.printed("key", "regenerate", "iris", "primary")
        until("the new one opens everywhere", lambda: site.statuses(new) == {200}, SOON_S)
        assert site.statuses(old) == {401}
        named = site.printed("key", "add", "iris", "team-a")
        until("a named one opens everywhere", lambda: site.statuses(named) == {200}, SOON_S)
        site.printed("key", "remove", "iris", "team-a", "--yes")
        until("its consumer is cut off", lambda: site.statuses(named) == {401}, SOON_S)
    assert set(seen) == {200}
    assert site.installed.keys() == {"primaryKey": new, "secondaryKey": secondary}


def test_a_token_of_one_router_opens_all_and_revoked_on_one_is_refused_by_all(site: Site) -> None:
    first, second = (site.printed("token", "iris", "--subject", who) for who in ("a", "b"))
    assert site.statuses(first) == site.statuses(second) == {200}
    site.printed("revoke", "iris", first, "--yes")
    until("it is refused everywhere", lambda: site.statuses(first) == {401}, SOON_S)
    assert site.statuses(second) == {200}
    site.printed("revoke", "iris", "--all", "--yes")
    until("all are refused everywhere", lambda: site.statuses(second) == {401}, SOON_S)
    third = site.printed("token", "iris")
    until("a later one is good", lambda: site.statuses(third) == {200}, SOON_S)


def test_traffic_is_in_the_resource(site: Site, secondary: str) -> None:
    assert "must be for blue" in site.refused("traffic", "iris", "green=100")
    site.printed("traffic", "iris", "blue=0")
    assert site.resource()["spec"]["traffic"] == {"blue": 0}
    until("nobody is served", lambda: site.statuses(secondary) == {404}, SOON_S)
    site.printed("traffic", "iris", "blue=100")
    assert site.resource()["spec"]["traffic"] == {"blue": 100}
    until("all are served", lambda: site.statuses(secondary) == {200}, SOON_S)


def test_a_number_set_by_hand_is_held_and_a_drained_replica_takes_nothing_new(site: Site, secondary: str) -> None:
    installed = site.installed
    site.printed("scale", "iris/blue", 2, "--for", "10m")
    hold = json.loads(site.resource()["metadata"]["annotations"]["scoregate.io/hold.blue"])
    assert hold["replicas"] == 2
    until("there are two", lambda: len(installed.models_ready()) == 2)
    shown = "replicas", "iris/blue", "--json"
    until("the router knows both", lambda: sum(each["ready"] for each in json.loads(site.printed(*shown))) == 2, SOON_S)
    uid = json.loads(site.printed(*shown))[0]["uid"]
    site.printed("drain", uid)
    until("all routers know", lambda: {installed.load(each)["ready"] for each in installed.routers()} == {1}, SOON_S)
    drained = [pod for pod in installed.pods("app=iris", installed.models) if _is_drained(pod)]
    assert [pod["metadata"]["uid"] for pod in drained] == [uid]
    with site.loaded(secondary) as seen:
        time.sleep(2)
        assert {each["uid"]: each["inFlight"] for each in json.loads(site.printed(*shown))}[uid] == 0
    assert set(seen) == {200}
    assert installed.wished() == 2, "a drained one is held, too"
    site.printed("scale", "iris/blue", "--release")
    assert "scoregate.io/hold.blue" not in site.resource()["metadata"].get("annotations", {})
    site.printed("drain", uid, "--undo")


def _is_drained(pod: dict[str, Any]) -> bool:
    return pod["metadata"].get("annotations", {}).get("scoregate.io/drained") == "true"


def test_loads_are_asked_for_between_instances_alone(site: Site) -> None:
    """The port between instances takes nobody without a certificate of this installation."""
    until(
        "utilization is told", lambda: "%" in site.installed.cluster.kubectl("-n", site.installed.models, "get", "iep")
    )
    router = site.installed.routers()[0]
    with pytest.raises(httpx.TransportError):
        httpx.get(f"https://{router}:9002/load", verify=False, trust_env=False)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{router}:9002/load", trust_env=False)


def test_nobody_administers_over_the_network_and_nothing_secret_is_told(site: Site, secondary: str) -> None:
    key = site.vault()["admin-key"].decode()
    for router in site.installed.routers():
        url = f"http://{router}:9001/admin/v1/endpoints"
        reply = httpx.get(url, headers={"authorization": f"Bearer {key}"}, trust_env=False)
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "HttpsRequired")
    logs = (site.installed.cluster.kubeconfig.parent / "log" / "kubelet.log").read_text(errors="replace")
    assert "scoregate.audit" in logs
    for secret in (key, secondary, *(text for text in site.installed.keys().values())):
        assert secret not in logs
    assert "PRIVATE KEY" not in logs
    assert not re.search(r"eyJ[\w-]+\.eyJ", logs), "a token"


def test_without_the_right_to_change_the_chart_s_value_is_named(site: Site, secondary: str) -> None:
    site.installed.grant("administration.enabled=false")
    try:
        for words in (
            ("key", "regenerate", "iris", "primary"),
            ("traffic", "iris", "blue=100"),
            ("scale", "iris/blue", 2),
        ):
            said = until("it is refused", lambda words=words: _refusal(site, words), SOON_S)  # type: ignore[misc]
            assert "administration.enabled=true" in said
        assert site.printed("key", "show", "iris", "secondary") == secondary
        assert site.statuses(site.printed("token", "iris")) == {200}
    finally:
        site.installed.grant()


def _refusal(site: Site, words: tuple[object, ...]) -> str:
    """ "" while the authorizer still knows the right."""
    result = run(*words, "--admin-url", site.admin_url, SCOREGATE_ADMIN_KEY=site.vault()["admin-key"].decode())
    return "" if result.exit_code == 0 else result.stderr
