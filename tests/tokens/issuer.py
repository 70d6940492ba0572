"""Which tokens would an OIDC issuer give, and which keys would it name?

I/O: a server on loopback, in threads of its own, over TLS or plain: discovery document, key set and a token endpoint
for `client_credentials`. It rotates its keys, and can be as ill as issuers get.
"""

from __future__ import annotations

import base64
import datetime
import functools
import ipaddress
import itertools
import json
import socket
import ssl
import tempfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.ports import held

DISCOVERY, JWKS, TOKEN = "/.well-known/openid-configuration", "/keys", "/token"
CLIENT, SECRET = "scorer", "the client's secret"
_CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


class SigningKey(NamedTuple):
    key_id: str | None
    algorithm: str
    private: Any

    @property
    def jwk(self) -> dict[str, Any]:
        readers = {
            "R": RSAAlgorithm,
            "P": RSAAlgorithm,
            "E": OKPAlgorithm if self.algorithm == "EdDSA" else ECAlgorithm,
        }
        jwk = readers[self.algorithm[0]].to_jwk(self.private.public_key(), as_dict=True)
        named = {} if self.key_id is None else {"kid": self.key_id}
        return {**jwk, **named, "use": "sig", "alg": self.algorithm}


@functools.cache
def private_key(algorithm: str, number: int = 0) -> Any:
    """Always the same one for the same number, since RSA keys take long to make."""
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def signed(key: SigningKey, claims: dict[str, Any], **head: Any) -> bytes:
    named = {} if key.key_id is None else {"kid": key.key_id}
    return jwt.encode(claims, key.private, algorithm=key.algorithm, headers=named | head).encode()


class OidcIssuer:
    """`with` it. Whatever it is made to do it does from the next request on: `state` is well, down, slow, broken,
    empty, failing, huge or moved; `document` and `cache_control` replace what it would say."""

    def __init__(self, *, tls: bool = True, path: str = "", port: int = 0) -> None:
        self.state = "well"
        self.document: dict[str, Any] = {}
        self.cache_control: str | None = None
        self.asked: Counter[str] = Counter()
        self.keys: list[SigningKey] = []
        self.path = path
        self.ca_bundle: str | None = None
        self._tls = tls
        self._numbers = itertools.count(1)
        self._closing = threading.Event()
        self._held: socket.socket | None = None
        self._start(port)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}{path}"
        self.rotate("RS256")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self.stop()
        self._give_back()

    def rotate(self, algorithm: str, *, keeps: int = 0, key_id: str | None = "") -> SigningKey:
        """Sign with a new key from now on, and name so many of the old ones still."""
        number = next(self._numbers)
        name = f"key-{number}" if key_id == "" else key_id
        new = SigningKey(name, algorithm, private_key(algorithm, number % 3))
        self.keys = [new, *self.keys[:keeps]]
        return new

    def token(self, claims: dict[str, Any], **head: Any) -> bytes:
        return signed(self.keys[0], {"iss": self.url} | claims, **head)

    def stop(self) -> None:
        """The port is closed; `start_again` opens it."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._held = held(self.port)

    def start_again(self) -> None:
        self._start(self.port)

    def answer(self, path: str, form: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        """Status, header fields, body."""
        self.asked[path.removeprefix(self.path)] += 1
        if self.state == "slow":
            self._closing.wait(30)
        if self.state in ("failing", "moved"):
            return (500, {}, b"{}") if self.state == "failing" else (302, {"location": self.url + JWKS + "?"}, b"")
        if self.state == "broken":
            return 200, {}, b'{"keys": [{"kty'
        if self.state == "huge":
            return 200, {}, b" " * (2**20 + 1)
        return self._well(path.removeprefix(self.path), form)

    def _well(self, path: str, form: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        said = {"cache-control": self.cache_control} if self.cache_control else {}
        if path == DISCOVERY:
            whole = {"issuer": self.url, "jwks_uri": self.url + JWKS, "token_endpoint": self.url + TOKEN}
            return 200, {}, json.dumps(whole | self.document).encode()
        if path == JWKS:
            keys = [] if self.state == "empty" else [key.jwk for key in self.keys]
            return 200, said, json.dumps({"keys": keys}).encode()
        if path == TOKEN:
            return self._grant(form)
        return 404, {}, b"{}"

    def _grant(self, form: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        """RFC 6749 section 4.4."""
        if form.get("client_id") != [CLIENT] or form.get("client_secret") != [SECRET]:
            return 401, {}, b'{"error": "invalid_client"}'
        now = datetime.datetime.now(datetime.UTC).timestamp()  # noqa: TID251 - a token says the calendar's time
        claims = {"aud": form["audience"], "sub": CLIENT, "iat": now, "exp": now + 300, "scope": form["scope"][0]}
        token = self.token(claims).decode()
        return 200, {}, json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 300}).encode()

    def _give_back(self) -> None:
        if self._held is not None:
            self._held.close()

    def _start(self, port: int) -> None:
        self._give_back()
        self._server = _Server(("127.0.0.1", port), self)
        if self._tls:
            self.ca_bundle, context = _certified()
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], issuer: OidcIssuer) -> None:
        self.issuer = issuer
        super().__init__(address, _Exchange)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust it, or left, is no news."""


class _Exchange(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._reply({})

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        self._reply(parse_qs(self.rfile.read(length).decode()))

    def _reply(self, form: dict[str, list[str]]) -> None:
        status, fields, body = self.server.issuer.answer(self.path.partition("?")[0], form)
        if self.server.issuer.state == "down":
            return
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: `asked` counts."""


@functools.cache
def _certified() -> tuple[str, ssl.SSLContext]:
    """Its own certificate as PEM, which is its own CA, and what serves with it."""
    key = private_key("ES256", 100)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer of the tests")])
    start = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "both.pem"
        file.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        context.load_cert_chain(file)
    return pem.decode(), context


def part(value: Any) -> bytes:
    """One part of a token: bytes as they are, else as JSON."""
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=")
