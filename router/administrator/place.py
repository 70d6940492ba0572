"""Where is a router's administration, and which key opens it?

I/O: reads a state directory, or the file of a key. The key goes nowhere that others could read it on the way, unless
somebody says so; it is in no message and in no repr().
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from router.administrator.calls import AdministrationError
from router.core.auth import KEY_RULE, is_key
from router.platforms.local.state import RouterPlace, StateDirectory

IN_A_CLUSTER = (
    "\nIn a cluster, forward the internal port, `kubectl port-forward deployment/RELEASE 9001`, name it with "
    "--admin-url http://127.0.0.1:9001, and put its key into SCOREGATE_ADMIN_KEY: "
    "`kubectl get secret RELEASE-vault -o jsonpath='{.data.admin-key}' | base64 -d`."
)
_LONGEST_FILE = 4_096


class Place(NamedTuple):
    """An internal port, as `http://host:port`, and the key that it takes."""

    url: str
    key: str

    def __repr__(self) -> str:
        return f"Place({self.url}, …)"


def find(state_dir: Path, *, url: str | None = None, key: str | None = None, key_file: Path | None = None) -> Place:
    """A router that runs in `state_dir`, with the key that lies there, unless a URL or a key are given.

    Of one that has ended, the port may be somebody else's by now, who would get the key. A URL needs its key: one that
    lies in a state directory is not sent elsewhere. Raises AdministrationError.
    """
    found = _checked(url or _reached(_place(state_dir).admin))
    if key is None and key_file is not None:
        key = _read(key_file, "Is it the file that --admin-key-file should name?")
    if key is None and url is not None:
        raise _no_access(
            f"The administration of {url} needs its key: SCOREGATE_ADMIN_KEY or --admin-key-file.{IN_A_CLUSTER}"
        )
    if key is None:
        key = _read(state_dir / "vault" / "admin-key", "A router makes it when it starts, readable by its owner only.")
    if not is_key(key):
        raise _no_access(f"The admin key has {len(key)} characters, but it is {KEY_RULE}.")
    return Place(found, key)


def scoring_url(state_dir: Path) -> str:
    """Where a router that runs in `state_dir` takes requests. Raises AdministrationError."""
    return _reached(_place(state_dir).public)


def _place(state_dir: Path) -> RouterPlace:
    place = StateDirectory(state_dir).a_router()
    if place is None:
        raise _no_access(
            f"No router runs in {state_dir}: start one with `scoregate up FILE`. Of one that runs elsewhere, in a "
            f"container for one, name the internal port with --admin-url.{IN_A_CLUSTER}"
        )
    return place


def _reached(url: str) -> str:
    """Who listens on every address is reached on loopback."""
    parts = urlsplit(url)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(parts.hostname or "")
    return url if host is None else parts._replace(netloc=f"{host}:{parts.port}").geturl()


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_fit = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        is_fit = False
    if not is_fit or parts.username is not None or parts.query or parts.fragment:
        raise _no_access(f"The internal port is {url!r}, but it must be a URL such as http://127.0.0.1:9001.")
    if parts.scheme == "http" and not _is_loopback(parts):
        raise _no_access(
            f"The admin key is not sent to {url}: over plain HTTP, anybody on the way could read it. Forward the port "
            "to this machine, as `kubectl port-forward` does."
        )
    return url.rstrip("/")


def _is_loopback(parts: SplitResult) -> bool:
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _read(file: Path, hint: str) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_LONGEST_FILE).decode("ascii", "replace").strip()
    except OSError as error:
        raise _no_access(f"The admin key can't be read from {file}: {error.strerror}. {hint}") from None


def _no_access(message: str) -> AdministrationError:
    return AdministrationError(message, code="NoAccess")
