"""Each contender's instances all know all replicas, with one request in each at a time where that can be said."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench.dispatch import contenders
from bench.dispatch.contenders import Envoy, HAProxy, Scoregate, all_contenders, declared, replicas, started
from bench.dispatch.live import account
from bench.measure import choose_cores
from bench.proxies import PeerError
from router.core.declare import declared_endpoints
from router.core.model import Addresses

REPLICA_PORTS = [7001, 7002, 7003]


def test_all_are_compared_with_six_instances() -> None:
    found = {each.name: each for each in all_contenders()}
    assert list(found) == ["scoregate-6x1", "scoregate-3x2", "haproxy", "envoy"]
    ours = [each for each in found.values() if isinstance(each, Scoregate)]
    assert [each.instances * each.workers for each in ours] == [6, 6]
    assert [found["haproxy"].instances, found["envoy"].instances] == [6, 6]


def test_haproxy_has_one_process_for_each_port_with_one_request_for_each_replica(tmp_path: Path) -> None:
    commands = HAProxy(2).commands(tmp_path, [8001, 8002], REPLICA_PORTS)
    assert [command[1:3] for command in commands] == [["-db", "-f"]] * 2
    text = Path(commands[1][3]).read_text()
    assert "bind 127.0.0.1:8002\n" in text
    assert "default-server maxconn 1\n" in text
    assert [port for port in REPLICA_PORTS if f"server replica{port} 127.0.0.1:{port}\n" in text] == REPLICA_PORTS
    assert "timeout queue 120s" in text


def test_envoy_takes_the_least_loaded_of_all_replicas(tmp_path: Path) -> None:
    commands = Envoy(2).commands(tmp_path, [8001, 8002], REPLICA_PORTS)
    config = json.loads(Path(commands[0][2]).read_text())["static_resources"]
    [cluster] = config["clusters"]
    assert cluster["lb_policy"] == "LEAST_REQUEST"
    endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    ports = [each["endpoint"]["address"]["socket_address"]["port_value"] for each in endpoints]
    assert ports == REPLICA_PORTS
    assert config["listeners"][0]["address"]["socket_address"]["port_value"] == 8001
    assert '"timeout": "120s"' in Path(commands[1][2]).read_text()


def test_ours_are_one_installation_with_a_port_for_each_router(tmp_path: Path) -> None:
    commands = Scoregate(3, 2).commands(tmp_path, [8001, 8002, 8003], REPLICA_PORTS)
    assert [command[command.index("--port") + 1] for command in commands] == ["8001", "8002", "8003"]
    assert {command[command.index("--state-dir") + 1] for command in commands} == {str(tmp_path)}
    assert {command[command.index("--workers") + 1] for command in commands} == {"2"}
    assert len({command[command.index("--admin-port") + 1] for command in commands}) == 3


def test_the_endpoint_is_one_that_a_router_takes() -> None:
    [endpoint] = declared_endpoints([json.loads(declared(REPLICA_PORTS))])
    [deployment] = endpoint.deployments
    assert deployment.request.max_concurrent_requests_per_instance == 1
    assert deployment.request.max_queue_wait_ms == 120_000
    assert deployment.workload == Addresses(addresses=tuple(f"127.0.0.1:{port}" for port in REPLICA_PORTS))
    [wide] = declared_endpoints([json.loads(declared(REPLICA_PORTS, 100))])
    assert wide.deployments[0].request.max_concurrent_requests_per_instance == 100


def test_a_key_is_known_once_it_is_written(tmp_path: Path) -> None:
    ours = Scoregate(1, 1)
    assert ours.authorization(tmp_path) is None
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "bench.json").write_text('{"primaryKey": "p", "secondaryKey": "s"}')
    assert ours.authorization(tmp_path) == "Bearer p"
    assert (HAProxy().authorization(tmp_path) or "").startswith("Bearer ")


class Silly(HAProxy):
    """Ends at once."""

    name, title = "silly", "Silly"

    def commands(self, folder: Path, ports: object, replica_ports: object) -> list[list[str]]:
        return [[sys.executable, "-c", "raise SystemExit('no such thing')"]]


def test_one_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(PeerError, match="Silly ended at the start: no such thing"),
        started(Silly(1), tmp_path, choose_cores().proxy, REPLICA_PORTS),
    ):
        pass


def test_one_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(Silly):
        def commands(self, folder: Path, ports: object, replica_ports: object) -> list[list[str]]:
            return [[sys.executable, "-c", "import time; time.sleep(60)"]]

    monkeypatch.setattr(contenders, "START_S", 0.2)
    with (
        pytest.raises(PeerError, match="Silly gave no right answer"),
        started(Mute(1), tmp_path, choose_cores().proxy, REPLICA_PORTS),
    ):
        pass


@pytest.mark.skipif(not HAProxy().program, reason="haproxy is not installed")
def test_instances_that_started_have_answered_through_real_replicas(tmp_path: Path) -> None:
    cores = choose_cores()
    with (
        replicas(3, tmp_path, cores.load) as (account_port, ports),
        started(HAProxy(2), tmp_path, cores.proxy, ports) as running,
    ):
        assert len(ports) == 3
        assert len(running.groups) == len(running.addresses) == len(running.commands) == 2
        assert sum(each.served for each in account(account_port)) == 2
