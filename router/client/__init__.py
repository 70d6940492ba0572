"""How does a Python program use an endpoint?

I/O: HTTP to the router, and to its internal port for whoever administers it. The methods are those of Azure ML's
`azureml.core.Webservice`; each is described there in its steps (steps.py), which are done here, waiting or awaiting.

    from router.client import Webservice

    with Webservice("iris", "https://scoring.example.com", key=key) as iris:
        iris.score({"data": [[5.1, 3.5, 1.4, 0.2]]})
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from router.administrator import Administrator, AsyncAdministrator, trust
from router.administrator.calls import AdministrationError, Call
from router.administrator.place import Place, find, scoring_url
from router.client.scoring import Replied, ScoringError, Send, path_of
from router.client.steps import Step, Steps, WebserviceSteps

__all__ = ["AdministrationError", "AsyncWebservice", "ScoringError", "Webservice"]

DEFAULT_URL = "http://127.0.0.1:8080"
CONNECT_TIMEOUT_S = 10.0
Result = TypeVar("Result")


class _Webservice:  # both are described where they are used
    def __init__(
        self,
        name: str,
        url: str | None = None,
        *,
        key: str | None = None,
        token: str | None = None,
        admin_url: str | None = None,
        admin_key: str | None = None,
        state_dir: str | Path | None = None,
        ca_bundle: str | Path | None = None,
        timeout_s: float | None = 300.0,
    ) -> None:
        if admin_key is not None and admin_url is None and state_dir is None:
            raise ValueError("an admin_key is given, but neither admin_url nor state_dir says where it is for")
        self._admin_url = admin_url
        self._admin_key = admin_key or os.environ.get("SCOREGATE_ADMIN_KEY")
        self._state_dir = None if state_dir is None else Path(state_dir)
        self._ca_bundle = None if ca_bundle is None else Path(ca_bundle)
        may_ask = admin_url is not None or state_dir is not None
        clock = time.time  # noqa: TID251 - tokens end by the calendar
        self._steps = WebserviceSteps(name, key=key, token=token, may_ask=may_ask, clock=clock)
        if url is None:
            url = DEFAULT_URL if self._state_dir is None else scoring_url(self._state_dir)
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"the url is {url[:200]!r}, but it must be one such as {DEFAULT_URL}")
        self._url = url.rstrip("/")
        self._open(
            {
                "base_url": self._url,
                "timeout": httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
                "verify": trust(self._url, self._ca_bundle),
                "trust_env": False,  # a proxy would see the credential
            }
        )

    def _open(self, settings: dict[str, Any]) -> None:
        """Make what sends requests."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self._url!r})"

    @property
    def name(self) -> str:
        return self._steps.name

    @property
    def scoring_uri(self) -> str:
        """Where to post to."""
        return self._url + path_of(self.name, "score")

    @property
    def swagger_uri(self) -> str:
        """Where the model describes itself, if it does."""
        return self._url + path_of(self.name, "swagger.json")

    def _administration(self) -> Place:
        """Found anew each time: a router that is started again may be elsewhere."""
        if self._admin_url is None and self._state_dir is None:
            message = "Keys and tokens are for who administers the router: give admin_url and admin_key, or state_dir."
            raise AdministrationError(message, code="NoAccess")
        folder = self._state_dir or Path()
        return find(folder, url=self._admin_url, key=self._admin_key)


class Webservice(_Webservice):
    """An endpoint, as Azure ML's v1 SDK shows one. A context manager; may be shared by threads.

    `key` or `token` is what it scores with. Without one, and with access to the administration (`admin_url` and
    `admin_key`, or `state_dir` of a router on this machine), it gets by itself what the endpoint takes, and a new one
    in time. `url`: where the router takes requests; the one of `state_dir`, else http://127.0.0.1:8080. `ca_bundle`:
    PEM certificates that the router's own is checked with, instead of the system's. `timeout_s`: without a byte of a
    reply.

        with Webservice("iris", state_dir=".scoregate") as iris:
            primary, secondary = iris.get_keys()
            iris.score({"data": [[5.1, 3.5, 1.4, 0.2]]}, deployment="green")

    Raises ScoringError where there is no score, AdministrationError where a key or a token can't be had.
    """

    def _open(self, settings: dict[str, Any]) -> None:
        self._http = httpx.Client(**settings)
        self._renewing = threading.Lock()

    def score(self, input_data: object, *, deployment: str | None = None) -> Any:
        """The model's reply, as JSON where it is JSON, else its bytes. `input_data`: bytes and str go as they are,
        anything else as JSON. `deployment` forces one, whatever the traffic. Raises ScoringError."""
        return self._run(self._steps.score(input_data, deployment))

    run = score  # its name there

    def get_swagger(self) -> Any:
        """What the model says of itself. Raises ScoringError."""
        return self._run(self._steps.get_swagger())

    def get_keys(self) -> tuple[str, str]:
        """The primary and the secondary."""
        return self._run(self._steps.get_keys())

    def regen_key(self, key: Literal["Primary", "Secondary"], set_key: str | None = None) -> None:
        """Replace one of the two, with a random key or with this one."""
        self._run(self._steps.regen_key(key, set_key))

    def get_token(self) -> tuple[str, datetime]:
        """A new token, and when to get the next one."""
        return self._run(self._steps.get_token())

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, steps: Steps[Result]) -> Result:
        try:
            step = next(steps)
            while True:
                try:
                    done = self._do(step)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(done)
        except StopIteration as end:
            result: Result = end.value
            return result

    def _do(self, step: Step) -> Any:
        if isinstance(step, Send):
            with _mapped(self._url):
                return _replied(self._http.request(step.method, step.path, headers=step.headers, content=step.content))
        if isinstance(step, Call):
            with Administrator(self._administration(), self._ca_bundle) as administrator:
                return administrator.ask(step)
        with self._renewing:
            return self._run(self._steps.renewal(step.stale))


class AsyncWebservice(_Webservice):
    """The same, awaited; for one event loop.

    async with AsyncWebservice("iris", key=key) as iris:
        await iris.score({"data": [[5.1, 3.5, 1.4, 0.2]]})
    """

    def _open(self, settings: dict[str, Any]) -> None:
        self._http = httpx.AsyncClient(**settings)
        self._renewing = asyncio.Lock()

    async def score(self, input_data: object, *, deployment: str | None = None) -> Any:
        """As that of Webservice, and so all below."""
        return await self._run(self._steps.score(input_data, deployment))

    run = score

    async def get_swagger(self) -> Any:
        return await self._run(self._steps.get_swagger())

    async def get_keys(self) -> tuple[str, str]:
        return await self._run(self._steps.get_keys())

    async def regen_key(self, key: Literal["Primary", "Secondary"], set_key: str | None = None) -> None:
        await self._run(self._steps.regen_key(key, set_key))

    async def get_token(self) -> tuple[str, datetime]:
        return await self._run(self._steps.get_token())

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, steps: Steps[Result]) -> Result:
        try:
            step = next(steps)
            while True:
                try:
                    done = await self._do(step)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(done)
        except StopIteration as end:
            result: Result = end.value
            return result

    async def _do(self, step: Step) -> Any:
        if isinstance(step, Send):
            with _mapped(self._url):
                reply = await self._http.request(step.method, step.path, headers=step.headers, content=step.content)
                return _replied(reply)
        if isinstance(step, Call):
            async with AsyncAdministrator(self._administration(), self._ca_bundle) as administrator:
                return await administrator.ask(step)
        async with self._renewing:
            return await self._run(self._steps.renewal(step.stale))


def _replied(reply: httpx.Response) -> Replied:
    return Replied(reply.status_code, reply.headers, reply.content)


@contextmanager
def _mapped(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException:
        raise ScoringError(f"{url} did not answer in time.", code="TimedOut") from None
    except httpx.HTTPError as error:
        raise ScoringError(f"{url} did not answer: {error or type(error).__name__}.", code="Unreachable") from None
