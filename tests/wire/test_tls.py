"""What does a stranger find who looks at the handshake, as testssl does? And what does a new certificate change?

OpenSSL's own client is allowed everything here that is old and weak, so that it is the router that refuses.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio.subprocess import PIPE, STDOUT
from contextlib import suppress
from pathlib import Path

import pytest

from router.tls import server_context
from tests.certificates import NAME, Authority, Certified, new_key, pair_of
from tests.wire.encrypted_wires import EncryptedWire
from tests.wire.stage import CA, Stage
from tests.wire.wires import PATIENCE_S, Message, reply, request, until

SAID = request(body=b"[1]")
NOWHERE = request(b"Connection: close", path=b"/nowhere")
"""The router answers it by itself, and closes."""
ALL = ("-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0")


@pytest.fixture
def over() -> str:
    return "tls"


async def s_client(stage: Stage, *options: str | Path, said: bytes = b"Q\n", verify: bool = True) -> str:
    """What `openssl s_client` prints; it ends when the input does."""
    words = ["openssl", "s_client", "-connect", f"127.0.0.1:{stage.address[1]}", "-servername", NAME, *options]
    if verify:
        words += ["-verify_hostname", NAME, "-verify_return_error"]
    process = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    async with asyncio.timeout(PATIENCE_S):
        printed, _ = await process.communicate(said)
    return printed.decode("utf-8", "replace")


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_bytes(CA.pem)
    return tmp_path / "ca.pem"


@pytest.mark.parametrize(("option", "version"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
async def test_tls_of_today_is_spoken(stage: Stage, trusted: Path, option: str, version: str) -> None:
    printed = await s_client(stage, "-CAfile", trusted, option)
    assert f"New, {version}, Cipher is " in printed
    assert "Verify return code: 0 (ok)" in printed
    assert "Compression: NONE" in printed


@pytest.mark.parametrize("option", ["-tls1", "-tls1_1"])
async def test_tls_of_yesterday_is_refused(stage: Stage, option: str) -> None:
    printed = await s_client(stage, option, *ALL, verify=False)
    assert "alert protocol version" in printed
    assert "Cipher is (NONE)" in printed


@pytest.mark.parametrize(
    "cipher",
    ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "AECDH-AES128-SHA",
     "ECDHE-ECDSA-AES128-CCM8", "ECDHE-ECDSA-NULL-SHA", "DHE-RSA-AES128-GCM-SHA256"],
)  # fmt: skip
async def test_weak_ciphers_are_refused(stage: Stage, cipher: str) -> None:
    printed = await s_client(stage, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0", verify=False)
    assert "handshake failure" in printed
    assert "Cipher is (NONE)" in printed


@pytest.mark.parametrize(
    "family", ["RC4", "3DES", "NULL", "EXPORT", "aNULL", "CBC", "kRSA", "SEED", "IDEA", "CAMELLIA"]
)
async def test_whole_families_are_refused_or_unknown_to_the_client(stage: Stage, family: str) -> None:
    printed = await s_client(stage, "-tls1_2", "-cipher", f"{family}:@SECLEVEL=0", verify=False)
    assert "Cipher is ECDHE" not in printed
    assert "handshake failure" in printed or "no cipher match" in printed or "no ciphers available" in printed


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"])
async def test_ciphers_of_today_are_taken(stage: Stage, cipher: str) -> None:
    assert f"Cipher is {cipher}" in await s_client(stage, "-tls1_2", "-cipher", cipher, verify=False)


async def test_http_1_1_is_what_is_spoken(stage: Stage) -> None:
    assert "ALPN protocol: http/1.1" in await s_client(stage, "-alpn", "h2,http/1.1", verify=False)
    assert "No ALPN negotiated" in await s_client(stage, "-alpn", "h2", verify=False)


async def test_the_whole_chain_is_sent(stage: Stage, trusted: Path) -> None:
    stage.context = server_context(pair_of(CA.beneath().certify(key=new_key("rsa"))))
    printed = await s_client(stage, "-CAfile", trusted, "-showcerts")
    assert printed.count("BEGIN CERTIFICATE") == 2
    assert "Verify return code: 0 (ok)" in printed


async def test_renegotiation_is_refused(stage: Stage) -> None:
    printed = await s_client(stage, "-tls1_2", said=b"R\n", verify=False)
    assert "RENEGOTIATING" in printed
    assert "no renegotiation" in printed or "unexpected message" in printed or "read:errno" in printed
    await until(lambda: not stage.clients.count)


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
async def test_a_session_is_taken_up_again(stage: Stage, tmp_path: Path, option: str) -> None:
    """At less cost."""
    await s_client(stage, option, "-sess_out", tmp_path / "session", "-ign_eof", said=NOWHERE, verify=False)
    assert "Reused, " in await s_client(stage, option, "-sess_in", tmp_path / "session", verify=False)


# -- certificates of clients --------------------------------------------------------------------------------------

CLIENTS = Authority("Clients")


def shown(one: Certified, folder: Path) -> tuple[str | Path, ...]:
    one.write(folder, "client.pem", "client-key.pem")
    return ("-cert", folder / "client.pem", "-key", folder / "client-key.pem")


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
async def test_without_a_certificate_that_our_ca_signed_nobody_gets_in(
    stage: Stage, tmp_path: Path, option: str
) -> None:
    stage.context = server_context(pair_of(CA.certify()), CLIENTS.pem.decode())
    absent = await s_client(stage, option, "-ign_eof", said=NOWHERE, verify=False)
    assert "alert handshake failure" in absent or "certificate required" in absent
    other = shown(CA.certify("me"), tmp_path)
    strangers = await s_client(stage, option, *other, "-ign_eof", said=NOWHERE, verify=False)
    assert "alert unknown ca" in strangers
    for printed in (absent, strangers):
        assert "HTTP/1.1" not in printed
    await until(lambda: not stage.clients.count)
    assert stage.clients.failed_handshakes == 2
    client = CA.trusting(CLIENTS.certify("me"), tmp_path)
    wire = await EncryptedWire.over_tls(stage.address, client)
    stage._clients.append(wire)
    assert (await wire.ask(NOWHERE)).status == 404


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
async def test_no_session_outlives_the_ca_that_let_it_in(stage: Stage, tmp_path: Path, option: str) -> None:
    own, session = shown(CLIENTS.certify("me"), tmp_path), tmp_path / "session"
    certified = pair_of(CA.certify())
    stage.context = server_context(certified, CLIENTS.pem.decode())
    await s_client(stage, option, *own, "-sess_out", session, "-ign_eof", said=NOWHERE, verify=False)
    again = await s_client(stage, option, "-sess_in", session, "-ign_eof", said=NOWHERE, verify=False)
    assert "Reused, " in again
    assert "HTTP/1.1 404" in again
    stage.context = server_context(certified, Authority("Others").pem.decode())
    again = await s_client(stage, option, *own, "-sess_in", session, "-ign_eof", said=NOWHERE, verify=False)
    assert "Reused, " not in again
    assert "HTTP/1.1" not in again


# -- a new certificate --------------------------------------------------------------------------------------------


async def scored(stage: Stage, wire: EncryptedWire) -> Message:
    await wire.send(SAID)
    return await wire.reply()


async def test_a_new_certificate_is_for_new_connections_and_no_open_one_notices(stage: Stage) -> None:
    stage.replica.answer_all(lambda asked: reply(asked.body))
    old = await stage.client()
    assert (await scored(stage, old)).status == 200  # type: ignore[arg-type]
    renewed = CA.certify(key=new_key("rsa"))
    stage.context = server_context(pair_of(renewed))
    new = await stage.client()
    assert isinstance(old, EncryptedWire)
    assert isinstance(new, EncryptedWire)
    assert (await scored(stage, new)).status == 200
    assert (await scored(stage, old)).status == 200
    assert new.tls.getpeercert(True) == ssl.PEM_cert_to_DER_cert(renewed.certificate.decode())
    assert old.tls.getpeercert(True) != new.tls.getpeercert(True)


async def test_a_handshake_that_has_begun_ends_with_the_certificate_it_began_with(stage: Stage) -> None:
    stage.replica.answer_all(lambda asked: reply(asked.body))
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = CA.trusting().wrap_bio(back, there, server_hostname=NAME)
    wire = await EncryptedWire.to(stage.address)
    stage._clients.append(wire)
    wire.incoming, wire.outgoing, wire.tls = back, there, tls
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = there.read()
    await super(EncryptedWire, wire).send(hello[:50])
    await until(lambda: stage.clients.count == 1)
    stage.context = server_context(pair_of(CA.certify(key=new_key("rsa"))))
    await super(EncryptedWire, wire).send(hello[50:])
    back.write(await wire.raw())
    tls.do_handshake()
    assert (await scored(stage, wire)).status == 200


async def test_a_hundred_megabytes_go_both_ways(stage: Stage) -> None:
    """Azure ML's limit of a payload."""
    body = bytes(range(256)) * 4_096 * 25  # 25 MiB at once, four times
    size = 4 * len(body)
    wire = await stage.client()
    head = request(b"Content-Length: %d" % size, method=b"POST")
    sending = asyncio.create_task(_send(wire, [head, body, body, body, body]))  # type: ignore[arg-type]
    replica, got = await stage.replica.connection(), 0
    await replica.head()
    while got < size:
        if len(replica.received) == replica.taken:
            assert await replica.hear(1_048_576)
        piece = bytes(replica.received[replica.taken :])
        assert piece == _part(body, got, len(piece))
        got += len(piece)
        replica.received.clear()
        replica.taken = 0
    await sending
    replying = asyncio.create_task(replica.send(reply(body)))
    assert (await wire.reply()).body == body
    await replying


async def _send(wire: EncryptedWire, pieces: list[bytes]) -> None:
    for piece in pieces:
        for at in range(0, len(piece), 1_048_576):
            await wire.send(piece[at : at + 1_048_576])


def _part(body: bytes, at: int, size: int) -> bytes:
    at %= 256
    return (body[:256] * (size // 256 + 2))[at : at + size]
