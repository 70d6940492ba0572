"""How is a router administered from another process?

I/O: HTTP to its internal port. What can be asked is in calls.py, where it is asked in place.py; here are the two who
ask, one that waits for the reply and one that awaits it. Nothing is asked twice: who gets no reply can't know whether
it was done.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from router.administrator.calls import AdministrationError, Call, read
from router.administrator.place import IN_A_CLUSTER, Place

TIMEOUT_S = 30.0
Reply = TypeVar("Reply")


class Administrator:
    """Asks, and waits for the reply. A context manager. `ca_bundle`: PEM certificates that the router's own is checked
    with, instead of the system's."""

    def __init__(self, place: Place, ca_bundle: Path | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.place = place
        self._client = httpx.Client(**_settings(place, ca_bundle, timeout_s))

    def ask(self, call: Call[Reply]) -> Reply:
        """Raises AdministrationError."""
        with _mapped(self.place, call):
            reply = self._client.request(call.method, call.path, content=call.body)
            return read(call, reply.status_code, reply.content)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncAdministrator:
    """The same, awaited."""

    def __init__(self, place: Place, ca_bundle: Path | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.place = place
        self._client = httpx.AsyncClient(**_settings(place, ca_bundle, timeout_s))

    async def ask(self, call: Call[Reply]) -> Reply:
        """Raises AdministrationError."""
        with _mapped(self.place, call):
            reply = await self._client.request(call.method, call.path, content=call.body)
            return read(call, reply.status_code, reply.content)

    async def close(self) -> None:
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _settings(place: Place, ca_bundle: Path | None, timeout_s: float) -> dict[str, Any]:
    return {
        "base_url": place.url,
        "headers": {"authorization": f"Bearer {place.key}", "content-type": "application/json"},
        "timeout": timeout_s,
        "verify": trust(place.url, ca_bundle),
        "trust_env": False,  # a proxy would see the key
    }


def trust(url: str, ca_bundle: Path | None) -> ssl.SSLContext | bool:
    """As httpx's `verify`. Raises AdministrationError for a bundle that can't be read."""
    if urlsplit(url).scheme == "http":
        return False  # there is no certificate to check; to load the system's takes a while
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except OSError as error:
        message = f"{ca_bundle} does not hold certificates in PEM form: {error.strerror or error}"
        raise AdministrationError(message, code="NoAccess") from None


@contextmanager
def _mapped(place: Place, call: Call[Any]) -> Iterator[None]:
    try:
        yield
    except httpx.ConnectError as error:
        hint = f"Does a router run there? `scoregate up FILE` starts one on this machine.{IN_A_CLUSTER}"
        raise AdministrationError(f"{place.url} can't be reached: {error}. {hint}", code="Unreachable") from None
    except httpx.TimeoutException:
        raise _unknown(call, f"{place.url} did not answer in time") from None
    except httpx.HTTPError as error:
        raise _unknown(call, f"{place.url} did not answer as it should: {error}") from None
    except AdministrationError as error:
        if error.status == 401 or error.code == "BadReply":  # perhaps another router is meant
            raise AdministrationError(f"{place.url}: {error.message}", code=error.code, status=error.status) from None
        raise


def _unknown(call: Call[Any], message: str) -> AdministrationError:
    doubt = "." if call.method == "GET" else "; whether it was done is not known: look before you repeat it."
    return AdministrationError(message + doubt, code="Unreachable")
