"""entrances.py: a router process that serves HTTPS, and what its plain port answers then."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from bench.processes import free_port
from tests.certificates import NAME, Authority, new_key
from tests.front import SCORE
from tests.models import Model, served, until
from tests.router_process import RouterProcess, connections_of, declare, routing

CA = Authority()
ELSEWHERE = {"SCOREGATE_TLS_PORT": "0"}
KEPT = b"the new certificate is not taken, the old one stays: key.pem holds no private key"


class Site(NamedTuple):
    folder: Path
    model: Model

    @property
    def options(self) -> tuple[str, ...]:
        return ("--tls-dir", str(self.folder / "tls"), "--drain-grace-ms", "0")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A model, a folder with an endpoints file for it, and a certificate."""
    model = Model()
    async with served(model) as port:
        declare(tmp_path / "endpoints.yaml", port, maxConcurrentRequestsPerInstance=0)
        CA.certify().write(tmp_path / "tls")
        yield Site(tmp_path, model)
        model.gate.set()


class Trusting(httpx.AsyncHTTPTransport):
    """Of a client that believes the CA of these tests, and knows the router by its name."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(verify=context or CA.trusting(), trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = NAME
        return await super().handle_async_request(request)


def trusting(one: RouterProcess, context: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    return one.client(transport=Trusting(context))


async def test_it_scores_over_https_and_says_so(site: Site) -> None:
    async with routing(site.folder, *site.options, env=ELSEWHERE) as one, trusting(one) as client:
        await one.ready()
        assert one.place.public.startswith("https://127.0.0.1:")
        reply = await client.post(SCORE, json=[1])
        assert (reply.status_code, reply.json()) == (200, [1])
        assert site.model.asked[-1].headers["x-forwarded-proto"] == "https"
        one.send_signal()
        assert await one.ended() == 0
        assert b"Traceback" not in one.said


async def test_its_plain_port_refuses_and_says_where_to_go(site: Site) -> None:
    port = free_port()
    options = (*site.options, "--port", str(port), "--access-log", "log")
    async with routing(site.folder, *options, env=ELSEWHERE) as one, one.client() as client:
        await one.ready()
        reply = await client.post(f"http://127.0.0.1:{port}{SCORE}", json=[1])
        assert reply.status_code == 403
        assert reply.json()["error"]["code"] == "HttpsRequired"
        assert f"https://127.0.0.1:{one.port}{SCORE}" in reply.json()["error"]["message"]
        assert reply.headers["connection"] == "close"
        assert reply.headers["date"]
        big = await client.post(f"http://127.0.0.1:{port}{SCORE}", content=bytes(3_000_000))
        assert big.status_code == 403, "and is read though the body was not"
        metrics = (await client.get(f"{one.place.admin}/metrics")).text
        assert re.search(r'scoregate_requests_total\{[^}]*"403"[^}]*\} 2\b', metrics)
        one.send_signal()
        assert await one.ended() == 0
    assert (site.folder / "log").read_text().count('"code":"HttpsRequired"') == 2
    assert site.model.asked == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_its_plain_port_redirects_where_it_shall(site: Site, method: str) -> None:
    port = free_port()
    options = (*site.options, "--port", str(port), "--plain-http", "redirect")
    async with routing(site.folder, *options, env=ELSEWHERE) as one, one.client() as client:
        await one.ready()
        reply = await client.request(method, f"http://127.0.0.1:{port}{SCORE}?a=b")
        assert reply.status_code == 308
        assert reply.headers["location"] == f"https://127.0.0.1:{one.port}{SCORE}?a=b"


async def test_its_plain_port_scores_where_that_is_allowed(site: Site) -> None:
    port = free_port()
    options = (*site.options, "--port", str(port), "--allow-insecure-connections")
    async with routing(site.folder, *options, env=ELSEWHERE) as one, trusting(one) as client, one.client() as plain:
        await one.ready()
        assert (await client.post(SCORE, json=[1])).status_code == 200
        assert (await plain.post(f"http://127.0.0.1:{port}{SCORE}", json=[1])).status_code == 200
        protos = [asked.headers["x-forwarded-proto"] for asked in site.model.asked]
        assert protos == ["https", "http"]


async def test_off_loopback_it_wants_a_certificate_or_the_word(site: Site) -> None:
    async with routing(site.folder, "--host", "0.0.0.0", waits=False) as one:
        assert await one.ended() == 1
    assert b"--host is 0.0.0.0, where keys and data would cross a network as plain HTTP." in one.said
    assert b"Traceback" not in one.said
    env = {"SCOREGATE_ALLOW_INSECURE_CONNECTIONS": "true", "SCOREGATE_HOST": "0.0.0.0"}
    async with routing(site.folder, env=env) as one:
        await one.ready()
    async with routing(site.folder, *site.options, env={**ELSEWHERE, "SCOREGATE_HOST": "0.0.0.0"}) as one:
        await one.ready()


async def test_a_bad_pair_ends_it_with_a_message(site: Site) -> None:
    (site.folder / "tls" / "key.pem").write_bytes(CA.certify().key)
    async with routing(site.folder, *site.options, waits=False, env=ELSEWHERE) as one:
        assert await one.ended() == 1
    said = one.said.decode()
    assert f"HTTPS can't be served with --tls-dir {site.folder / 'tls'}: key.pem is not the key of" in said
    assert "Traceback" not in said
    assert "PRIVATE" not in said


async def test_a_tls_port_in_use_is_a_message(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with routing(site.folder, *site.options, "--tls-port", str(port), waits=False) as one:
            assert await one.ended() == 1
    assert f"Can't listen on 127.0.0.1:{port}: Address already in use. Choose another --tls-port." in one.said.decode()


async def test_clients_show_certificates_where_they_must(site: Site) -> None:
    clients = Authority("Clients")
    (site.folder / "clients.pem").write_bytes(clients.pem)
    options = (*site.options, "--client-ca", str(site.folder / "clients.pem"))
    async with routing(site.folder, *options, env=ELSEWHERE) as one:
        await one.ready()
        known = CA.trusting(clients.certify("me"), site.folder)
        async with trusting(one, known) as client:
            assert (await client.post(SCORE, json=[1])).status_code == 200
        async with trusting(one) as client:
            with pytest.raises((httpx.ConnectError, httpx.ReadError, ssl.SSLError)):
                await client.post(SCORE, json=[1])


async def served_with(one: RouterProcess) -> str:
    """The certificate that a new connection is shown."""
    return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", one.port))


async def until_served_with(one: RouterProcess, certificate: bytes) -> None:
    wanted = ssl.PEM_cert_to_DER_cert(certificate.decode())
    async with asyncio.timeout(20):
        while ssl.PEM_cert_to_DER_cert(await served_with(one)) != wanted:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def test_a_new_certificate_under_load_costs_no_request(site: Site) -> None:
    """On connections that stay and on new ones, through good pairs of both kinds, and bad ones between."""
    pairs = [CA.certify(key=new_key("rsa")), CA.certify()]
    async with routing(site.folder, *site.options, env=ELSEWHERE) as one:
        await one.ready()
        statuses: list[int] = []
        ends = asyncio.Event()

        async def ask(keeps: bool) -> None:
            context = CA.trusting()
            async with trusting(one, context) as kept:
                while not ends.is_set():
                    if keeps:
                        statuses.append((await kept.post(SCORE, json=[1])).status_code)
                    else:
                        async with trusting(one, context) as fresh:
                            statuses.append((await fresh.post(SCORE, json=[1])).status_code)
                    await asyncio.sleep(0.005)

        async with asyncio.TaskGroup() as asking:
            for keeps in (True, True, False, False):
                asking.create_task(ask(keeps))
            for told, pair in enumerate(pairs, 1):
                pair.write(site.folder / "tls")
                await until_served_with(one, pair.certificate)
                (site.folder / "tls" / "key.pem").write_bytes(b"broken")
                await until(lambda told=told: one.said.count(KEPT) == told)  # type: ignore[misc]
                await asyncio.sleep(1.2)  # another look
                assert ssl.PEM_cert_to_DER_cert(await served_with(one)) == ssl.PEM_cert_to_DER_cert(
                    pair.certificate.decode()
                )
            await until(lambda: len(statuses) > 200)
            ends.set()
        assert set(statuses) == {200}
        one.send_signal()
        assert await one.ended() == 0
    assert one.said.count(KEPT) == 2
    assert b"Traceback" not in one.said


async def test_an_idle_client_and_a_silent_one_do_not_keep_it_from_ending(site: Site) -> None:
    async with routing(site.folder, *site.options, env=ELSEWHERE) as one, trusting(one) as client:
        await one.ready()
        await client.post(SCORE, json=[1])
        async with one.wire() as silent:
            await until(lambda: connections_of(one.process.pid, one.port) == 2)
            one.send_signal()
            assert await one.ended() == 0
            assert await silent[0].read() == b""
