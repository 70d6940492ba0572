"""How does a peer become a proxy that is known to work, and the replica behind it?

I/O: starts processes, reads a key file, asks each once for a score.
"""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import configs
from bench.peers import Peer
from bench.processes import ProcessGroup, free_port, running
from bench.replica import score

PATH = f"/api/v1/endpoint/{configs.ENDPOINT}/score"
START_S = 60.0
PLACEHOLDER_KEY = "k" * 32
"""For proxies that know no keys: their requests carry as much as the others'."""


class PeerError(Exception):
    """A program that is installed did not start, or answers wrongly; the message holds its last words."""


@dataclass(frozen=True)
class Proxy:
    """What has answered one request rightly: a peer, or the replica itself."""

    name: str
    title: str
    group: ProcessGroup
    port: int
    authorization: str | Path
    """As `wrk.load` takes it."""
    path: str = PATH

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"


@contextmanager
def direct(folder: Path, core: int) -> Iterator[Proxy]:
    """The replica with nothing before it: what latency is compared with, and where all proxies lead.

    Raises PeerError.
    """
    port = free_port()
    command = [sys.executable, "-m", "bench.replica", str(port)]
    with running(command, core=core, log=folder / "replica.log") as group:
        proxy = Proxy("direct", "(replica alone)", group, port, f"Bearer {PLACEHOLDER_KEY}")
        until_it_scores(proxy)
        yield proxy


@contextmanager
def proxying(peer: Peer, folder: Path, core: int, replica_port: int) -> Iterator[Proxy]:
    """`peer`, before the replica, with `folder` for its own. Raises PeerError."""
    port = free_port()
    with running(peer.command(folder, port, replica_port), core=core, log=folder / "output.log") as group:
        key = PLACEHOLDER_KEY
        if peer.key_file:
            key_file = folder / peer.key_file
            _wait(key_file.exists, group, peer.title)
            key = msgspec.json.decode(key_file.read_bytes(), type=_Keys).primary_key
        proxy = Proxy(peer.name, peer.title, group, port, f"Bearer {key}")
        until_it_scores(proxy)
        yield proxy


def until_it_scores(proxy: Proxy) -> None:
    """Raises PeerError where it never does, or wrongly."""
    _wait(lambda: _scores(proxy), proxy.group, proxy.title)


class _Keys(msgspec.Struct, rename="camel"):
    primary_key: str


def _scores(proxy: Proxy) -> bool:
    """Does it pass 1 KB on yet? Raises PeerError if it does not bring the replica's answer back unchanged."""
    body = b"x" * 1024
    given = proxy.authorization
    first = given.read_text().partition("\n")[0] if isinstance(given, Path) else given
    headers = {"Authorization": first, "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    try:
        connection.request("POST", proxy.path, body, headers)
        reply = connection.getresponse()
        answer = reply.read()
    except (OSError, http.client.HTTPException):
        return False  # not listening yet, or not leading anywhere yet
    finally:
        connection.close()
    if reply.status == 200 and answer != score(len(body)):
        raise PeerError(f"{proxy.title} brings {answer[:200]!r}, but the replica said {score(len(body))!r}")
    return reply.status == 200


def _wait(ready: Callable[[], bool], group: ProcessGroup, title: str) -> None:
    give_up_s = time.monotonic() + START_S
    while not ready():
        if not group.alive:
            raise PeerError(f"{title} ended while it started: {group.last_words()}")
        if time.monotonic() > give_up_s:
            raise PeerError(f"{title} gave no right answer within {START_S:.0f} s: {group.last_words()}")
        time.sleep(0.05)
