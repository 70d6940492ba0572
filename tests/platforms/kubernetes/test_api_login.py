"""Does an Api keep its connections, renew its credentials, and know whom it talks to?"""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import web

from router.platforms import PlatformError
from router.platforms.kubernetes import api as subject
from router.platforms.kubernetes.api import Api
from tests.platforms.kubernetes.answering import Login, failure, serving, status, talking


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Login:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    return Login(tmp_path / "kubeconfig")


async def test_connections_are_kept_and_there_is_no_limit_to_their_number(login: Login) -> None:
    peers: set[object] = set()
    waiting = 0
    together = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        nonlocal waiting
        peers.add(request.transport and request.transport.get_extra_info("peername"))
        if request.path == "/together":
            waiting += 1
            if waiting == 120:
                together.set()
            await together.wait()
        return web.Response(body=b"x" * 100_000, status=200 if request.path != "/refused" else 404)

    async with talking(answer, login) as api:
        for path in ("/a", "/refused", "/b"):
            await asyncio.gather(api.read(path), return_exceptions=True)
        assert len(peers) == 1
        await asyncio.gather(*[api.read("/together") for _ in range(120)])


async def test_after_a_401_it_asks_once_more_with_credentials_loaded_anew(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is under way with the old ones goes on."""
    monkeypatch.setattr(subject, "RENEW_S", 0.0)
    good = {"Bearer one"}
    asked: list[str] = []
    go_on = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers["Authorization"])
        if asked[-1] not in good:
            return status(401, "Unauthorized", "Unauthorized")
        response = web.StreamResponse()
        await response.prepare(request)
        if "watch" in request.query:
            await response.write(b"one\n")
            await go_on.wait()
        await response.write(b"two\n")
        return response

    async with talking(answer, login) as api:
        watch = api.watch("/x", {}, silent_s=5)
        assert await anext(watch) == b"one"
        good = {"Bearer two"}
        login.user["token"] = "two"
        login.write()
        first, second = await asyncio.gather(api.read("/a"), api.read("/b"))
        assert (first, second) == (b"two\n", b"two\n")
        assert sorted(asked) == ["Bearer one"] * 3 + ["Bearer two"] * 2
        go_on.set()
        assert [line async for line in watch] == [b"two"]
        assert (await failure(_with_nobody_good(good, api))).status == 401


async def _with_nobody_good(good: set[str], api: Api) -> bytes:
    good.clear()
    return await api.read("/c")


async def test_credentials_are_not_loaded_over_and_over(login: Login) -> None:
    """As they would be by each of the watches, at each try."""
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return status(401, "Unauthorized", "Unauthorized")

    async with talking(answer, login) as api:
        error = await failure(api.read("/x"))
        assert (asked, error.what) == (1, "the API server answers 401: Unauthorized")


async def test_credentials_that_are_gone_after_a_401_are_told_with_it(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "RENEW_S", 0.0)

    async def answer(request: web.Request) -> web.Response:
        return status(401, "Unauthorized", "Unauthorized")

    async with talking(answer, login) as api:
        login.file.unlink()
        error = await failure(api.read("/x"))
        assert error.status == 401
        assert "401: Unauthorized" in str(error)
        assert "there is no kubeconfig" in str(error)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """One that signs itself, for 127.0.0.1, and its key."""
    crt, key = folder / f"{name}.crt", folder / f"{name}.key"
    openssl = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN={name}"
    options = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(crt)]
    subprocess.run([*openssl.split(), *options], check=True, capture_output=True)
    return crt, key


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
async def test_tls_is_checked_and_what_is_wrong_with_it_is_told(login: Login, tmp_path: Path) -> None:
    ours, key = certificate(tmp_path, "ours")
    theirs, _ = certificate(tmp_path, "theirs")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(ours, key)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="fine")

    async with serving(answer, tls) as address:
        for ca in (ours, theirs):
            login.cluster["certificate-authority"] = str(ca)
            login.at(f"https://{address}")
            async with await Api.open() as api:
                if ca == ours:
                    assert await api.read("/x") == b"fine"
                else:
                    error = await failure(api.read("/x"))
                    assert error.what.startswith("no TLS with the API server: ")
                    assert "certificate verify failed" in error.what


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
async def test_a_ca_that_was_changed_is_taken_up_without_a_restart(
    login: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "RENEW_S", 0.0)
    ours, key = certificate(tmp_path, "ours")
    theirs, _ = certificate(tmp_path, "theirs")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(ours, key)
    ca = tmp_path / "ca.crt"
    shutil.copy(theirs, ca)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="fine")

    async with serving(answer, tls) as address:
        login.cluster["certificate-authority"] = str(ca)
        login.at(f"https://{address}")
        async with await Api.open() as api:
            assert "certificate verify failed" in (await failure(api.read("/x"))).what
            shutil.copy(ours, ca)
            assert await api.read("/x") == b"fine"


async def test_certificates_that_are_none_are_told_at_once(login: Login, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no PEM")
    login.cluster["certificate-authority"] = str(tmp_path / "ca.crt")
    login.at("https://127.0.0.1:1")
    with pytest.raises(PlatformError, match=r"the certificates for https://127.0.0.1:1 can't be used: .* PEM"):
        await Api.open()
