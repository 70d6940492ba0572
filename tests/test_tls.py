"""tls.py: what is served with is checked first, by the rules that clients have, and TLS is spoken as of today."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from router.tls import Pair, TlsError, certificates, client_context, paired, server_context
from tests.certificates import NAME, Authority, Certified, new_key, now, pair_of, pem_of

CA = Authority()
DAY = timedelta(days=1)


def refused(certificate: bytes, key: bytes) -> str:
    with pytest.raises(TlsError) as error:
        pair_of(Certified(certificate, key))
    return str(error.value)


@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
def test_a_pair_of_each_kind_of_key_is_served(kind: str) -> None:
    pair = pair_of(CA.certify(key=new_key(kind)))
    assert shaken(server_context(pair), client_context(CA.pem.decode())).version() == "TLSv1.3"
    assert pair.flaws == ()


def test_it_expires_when_the_first_of_its_chain_does() -> None:
    middle = CA.beneath(ends=now() + 3 * DAY)
    assert abs(pair_of(middle.certify()).expires_at_s - (now() + 3 * DAY).timestamp()) < 60
    assert abs(pair_of(middle.certify(ends=now() + DAY)).expires_at_s - (now() + DAY).timestamp()) < 60


def test_the_chain_is_sent_whole() -> None:
    """The client knows the root alone."""
    pair = pair_of(CA.beneath().beneath("lower").certify())
    assert shaken(server_context(pair), client_context(CA.pem.decode())).version() == "TLSv1.3"
    assert pair.flaws == ()


GOOD = CA.certify()
OTHER = CA.certify("other.example")
WORDS = b"hello\n"


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        (GOOD.certificate, OTHER.key, "key.pem is not the key of the certificate in cert.pem (CN=router.example)"),
        (GOOD.key, GOOD.certificate, "cert.pem holds a private key, and no certificate: are the two files swapped?"),
        (WORDS, GOOD.key, "cert.pem holds no certificate that can be read: it must be PEM text"),
        (b"", GOOD.key, "cert.pem holds no certificate that can be read"),
        (GOOD.certificate[:300], GOOD.key, "cert.pem holds no certificate that can be read"),
        (GOOD.certificate, WORDS, "key.pem holds no private key that can be read: it must be PEM text"),
        (GOOD.certificate, b"", "key.pem holds no private key that can be read"),
        (GOOD.certificate, GOOD.certificate, "key.pem holds no private key that can be read"),
        (CA.pem + GOOD.certificate, GOOD.key, "The first certificate in cert.pem is not that of key.pem: it must be"),
    ],
)
def test_what_is_no_pair_is_refused_with_the_reason(certificate: bytes, key: bytes, words: str) -> None:
    assert refused(certificate, key).startswith(words)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_a_password() -> None:
    key = new_key()
    one = CA.certify(key=key)
    said = refused(one.certificate, pem_of(key, password=b"s3cret"))
    assert said == "key.pem is encrypted; the key must be readable without a password."


def test_a_key_that_can_sign_nothing_is_refused() -> None:
    pem = x25519.X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert refused(GOOD.certificate, pem) == (
        "key.pem holds a key that can sign nothing; it must be of RSA, an elliptic curve or Ed25519."
    )


def test_a_key_that_is_too_small_for_openssl_is_refused() -> None:
    one = CA.certify(key=rsa.generate_private_key(65_537, 1_024))
    assert refused(*one) == "cert.pem is not fit to serve with: ee key too small."


def test_before_and_after_its_time_a_certificate_is_refused() -> None:
    early = CA.certify(begins=now() + DAY, ends=now() + 2 * DAY)
    assert refused(*early).startswith("The certificate in cert.pem (CN=router.example) is not valid before 20")
    late = CA.certify(ends=now() - timedelta(seconds=1))
    assert refused(*late).startswith("The certificate in cert.pem (CN=router.example) has expired, on 20")
    paired(*early, (now() + 1.5 * DAY).timestamp(), name="", key_name="")


def test_a_chain_that_clients_may_stumble_over_is_told_and_served() -> None:
    stranger = Authority("Stranger")
    (flaw,) = pair_of(Certified(GOOD.certificate + stranger.pem, GOOD.key)).flaws
    assert flaw == "in cert.pem, CN=Stranger follows CN=router.example, but has not signed it"
    middle = CA.beneath(begins=now() - 2 * DAY, ends=now() - DAY)
    (flaw,) = pair_of(middle.certify()).flaws
    assert flaw == "in cert.pem, CN=Test intermediate CA has expired"


@pytest.mark.parametrize("show", [repr, str, lambda pair: f"{pair}"])
def test_a_pair_does_not_show_its_key(show: Callable[[Pair], str]) -> None:
    pair = pair_of(GOOD)
    assert "PRIVATE KEY" not in show(pair)
    assert GOOD.key.split(b"\n")[1].decode() not in show(pair)


def test_no_file_of_the_key_is_left_open() -> None:
    pair = pair_of(GOOD)
    before = set(os.listdir("/proc/self/fd"))
    server_context(pair)
    with pytest.raises(TlsError):
        pair_of(CA.certify(key=rsa.generate_private_key(65_537, 1_024)))
    assert set(os.listdir("/proc/self/fd")) <= before


def test_text_around_the_certificates_does_no_harm() -> None:
    text = b"subject=/CN=router\n" + GOOD.certificate + b"\nissuer\n" + CA.pem
    assert len(certificates(text, "x")) == 2
    assert pair_of(Certified(text, b"# key\n" + GOOD.key)).flaws == ()


# -- the handshake, without a network -----------------------------------------------------------------------------


def shaken(server: ssl.SSLContext, client: ssl.SSLContext, name: str = NAME) -> ssl.SSLObject:
    """The client's side. Raises SSLError of whichever side refuses."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(back, there, server_hostname=name),
        server.wrap_bio(there, back, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends[0]


def limited(
    lowest: ssl.TLSVersion = ssl.TLSVersion.MINIMUM_SUPPORTED, highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
) -> ssl.SSLContext:
    """A client that is less strict than ours."""
    context = ssl.create_default_context(cadata=CA.pem.decode())
    context.minimum_version, context.maximum_version = lowest, highest
    return context


def test_tls_1_2_has_forward_secrecy_and_authenticated_encryption() -> None:
    name, version, bits = shaken(server_context(pair_of(GOOD)), limited()).cipher() or ("", "", 0)
    assert (version, bits) == ("TLSv1.2", 256)
    assert name.startswith("ECDHE-")
    assert "GCM" in name or "CHACHA20" in name
    offered = {each["name"] for each in server_context(pair_of(GOOD)).get_ciphers()}
    assert all(each.startswith(("TLS_", "ECDHE-")) for each in offered)
    assert all("GCM" in each or "CHACHA20" in each for each in offered)


@pytest.mark.parametrize("ciphers", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA"])
def test_older_ciphers_are_refused(ciphers: str) -> None:
    client = limited()
    client.set_ciphers(ciphers)
    with pytest.raises(ssl.SSLError, match="no shared cipher"):
        shaken(server_context(pair_of(GOOD)), client)


def test_it_is_http_1_1_that_is_spoken() -> None:
    client = limited()
    client.set_alpn_protocols(["h2", "http/1.1"])
    assert shaken(server_context(pair_of(GOOD)), client).selected_alpn_protocol() == "http/1.1"
    assert shaken(server_context(pair_of(GOOD)), client_context(CA.pem.decode())).selected_alpn_protocol() == "http/1.1"


def test_a_client_shows_its_certificate_where_it_must() -> None:
    clients = Authority("Clients")
    server = server_context(pair_of(GOOD), clients.pem.decode())
    mine = pair_of(clients.certify("client"))
    assert shaken(server, client_context(CA.pem.decode(), mine)).version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match="peer did not return a certificate"):
        shaken(server, client_context(CA.pem.decode()))
    strangers = pair_of(CA.certify("client"))
    with pytest.raises(ssl.SSLError, match="certificate verify failed"):
        shaken(server, client_context(CA.pem.decode(), strangers))


@pytest.mark.parametrize("pem", ["", "hello", GOOD.key.decode()])
def test_what_holds_no_ca_is_refused(pem: str) -> None:
    with pytest.raises(TlsError, match=r"the certificates of client CAs holds"):
        server_context(pair_of(GOOD), pem)
    with pytest.raises(TlsError, match=r"caBundle holds"):
        client_context(pem)


def test_a_client_of_ours_believes_its_bundle_alone_and_the_name_alone() -> None:
    server = server_context(pair_of(GOOD))
    ours = client_context(CA.pem.decode())
    assert shaken(server, ours).version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match="Hostname mismatch"):
        shaken(server, ours, "other.example")
    with pytest.raises(ssl.SSLError, match="certificate verify failed"):
        shaken(server, client_context(Authority("Stranger").pem.decode()))
    with pytest.raises(ssl.SSLError, match="unable to get local issuer"):
        shaken(server, client_context(None))


def test_a_client_of_ours_speaks_no_old_tls() -> None:
    assert client_context(None).minimum_version == ssl.TLSVersion.TLSv1_2
    assert client_context(CA.pem.decode()).minimum_version == ssl.TLSVersion.TLSv1_2
