"""How does one process of an installation know another one?

I/O: the vault. All processes of an installation share a certificate authority of their own, whose key is in the vault;
each makes itself a certificate that lives as long as the process may, and takes nobody for one of them who has none.
Its own private key never leaves the memory of the process. Names say nothing here: who is at which address changes
within seconds, who belongs to the installation does not.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from math import inf

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from router.platforms import PlatformError
from router.platforms.administration import Conflict, Vault, VaultName
from router.tls import Pair, client_context, server_context

ALPN = "scoregate"
"""What an instance that calls another one says it speaks (RFC 7301); whoever asks for a page says HTTP, or nothing."""
NAME = "instance.scoregate"
"""What every certificate of an instance is made out to, and what is asked for wherever one calls another."""
_ENTRY: VaultName = "instance-ca"
_DAYS = 3_650
"""Of the authority, and so of every certificate that it signs: longer than any process lives."""
_CLOCK_SKEW = timedelta(days=1)
"""Clocks of machines may differ by so much, and a clock may be set right while a process runs."""
TRY_AGAIN_S = 2.0

log = logging.getLogger("scoregate.platform")


class Authority(Struct, frozen=True):
    """The installation's own, as it is kept in the vault: both PEM."""

    certificate: str
    key: str

    def __repr__(self) -> str:
        return "Authority(…)"


class Identity:
    """What this process shows, and whom it believes: `server` for who calls it, `client` for whom it asks for a page,
    `peer` for whom it works together with."""

    def __init__(self, authority: Authority, now: datetime) -> None:
        """Raises ValueError for an authority that is none."""
        certificate, key = _own(authority, now)
        pair = Pair(pem=f"{key}{certificate}".encode(), expires_at_s=inf)
        self.server = server_context(pair, client_ca=authority.certificate)
        self.client = client_context(authority.certificate, pair)
        self.peer = client_context(authority.certificate, pair)
        for context in (self.server, self.client, self.peer):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.server.set_alpn_protocols([ALPN, "http/1.1"])
        self.peer.set_alpn_protocols([ALPN])


class OwnIdentity:
    """This process's, made when it is first asked for; another one once the vault has another authority."""

    def __init__(self, vault: Callable[[], Vault]) -> None:
        """`vault`: of a platform that is entered when the identity is asked for."""
        self._vault = vault
        self._identity: Identity | None = None
        self._content = b""
        self._opening = asyncio.Lock()

    async def get(self) -> Identity:
        """Raises PlatformError; then it may be asked again."""
        async with self._opening:
            if self._identity is None:
                content = await _authority_in(self._vault(), _now())
                self._identity, self._content = _identity_of(content, _now()), content
            return self._identity

    async def client(self) -> ssl.SSLContext:
        """For the next question to another instance. Raises PlatformError."""
        return (await self.get()).client

    async def peer(self) -> ssl.SSLContext:
        """For the next connection to another instance, to work together. Raises PlatformError."""
        return (await self.get()).peer

    async def server(self) -> ssl.SSLContext:
        """For a port, for as long as it listens: each that calls meets what this process is then. Raises
        PlatformError."""
        await self.get()

        def meet(connection: ssl.SSLObject, *_: object) -> None:
            if self._identity is not None:
                connection.context = self._identity.server

        door = _identity_of(self._content, _now()).server
        door.sni_callback = meet
        return door

    async def run(self) -> None:
        """Keep up with the vault, so that all processes change together; one that was removed is made anew. Until it is
        cancelled."""
        await self.get_in_the_end()
        vault = self._vault()
        async for entry in vault.follow(_ENTRY):
            try:
                content = await _authority_in(vault, _now()) if entry is None else entry.content
                if content != self._content:
                    self._identity, self._content = _identity_of(content, _now()), content
                    log.info("the authority of the instances was replaced: whoever calls from now on must know it")
            except PlatformError as error:
                log.error("%s; until then the one before counts", error)

    async def get_in_the_end(self) -> Identity:
        """However long the vault is out of reach; why is told once."""
        told = ""
        while True:
            try:
                return await self.get()
            except PlatformError as error:
                if told != (told := str(error)):
                    log.warning("no other instance can be met, trying again: %s", error)
            await asyncio.sleep(TRY_AGAIN_S)


async def _authority_in(vault: Vault, now: datetime) -> bytes:
    """The first process of all makes it. Raises PlatformError."""
    entry = await vault.read(_ENTRY)
    if entry is None:
        with suppress(Conflict):  # another process was first
            await vault.write(_ENTRY, msgspec.json.encode(new_authority(now)), None)
        entry = await vault.read(_ENTRY)
    if entry is None:
        raise PlatformError(f"{_ENTRY} in the vault was written, and is not there")
    return entry.content


def _identity_of(content: bytes, now: datetime) -> Identity:
    """Raises PlatformError."""
    try:
        return Identity(msgspec.json.decode(content, type=Authority), now)
    except ValueError:  # whose text might hold a piece of the key
        raise PlatformError(
            f"{_ENTRY} in the vault is no certificate authority: remove the entry, and a new one is made"
        ) from None


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - certificates have dates


def new_authority(now: datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Scoregate instances")])
    certificate = (
        _begun(name, name, key.public_key(), now, now + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate=_pem(certificate), key=_private_pem(key))


def _own(authority: Authority, now: datetime) -> tuple[str, str]:
    """A new certificate and its key."""
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    issuer_key = serialization.load_pem_private_key(authority.key.encode(), password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey) or issuer_key.public_key() != issuer.public_key():
        raise ValueError("the authority's key is not its certificate's")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    certificate = (
        _begun(issuer.subject, name, key.public_key(), now, issuer.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return _pem(certificate), _private_pem(key)


def _begun(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()
