"""Who certifies the servers and clients of a test?

I/O: reads the wall clock; a certificate's time is the calendar's.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from router.tls import Pair, paired

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
NAME = "router.example"


class Certified(NamedTuple):
    """PEM texts; the certificate's chain is behind it."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str = "cert.pem", key_name: str = "key.pem") -> Path:
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(self.certificate)
        (folder / key_name).write_bytes(self.key)
        return folder


def pair_of(one: Certified) -> Pair:
    return paired(one.certificate, one.key, now().timestamp(), name="cert.pem", key_name="key.pem")


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251


def new_key(kind: str = "ec") -> PrivateKey:
    if kind == "rsa":
        return rsa.generate_private_key(65_537, 2_048)
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())


def pem_of(key: PrivateKey, password: bytes | None = None) -> bytes:
    how = NoEncryption() if password is None else BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


class Authority:
    """Signs itself; `beneath` makes one that this one signs."""

    def __init__(self, name: str = "Test CA", above: Authority | None = None, **times: datetime) -> None:
        self._key = new_key()
        self._above = above
        issuer = above or self
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = issuer._signed(self._name, self._key, None, **times)
        self.pem = self._certificate.public_bytes(Encoding.PEM)

    def beneath(self, name: str = "Test intermediate CA", **times: datetime) -> Authority:
        return Authority(name, self, **times)

    def certify(
        self, name: str = NAME, key: PrivateKey | None = None, *, chain: bool = True, **times: datetime
    ) -> Certified:
        """`times`: `begins`, `ends`. `chain`: the intermediate CAs are behind the certificate."""
        key = key or new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        pem = self._signed(subject, key, name, **times).public_bytes(Encoding.PEM)
        above: Authority | None = self
        while chain and above is not None and above._above is not None:
            pem, above = pem + above.pem, above._above
        return Certified(pem, pem_of(key))

    def trusting(self, client: Certified | None = None, folder: Path | None = None) -> ssl.SSLContext:
        """For a client that believes this authority; `client` is its own certificate, written to `folder`."""
        context = ssl.create_default_context(cadata=self.pem.decode())
        if client is not None:
            assert folder is not None
            client.write(folder, "client.pem", "client-key.pem")
            context.load_cert_chain(folder / "client.pem", folder / "client-key.pem")
        return context

    def _signed(
        self,
        subject: x509.Name,
        key: PrivateKey,
        dns_name: str | None,
        begins: datetime | None = None,
        ends: datetime | None = None,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins or now() - timedelta(days=1))
            .not_valid_after(ends or now() + timedelta(days=90))
            .add_extension(x509.BasicConstraints(ca=dns_name is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if dns_name is None:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(dns_name)])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self._key, hashes.SHA256())
