"""Who is the client, where HAProxy or nginx stands in front of the router?

The balancers' own programs. The client's address is another one of this machine's loopback network than theirs is.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from bench.processes import free_port
from tests.certificates import NAME, Authority
from tests.front import SCORE
from tests.models import PATIENCE_S
from tests.router_process import RouterProcess, declare, routing

CLIENT = "127.0.0.9"
TRUSTED = ("--trusted-proxies", "127.0.0.1")
CA = Authority()
FORGED = {"x-forwarded-for": "6.6.6.6", "forwarded": "for=6.6.6.6", "x-real-ip": "6.6.6.6"}

HAPROXY = """\
global
    nbthread 1
    maxconn 256
defaults
    mode {mode}
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    {forwards}
listen scoregate
    bind 127.0.0.1:{port}
    server router 127.0.0.1:{router} {server}
"""
NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {scheme}://127.0.0.1:{router};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header Forwarded "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"""


class Model:
    """Answers each request, and remembers its head."""

    def __init__(self) -> None:
        self.heads: list[dict[str, str]] = []
        self.port = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
                head = dict(line.split(": ", 1) for line in lines)
                await reader.readexactly(int(head.get("content-length", "0")))
                if not first.startswith("GET / "):  # which asks only whether it is well
                    self.heads.append(head)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n42")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
async def model() -> AsyncIterator[Model]:
    one = Model()
    async with await asyncio.start_server(one.talk, "127.0.0.1", 0) as listening:
        one.port = listening.sockets[0].getsockname()[1]
        yield one


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@asynccontextmanager
async def running(*command: str, port: int) -> AsyncIterator[None]:
    """Until it takes connections at `port`."""
    process = await asyncio.create_subprocess_exec(*command)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                assert process.returncode is None
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.transport.abort()
                    break
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def haproxy(
    folder: Path, router: int, server: str, *, mode: str = "tcp", forwards: str = ""
) -> AsyncIterator[int]:
    port, file = free_port(), folder / "haproxy.cfg"
    file.write_text(HAPROXY.format(port=port, router=router, server=server, mode=mode, forwards=forwards))
    async with running(program("haproxy"), "-f", str(file), "-db", port=port):
        yield port


@asynccontextmanager
async def nginx(folder: Path, router: int, scheme: str) -> AsyncIterator[int]:
    port, file = free_port(), folder / "nginx.conf"
    file.write_text(NGINX.format(port=port, router=router, scheme=scheme, folder=folder))
    async with running(program("nginx"), "-c", str(file), "-e", "stderr", "-p", str(folder), port=port):
        yield port


def client(port: int, *, tls: bool = False) -> httpx.AsyncClient:
    """At an address of its own."""
    verify = CA.trusting() if tls else ssl.create_default_context()
    transport = httpx.AsyncHTTPTransport(local_address=CLIENT, verify=verify)
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    return httpx.AsyncClient(base_url=url, transport=transport, timeout=PATIENCE_S, trust_env=False)


async def logged(router: RouterProcess, requests: int) -> list[str]:
    """The clients of the access log's lines, once there are so many."""
    async with asyncio.timeout(PATIENCE_S):
        while router.printed.count(b"\n") < requests:  # noqa: ASYNC110 - it looks at a process
            await asyncio.sleep(0.01)
    return [json.loads(line)["client"] for line in router.printed.splitlines()]


OpenRouter = Callable[..., Awaitable[RouterProcess]]


@pytest.fixture
async def open_router(tmp_path: Path, model: Model) -> AsyncIterator[OpenRouter]:
    """`open_router(*options, tls=False)`: in front of the model."""
    declare(tmp_path / "endpoints.yaml", model.port)
    async with AsyncExitStack() as stack:

        async def opened(*options: str, tls: bool = False) -> RouterProcess:
            if tls:
                CA.certify().write(tmp_path / "tls")
                options = (*options, "--tls-dir", str(tmp_path / "tls"), "--tls-port", "0")
            router = await stack.enter_async_context(routing(tmp_path, *options))
            await router.ready()
            return router

        yield opened


async def score(port: int, *, tls: bool = False, times: int = 3) -> None:
    """Each on a kept connection, with a word of who the client would like to be."""
    extensions = {"sni_hostname": NAME} if tls else {}
    async with client(port, tls=tls) as asking:
        for _ in range(times):
            reply = await asking.post(SCORE, content=b"{}", headers=FORGED, extensions=extensions)
            assert (reply.status_code, reply.content) == (200, b"42")


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_haproxy_says_whose_a_connection_is(
    tmp_path: Path, model: Model, open_router: OpenRouter, version: str, tls: bool
) -> None:
    router = await open_router(*TRUSTED, "--proxy-protocol", tls=tls)
    async with haproxy(tmp_path, router.port, version) as port:
        await score(port, tls=tls)
        assert set(await logged(router, 3)) == {CLIENT}
    assert [head["x-forwarded-for"] for head in model.heads] == [CLIENT] * 3
    assert {head["x-forwarded-proto"] for head in model.heads} == {"https" if tls else "http"}
    assert all("6.6.6.6" not in head["forwarded"] for head in model.heads)


async def test_haproxys_own_checks_are_its_own(tmp_path: Path, model: Model, open_router: OpenRouter) -> None:
    """It sends them as LOCAL, and its clients' connections as PROXY."""
    router = await open_router(*TRUSTED, "--proxy-protocol")
    server = "send-proxy-v2 check inter 20ms check-send-proxy"
    async with haproxy(tmp_path, router.port, server) as port:
        await score(port)
        await asyncio.sleep(0.3)
        await score(port)
        assert set(await logged(router, 6)) == {CLIENT}
    assert len(model.heads) == 6


async def test_who_comes_without_the_balancer_gets_nothing(tmp_path: Path, open_router: OpenRouter) -> None:
    router = await open_router(*TRUSTED, "--proxy-protocol")
    async with client(router.port) as asking:
        with pytest.raises(httpx.HTTPError):
            await asking.post(SCORE, content=b"{}")
    assert (await logged(router, 1)) == [CLIENT]


async def test_haproxy_speaks_http_and_encrypts_anew(tmp_path: Path, model: Model, open_router: OpenRouter) -> None:
    """X-Forwarded-For beside the PROXY header: both are said by one that is trusted."""
    router = await open_router(*TRUSTED, "--proxy-protocol", tls=True)
    server, forwards = "ssl verify none send-proxy-v2", "option forwardfor"
    async with haproxy(tmp_path, router.port, server, mode="http", forwards=forwards) as port:
        await score(port)
        assert set(await logged(router, 3)) == {CLIENT}
    assert {head["x-forwarded-for"] for head in model.heads} == {CLIENT}


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nginx_says_it_in_a_header(tmp_path: Path, model: Model, open_router: OpenRouter, scheme: str) -> None:
    router = await open_router(*TRUSTED, tls=scheme == "https")
    async with nginx(tmp_path, router.port, scheme) as port:
        await score(port)
        assert set(await logged(router, 3)) == {CLIENT}
    assert {head["x-forwarded-for"] for head in model.heads} == {f"6.6.6.6, {CLIENT}, 127.0.0.1"}


async def test_nobody_elses_word_counts(tmp_path: Path, model: Model, open_router: OpenRouter) -> None:
    router = await open_router("--trusted-proxies", "10.0.0.0/8")
    async with nginx(tmp_path, router.port, "http") as port:
        await score(port)
        assert set(await logged(router, 3)) == {"127.0.0.1"}
    assert {head["x-forwarded-for"] for head in model.heads} == {"127.0.0.1"}
