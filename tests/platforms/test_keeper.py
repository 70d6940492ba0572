"""keeper.py: one wished replica runs, whatever happens to its processes."""

import asyncio
import os
import signal
from contextlib import suppress

import httpx
import pytest

from router.platforms.local import keeper
from router.platforms.local.plan import backoff_s
from router.platforms.local.ports import Ports
from tests.certificates import NAME, Authority


async def get(replica, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://{replica.host}:{replica.port}{path}")


async def test_not_ready_until_it_answers(bench):
    bench.declare(bench.endpoint(bench.deployment(readinessRoute={"path": "/status/503"})))
    async with bench.supervisor() as supervisor:
        await bench.until(lambda: len(bench.replicas()) == 1)
        (replica,) = bench.replicas()
        await bench.until(lambda: bench.runs(supervisor.replicas()[0].pid))
        assert not replica.ready
        assert supervisor.replicas()[0].phase == "starting"


async def test_a_killed_replica_is_replaced_under_a_new_uid(bench):
    bench.declare(bench.endpoint(bench.deployment(count=2)))
    async with bench.supervisor() as supervisor:
        before = await bench.until_ready(2)
        victim = next(s for s in supervisor.replicas() if s.uid == before[0].uid)
        os.kill(victim.pid, signal.SIGKILL)
        await bench.until(lambda: before[0].uid not in [each.uid for each in bench.replicas()])
        assert before[1].uid in [each.uid for each in bench.ready()]
        after = await bench.until_ready(2)
        assert {each.uid for each in after} & {each.uid for each in before} == {before[1].uid}


async def test_a_crash_is_reported_with_its_log_and_last_line(bench, caplog):
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor() as supervisor:
        (replica,) = await bench.until_ready(1)
        log = supervisor.replicas()[0].log
        with pytest.raises(httpx.TransportError):
            await get(replica, "/exit")
        await bench.until(lambda: bench.ready() not in ([], [replica]))
        status = supervisor.replicas()[0]
        assert status.restarts == 1
        assert status.fault in caplog.text
        assert f"{replica.uid} of iris/blue ended with exit code 3" in status.fault
        assert status.fault.endswith(f"its log {log} ends with: asked to exit")


async def test_a_crash_loop_backs_off_and_is_reported_once_per_doubling(bench, caplog, monkeypatch):
    pauses = []

    def shorter(failures: int) -> float:
        pauses.append(backoff_s(failures))
        return 0.0

    monkeypatch.setattr(keeper, "backoff_s", shorter)
    broken = {"command": ["$(PYTHON)", "-c", "raise SystemExit('no model')"]}
    bench.declare(bench.endpoint(bench.deployment(process=broken)))
    async with bench.supervisor():
        await bench.until(lambda: len(pauses) >= 5)
    assert pauses[:5] == [0.1, 0.2, 0.4, 0.8, 1.6]
    told = [record.message for record in caplog.records if "no model" in record.message]
    assert [line.rpartition("failure ")[2] for line in told[:3]] == ["1 in a row)", "2 in a row)", "4 in a row)"]


async def test_an_unwell_replica_is_not_ready_and_comes_back(bench):
    bench.declare(bench.endpoint(bench.deployment(livenessRoute={"path": "/", "port": None})))
    async with bench.supervisor() as supervisor:
        (replica,) = await bench.until_ready(1)
        await get(replica, "/status/503")
        await bench.until(lambda: bench.ready() == [])
        assert supervisor.replicas()[0].phase == "unwell"
        await get(replica, "/status/200")
        assert await bench.until_ready(1) == [replica]


async def test_a_replica_that_is_not_alive_is_replaced(bench, caplog):
    alive = {"period": 0.1, "failureThreshold": 2000}
    bench.declare(bench.endpoint(bench.deployment(livenessProbe=alive)))
    async with bench.supervisor():
        (replica,) = await bench.until_ready(1)
        with suppress(httpx.TransportError):  # it may be ended before it has answered
            await get(replica, "/status/500")
        await bench.until(lambda: bench.ready() not in ([], [replica]))
    assert "failed its liveness probe at /" in caplog.text


async def test_a_replica_that_never_becomes_ready_is_replaced(bench, caplog):
    mute = {"command": ["$(PYTHON)", "-c", "import time; time.sleep(600)"]}
    impatient = {"period": 0.1, "failureThreshold": 3}
    bench.declare(bench.endpoint(bench.deployment(process=mute, livenessProbe=impatient)))
    async with bench.supervisor() as supervisor:
        await bench.until(lambda: supervisor.replicas()[0].restarts > 0)
    assert "was not ready within 0.3 s" in caplog.text


async def test_while_no_port_is_left_it_says_so_and_tries_again(bench, caplog, monkeypatch):
    take, refused = Ports.take, iter([OSError("no free port")])

    def scarce(ports):
        for error in refused:
            raise error
        return take(ports)

    monkeypatch.setattr(Ports, "take", scarce)
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor():
        await bench.until_ready(1)
    assert caplog.text.count("a replica of iris/blue can't start: no free port") == 1


async def test_ports_that_run_out_later_are_a_trouble_that_clients_are_told(bench, monkeypatch):
    monkeypatch.setattr(keeper, "backoff_s", lambda _: 0.01)
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor() as supervisor:
        await bench.until_ready(1)

        def none_left(_):
            raise OSError("no free port")

        monkeypatch.setattr(Ports, "take", none_left)
        os.kill(supervisor.replicas()[0].pid, signal.SIGKILL)
        await bench.until(lambda: any("no free port" in each.reason for each in bench.state.read_snapshot().troubles))


async def test_a_command_in_a_missing_folder_is_reported(bench, caplog):
    process = {"command": ["$(PYTHON)"], "workingDir": "nowhere"}
    bench.declare(bench.endpoint(bench.deployment(process=process)))
    async with bench.supervisor() as supervisor:
        await bench.until(lambda: supervisor.replicas()[0].restarts > 0)
    assert "a replica of iris/blue can't start" in caplog.text
    assert "nowhere" in caplog.text


SECURE = """
import http.server, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("tls/cert.pem", "tls/key.pem")
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


async def test_replicas_that_speak_https_are_probed_so(bench, caplog):
    ours, strangers = Authority("Ours"), Authority("Somebody else's")
    ours.certify().write(bench.folder / "tls")
    (bench.folder / "replica.py").write_text(SECURE)

    def declare(authority: Authority) -> None:
        tls = {"serverName": NAME, "caBundle": authority.pem.decode()}
        alive = {"initialDelay": 60, "period": 0.1, "failureThreshold": 3, "timeout": 2}
        bench.declare(bench.endpoint(bench.deployment(tls=tls, livenessProbe=alive)))

    declare(strangers)
    async with bench.supervisor() as supervisor:
        await bench.until(lambda: "can't be asked over TLS: its certificate is not good: " in caplog.text)
        assert bench.ready() == []
        caplog.clear()
        declare(ours)
        await bench.until_ready(1)
        await asyncio.sleep(1)  # its liveness is asked over TLS as well
        assert supervisor.replicas()[0].restarts == 0
