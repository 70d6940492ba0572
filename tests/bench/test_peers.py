"""Each proxy takes the configuration that is written for it, passes requests on, and tells its version."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench import configs
from bench.peers import Envoy, HAProxy, Nginx, Peer, PythonPeer, Scoregate, all_peers
from bench.processes import free_port
from bench.proxies import PeerError, Proxy, direct, proxying
from router.core.declare import declared_endpoints
from router.core.model import Addresses

CORE = min(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with direct(tmp_path_factory.mktemp("replica"), CORE) as proxy:
        yield proxy


def _need(peer: Peer) -> None:
    if not peer.program:
        pytest.skip(f"{peer.title} is not installed: {peer.install}")


def test_names_are_unique_and_in_the_order_of_the_table() -> None:
    assert [peer.name for peer in all_peers()] == [
        "haproxy",
        "nginx",
        "envoy",
        "python",
        "scoregate",
        "scoregate-log",
    ]


def test_haproxy_accepts_its_configuration(tmp_path: Path) -> None:
    peer = HAProxy()
    _need(peer)
    command = peer.command(tmp_path, free_port(), free_port())
    checked = subprocess.run([*command, "-c"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr


def test_nginx_accepts_its_configuration_and_writes_below_its_folder_only(tmp_path: Path) -> None:
    peer = Nginx()
    _need(peer)
    command = peer.command(tmp_path, free_port(), free_port())
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr
    written = [line.split()[1].rstrip(";") for line in configs.nginx(1, 2, "/f").splitlines() if "/f/" in line]
    assert len(written) == 7
    assert all(path.startswith("/f/") for path in written)


def test_envoy_is_told_one_listener_one_cluster_and_no_low_ceiling() -> None:
    static = json.loads(configs.envoy(8080, 5001))["static_resources"]
    assert static["listeners"][0]["address"]["socket_address"]["port_value"] == 8080
    cluster = static["clusters"][0]
    assert cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] == {
        "address": "127.0.0.1",
        "port_value": 5001,
    }
    assert min(cluster["circuit_breakers"]["thresholds"][0].values()) > 64


def test_scoregate_is_told_one_endpoint_with_key_auth_and_a_limit() -> None:
    [endpoint] = declared_endpoints([yaml.safe_load(configs.scoregate(5001))])
    [deployment] = endpoint.deployments
    assert (endpoint.name, endpoint.auth_mode) == (configs.ENDPOINT, "key")
    assert deployment.workload == Addresses(("127.0.0.1:5001",))
    assert deployment.request.max_concurrent_requests_per_instance == 100


def test_only_one_scoregate_row_writes_an_access_log(tmp_path: Path) -> None:
    quiet = Scoregate(access_log=False).command(tmp_path, 1, 2)
    logging = Scoregate(access_log=True).command(tmp_path, 1, 2)
    assert quiet[quiet.index("--access-log") + 1] == "off"
    assert logging[logging.index("--access-log") + 1] == str(tmp_path / "access.jsonl")


@pytest.mark.parametrize("peer", [HAProxy(), Nginx(), Envoy(), PythonPeer()], ids=lambda peer: peer.name)
def test_a_started_peer_brings_the_replicas_answer(peer: Peer, replica: Proxy, tmp_path: Path) -> None:
    _need(peer)
    with proxying(peer, tmp_path, CORE, replica.port) as proxy:  # returns once one answer was right
        assert proxy.group.alive
        assert proxy.url.endswith("/api/v1/endpoint/bench/score")
    assert any(digit.isdigit() for digit in peer.version())


class Locked(PythonPeer):
    """Writes its key once it runs."""

    key_file = "keys.json"

    def command(self, folder: Path, port: int, replica_port: int) -> list[str]:
        keys = json.dumps({"primaryKey": "sesame", "secondaryKey": "other"})
        serve = shlex.join(super().command(folder, port, replica_port))
        return ["sh", "-c", f"echo '{keys}' > {folder / self.key_file}; exec {serve}"]


def test_a_peer_with_keys_is_asked_with_its_primary_key(replica: Proxy, tmp_path: Path) -> None:
    _need(Locked())
    with proxying(Locked(), tmp_path, CORE, replica.port) as proxy:
        assert proxy.authorization == "Bearer sesame"


class Liar(PythonPeer):
    """Answers by itself."""

    title = "Liar"

    def command(self, folder: Path, port: int, replica_port: int) -> list[str]:
        serve = """
import http.server, sys
class Liar(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"whatever")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Liar).serve_forever()
"""
        return [sys.executable, "-c", serve, str(port)]


def test_a_peer_that_changes_the_answer_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(PeerError, match="Liar brings b'whatever', but the replica said"),
        proxying(Liar(), tmp_path, CORE, free_port()),
    ):
        pass


class Quitter(PythonPeer):
    """Installed, but ends at once."""

    title = "Quitter"

    def command(self, folder: Path, port: int, replica_port: int) -> list[str]:
        return ["sh", "-c", "echo no such option; exit 3"]


def test_a_peer_that_does_not_start_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(PeerError, match="Quitter ended while it started: no such option"),
        proxying(Quitter(), tmp_path, CORE, free_port()),
    ):
        pass
