"""Which certificates are fit to serve with, and how is TLS spoken?

I/O: none but what OpenSSL needs to be given a certificate: a file, here one in memory. Whoever has certificates has
them as PEM text; where that text is from, the caller says (`of`, `name`), for the message when something is wrong.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: those with forward secrecy and authenticated encryption. TLS 1.3 has no others."""
_ALPN = ("http/1.1",)
_COMPARED = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


class TlsError(ValueError):
    """A certificate or key that can't be used; the message names it, what is wrong, and the rule. Nothing secret."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate with its chain, and its key: they belong together, and OpenSSL can read them."""

    pem: bytes = field(repr=False)
    """The key, then the certificate, then its chain."""
    expires_at_s: float
    """Of whichever in the chain expires first. Seconds since the epoch."""
    flaws: tuple[str, ...] = ()
    """What clients may stumble over, in words."""


def paired(certificate: bytes, key: bytes, now_s: float, *, name: str, key_name: str) -> Pair:
    """Raises TlsError. `name` and `key_name`: where the two texts are from."""
    chain = certificates(certificate, name)
    secret = _private_key(key, key_name)
    leaf = chain[0]
    if leaf.public_key().public_bytes(*_COMPARED) != secret.public_key().public_bytes(*_COMPARED):
        raise TlsError(_mismatch(chain, secret, name, key_name))
    _check_time(leaf, now_s, name)
    text = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem = text + b"".join(each.public_bytes(Encoding.PEM) for each in chain)
    expires_at_s = min(each.not_valid_after_utc.timestamp() for each in chain)
    made = Pair(pem=pem, expires_at_s=expires_at_s, flaws=tuple(_flaws(chain, now_s, name)))
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), made, name)  # OpenSSL has rules of its own: size, digest
    return made


def certificates(pem: bytes, name: str) -> list[x509.Certificate]:
    """At least one. Raises TlsError."""
    if b"PRIVATE KEY-----" in pem and b"-----BEGIN CERTIFICATE-----" not in pem:
        raise TlsError(f"{name} holds a private key, and no certificate: are the two files swapped?")
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise TlsError(
            f"{name} holds no certificate that can be read: it must be PEM text, -----BEGIN CERTIFICATE-----."
        ) from None


def server_context(pair: Pair, client_ca: str | None = None) -> ssl.SSLContext:
    """`client_ca`: PEM text; clients must then show a certificate that one of these signed. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    _load(context, pair, "the certificate")
    if client_ca is not None:
        _trust(context, client_ca, "the certificates of client CAs")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(ca_bundle: str | None, pair: Pair | None = None) -> ssl.SSLContext:
    """Checks the server's certificate and name, with `ca_bundle` (PEM text) instead of the system's CAs where it is
    given; shows `pair`. Raises TlsError."""
    if ca_bundle is None:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _trust(context, ca_bundle, "caBundle")
    _restrict(context)
    if pair is not None:
        _load(context, pair, "the certificate")
    return context


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(_ALPN)


def _trust(context: ssl.SSLContext, pem: str, name: str) -> None:
    chain = certificates(pem.encode(), name)
    context.load_verify_locations(cadata="".join(each.public_bytes(Encoding.PEM).decode() for each in chain))


def _load(context: ssl.SSLContext, pair: Pair, name: str) -> None:
    """OpenSSL reads files only. This one is in memory, and holds what was checked, whatever the disk has by now."""
    file = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(file, pair.pem)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise TlsError(f"{name} is not fit to serve with: {reason}.") from None
    finally:
        os.close(file)


def _private_key(pem: bytes, name: str) -> PrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        raise TlsError(f"{name} is encrypted; the key must be readable without a password.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise TlsError(
            f"{name} holds no private key that can be read: it must be PEM text, -----BEGIN PRIVATE KEY-----."
        ) from None
    if not isinstance(key, PrivateKey):
        raise TlsError(f"{name} holds a key that can sign nothing; it must be of RSA, an elliptic curve or Ed25519.")
    return key


def _mismatch(chain: list[x509.Certificate], key: PrivateKey, name: str, key_name: str) -> str:
    wanted = key.public_key().public_bytes(*_COMPARED)
    if any(each.public_key().public_bytes(*_COMPARED) == wanted for each in chain[1:]):
        return f"The first certificate in {name} is not that of {key_name}: it must be, and those of its CAs follow."
    return f"{key_name} is not the key of the certificate in {name} ({_subject(chain[0])}); they must be a pair."


def _check_time(leaf: x509.Certificate, now_s: float, name: str) -> None:
    if now_s < leaf.not_valid_before_utc.timestamp():
        raise TlsError(
            f"The certificate in {name} ({_subject(leaf)}) is not valid before {_day(leaf.not_valid_before_utc)}."
        )
    if now_s >= leaf.not_valid_after_utc.timestamp():
        raise TlsError(
            f"The certificate in {name} ({_subject(leaf)}) has expired, on {_day(leaf.not_valid_after_utc)}."
        )


def _flaws(chain: list[x509.Certificate], now_s: float, name: str) -> list[str]:
    found = []
    for one, issuer in pairwise(chain):
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            found.append(f"in {name}, {_subject(issuer)} follows {_subject(one)}, but has not signed it")
        if now_s >= issuer.not_valid_after_utc.timestamp():
            found.append(f"in {name}, {_subject(issuer)} has expired")
    return found


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "without a subject"


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
