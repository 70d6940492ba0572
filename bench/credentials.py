"""What does it cost to know who asks? `python -m bench.credentials`; see --help.

I/O: the terminal, the file of `--json`; processes, loopback sockets, CPU clocks. The gate is measured alone, in this
process, and in a router under load, with the same credentials: tokens of an issuer that runs here, too.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import cycle, islice
from pathlib import Path
from threading import Thread
from typing import Any

import click
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from rich.console import Console
from rich.table import Table

from bench import wrk
from bench.files import json_option, write_json
from bench.measure import Course, Plan, choose_cores
from bench.processes import ProcessGroup, free_port, running
from bench.proxies import PeerError, Proxy, direct, until_it_scores
from bench.report import Spread, spread
from router.core.auth import hashed
from router.core.keys import regenerated
from router.core.model import Endpoint, JwtSettings
from router.core.tally import Memory
from router.gate import Gate
from router.platforms.keys import KeyStore
from router.platforms.memory_administration import MemoryVault
from router.tokens.cache import MOST
from router.tokens.issuers import Issuers
from router.tokens.own import OwnTokens
from router.tokens.revocations import Revocations

AUDIENCE = "bench"
KEY = "a-key-of-the-benchmark-of-32-or-more"
FILE_WIDTH = 120
"""Columns of the table where it does not go to a terminal: nothing is cut."""
ENDPOINTS = {"none": "none", "key": "key", "cached token": "jwt", "cold ES256 token": "jwt", "cold RS256 token": "jwt"}
"""By credential, the endpoint where it is presented, which is named as its mode is."""
COLD = MOST + 2_000
"""So many tokens are used in turn: by the time that one comes again it has been forgotten."""
CHECKS = 20_000
"""Of the gate alone, in each round; a tenth of them where each is public-key arithmetic."""
CLOCK = time.time  # noqa: TID251 - tokens expire by the calendar


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """CPU microseconds for each request."""

    credential: str
    gate_us: Spread
    router_us: Spread
    requests_per_s: Spread
    failed: int


class Issuer:
    """Signs tokens as an OIDC issuer does, and shows its keys."""

    def __init__(self) -> None:
        self._private = {
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "RS256": rsa.generate_private_key(public_exponent=65_537, key_size=2_048),
        }
        public = {"ES256": ECAlgorithm.to_jwk, "RS256": RSAAlgorithm.to_jwk}
        self._keys = [
            {**json.loads(public[algorithm](key.public_key())), "kid": algorithm, "use": "sig", "alg": algorithm}  # type: ignore[operator]
            for algorithm, key in self._private.items()
        ]
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def settings(self) -> JwtSettings:
        return JwtSettings(issuer=self.url, audiences=(AUDIENCE,), jwks_uri=f"{self.url}/jwks")

    def tokens(self, algorithm: str, count: int) -> list[bytes]:
        """Good for an hour, each another one, with the claims of an ordinary client's."""
        now_s = int(CLOCK())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "client", "iat": now_s, "exp": now_s + 3_600}
        claims |= {"azp": "0b2f5d3c-9c0a-4a0e-8f5e-3d2b1a0c9d8e", "scope": "score", "roles": ["scorer"], "ver": "2.0"}
        key, headers = self._private[algorithm], {"kid": algorithm}
        signed = (jwt.encode({**claims, "jti": str(each)}, key, algorithm, headers) for each in range(count))
        return [token.encode() for token in signed]

    @contextmanager
    def serving(self) -> Iterator[None]:
        content = json.dumps({"keys": self._keys}).encode()

        class Keys(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *arguments: object) -> None:
                return

        with HTTPServer(("127.0.0.1", 0), Keys) as server:
            self._port = server.server_port
            thread = Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()


def headers_of(issuer: Issuer) -> dict[str, list[bytes]]:
    """By credential, the values of Authorization that are sent in turn."""
    key = [f"Bearer {KEY}".encode()]
    one, *_ = issuer.tokens("ES256", 1)
    return {
        "none": key,
        "key": key,
        "cached token": [b"Bearer " + one],
        "cold ES256 token": [b"Bearer " + token for token in issuer.tokens("ES256", COLD)],
        "cold RS256 token": [b"Bearer " + token for token in issuer.tokens("RS256", COLD)],
    }


# -- the gate alone --------------------------------------------------------------------------------------------


async def gate_alone(issuer: Issuer, headers: dict[str, list[bytes]], rounds: int, checks: int) -> dict[str, Spread]:
    """By credential, the microseconds of one check; rounds are interleaved."""
    endpoints = {
        "none": Endpoint(name="none", auth_mode="none", deployments=()),
        "key": Endpoint(name="key", keys=hashed("another-key-of-the-endpoint", KEY), deployments=()),
        "jwt": Endpoint(name="jwt", auth_mode="jwt", jwt=issuer.settings(), deployments=()),
    }
    revocations = Revocations(MemoryVault(), CLOCK)
    await revocations.refresh()
    issuers = Issuers()
    gate = Gate(OwnTokens(MemoryVault(), revocations, CLOCK), issuers, revocations, CLOCK, Memory())
    gate.follow(tuple(endpoints.values()))
    await issuers.fetch(endpoints["jwt"])
    taken: dict[str, list[float]] = {title: [] for title in headers}
    in_turn = {title: cycle(values) for title, values in headers.items()}
    for _ in range(rounds):
        for title in headers:
            count = checks // 10 if title.startswith("cold") else checks
            check = partial(gate.check, endpoints[ENDPOINTS[title]])
            taken[title].append(_cpu_us(check, list(islice(in_turn[title], count))))
    await issuers.close()
    cold = sum(len(times) * (checks // 10) for title, times in taken.items() if title.startswith("cold"))
    if gate.verifications["verified"] < cold:
        raise RuntimeError(f"{cold} cold tokens came, but only {gate.verifications['verified']} were verified")
    return {title: spread(times) for title, times in taken.items()}


def _cpu_us(check: Callable[[bytes], object], values: list[bytes]) -> float:
    """Microseconds of one check. Raises RuntimeError for one that is not let in."""
    gc.disable()
    try:
        begun_ns = time.process_time_ns()
        for value in values:
            if check(value) is None:
                raise RuntimeError("the keys of the issuer are not known")
        return (time.process_time_ns() - begun_ns) / len(values) / 1_000
    finally:
        gc.enable()


# -- the whole router ------------------------------------------------------------------------------------------


def over_sockets(issuer: Issuer, headers: dict[str, list[bytes]], plan: Plan, console: Console) -> Course:
    """All measurements, each credential as a proxy of its own. Raises PeerError."""
    cores = choose_cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scoregate-bench-")))
        replica = stack.enter_context(direct(folder, cores.load))
        port = free_port()
        command = _router(folder, port, replica.port, issuer)
        group = stack.enter_context(running(command, core=cores.proxy, log=folder / "output.log"))
        doors = [_door(title, values, folder, group, port) for title, values in headers.items()]
        for door in doors:
            until_it_scores(door)
        course = Course(doors, plan, cores)
        for step in course.run():
            console.print(step, style="dim")
        return course


def _router(folder: Path, port: int, replica_port: int, issuer: Issuer) -> list[str]:
    """Write what it needs into `folder`, and tell how to start it."""
    store = KeyStore(folder)
    store.ensure("key")
    store.change("key", partial(regenerated, which="primary", key=KEY))
    settings = issuer.settings()
    said = {"issuer": settings.issuer, "audiences": list(settings.audiences), "jwksUri": settings.jwks_uri}
    modes: dict[str, dict[str, Any]] = {"none": {}, "key": {}, "jwt": {"jwt": said}}
    declared = [_declared(mode, more, replica_port) for mode, more in modes.items()]
    endpoints = folder / "endpoints.yaml"
    endpoints.write_text("\n---\n".join(json.dumps(each) for each in declared))
    command = [sys.executable, "-m", "router", "router", "--platform", "static", "--file", str(endpoints)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--admin-port", str(free_port())]
    return [*command, "--state-dir", str(folder), "--access-log", "off"]


def _declared(mode: str, more: dict[str, Any], replica_port: int) -> dict[str, Any]:
    blue = {"name": "blue", "addresses": [f"127.0.0.1:{replica_port}"]}
    blue |= {"requestSettings": {"maxConcurrentRequestsPerInstance": 100}}
    return {
        "apiVersion": "scoregate.io/v1",
        "kind": "InferenceEndpoint",
        "metadata": {"name": mode},
        "spec": {"auth": {"mode": mode, **more}, "deployments": [blue]},
    }


def _door(title: str, values: list[bytes], folder: Path, group: ProcessGroup, port: int) -> Proxy:
    file = folder / f"{title.replace(' ', '-')}.txt"
    file.write_bytes(b"\n".join(values) + b"\n")
    return Proxy(title, title, group, port, file, f"/api/v1/endpoint/{ENDPOINTS[title]}/score")


# -- what came of it -------------------------------------------------------------------------------------------


def rows_of(alone: dict[str, Spread], course: Course) -> list[Row]:
    """In the order of `alone`. Raises PeerError for what broke down."""
    for title, why in course.broken.items():
        raise PeerError(f"{title}: {why}")
    rows = []
    for title, gate_us in alone.items():
        samples = [sample for sample in course.samples if sample.proxy == title]
        rows.append(
            Row(
                credential=title,
                gate_us=gate_us,
                router_us=spread([sample.cpu_us / sample.requests for sample in samples]),
                requests_per_s=spread([sample.requests * 1e6 / sample.duration_us for sample in samples]),
                failed=sum(sample.failed for sample in samples),
            )
        )
    return rows


def table(rows: list[Row]) -> Table:
    drawn = Table("credential")
    for heading in ("gate µs", "x key", "router µs/request", "x key", "requests/s", "failed"):
        drawn.add_column(heading, justify="right")
    key = next(row for row in rows if row.credential == "key")
    for row in rows:
        drawn.add_row(
            row.credential,
            _figures(row.gate_us, 2),
            f"{row.gate_us.median / key.gate_us.median:.2f}",
            _figures(row.router_us, 1),
            f"{row.router_us.median / key.router_us.median:.2f}",
            f"{row.requests_per_s.median:,.0f}",
            str(row.failed),
        )
    return drawn


def _figures(of: Spread, decimals: int) -> str:
    return f"{of.median:,.{decimals}f} ({of.low:,.{decimals}f}..{of.high:,.{decimals}f})"


@click.command()
@click.option("--connections", type=click.IntRange(1), default=64, show_default=True, help="Kept-alive connections.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="The median counts.")
@click.option("--seconds", type=click.IntRange(1), default=5, show_default=True, help="Of each measurement.")
@click.option("--checks", type=click.IntRange(10), default=CHECKS, show_default=True, help="Of the gate, each round.")
@json_option
def main(connections: int, rounds: int, seconds: int, checks: int, json_file: Path | None) -> None:
    """What does a request cost that brings no credential, a key, a token that is known, and one that is not?

    At the gate alone, and in a router under load; CPU time, user and system. Every cold token is another one.
    """
    if not wrk.installed():
        raise click.ClickException("The load is made by wrk, which is not installed: apt-get install wrk")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    issuer = Issuer()
    with issuer.serving():
        headers = headers_of(issuer)
        alone = asyncio.run(gate_alone(issuer, headers, rounds, checks))
        try:
            plan = Plan((connections,), rounds, seconds)
            rows = rows_of(alone, over_sockets(issuer, headers, plan, Console(stderr=True)))
        except PeerError as error:
            raise click.ClickException(str(error)) from None
    console.print(f"{rounds} rounds, interleaved: median (lowest..highest)")
    console.print(table(rows))
    write_json(json_file, rows)


if __name__ == "__main__":
    main()
