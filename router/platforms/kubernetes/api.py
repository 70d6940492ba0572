"""How does one talk to the Kubernetes API server?

I/O: HTTPS requests, with credentials that are read anew as they change. kubernetes-asyncio is used for configuration,
TLS and tokens alone: bodies go out as JSON and come back as bytes. Every call has a deadline and a limit on what it
reads; everything that goes wrong is an ApiError.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Literal, NamedTuple, Self

import aiohttp
import msgspec
from kubernetes_asyncio.client import ApiClient
from kubernetes_asyncio.config import ConfigException
from msgspec import Struct

from router import __version__
from router.platforms import PlatformError
from router.platforms.kubernetes.credentials import Credentials, load_credentials

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_STATUS_BYTES = 1024 * 1024
OPENING_S = 10.0
"""How long the API server may take to accept a watch."""
RENEW_S = 1.0
"""Credentials that are younger are not loaded anew, whatever the API server says to them."""

MERGE_PATCH = "application/merge-patch+json"
"""The content type of a patch that names what shall be different; null takes away."""

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class ApiError(PlatformError):
    """The API server refused, or did not answer. `what` is the message without the call."""

    def __init__(
        self, call: str, what: str, *, status: int = 0, reason: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{call}: {what}")
        self.what = what
        self.status = status
        """HTTP's; 0 where there is no answer."""
        self.reason = reason
        """The Status object's, as `Conflict`, `Expired` or `AlreadyExists`; "" where there is none."""
        self.retry_after_s = retry_after_s


class _NoTls(ApiError):
    """Neither side knew the other: certificates may have been changed."""


class _Details(Struct, rename="camel"):
    retry_after_seconds: int | None = None


class Status(Struct):
    """What the API server says of a failure, in an answer or as the last line of a watch."""

    message: str | None = None
    reason: str | None = None
    code: int | None = None
    details: _Details | None = None

    def error(self, call: str, status: int, retry_after_s: float | None = None) -> ApiError:
        said = " ".join((self.message or self.reason or "nothing more").split())[:500]
        if retry_after_s is None and self.details is not None:
            retry_after_s = self.details.retry_after_seconds
        what = f"the API server answers {status}: {said}"
        return ApiError(call, what, status=status, reason=self.reason or "", retry_after_s=retry_after_s)


class _Ask(NamedTuple):
    method: Method
    path: str
    query: Mapping[str, str]
    body: object = None
    content_type: str = "application/json"

    @property
    def call(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def hides_answer(self) -> bool:
        """What is wrong with a Secret is told by quoting it."""
        return self.method != "GET" and "/secrets" in self.path


class _Login:
    """The client of one set of credentials. Once it is retired, it closes with the last call that uses it."""

    def __init__(self, credentials: Credentials, loaded_at: float) -> None:
        self.client = ApiClient(credentials.configuration)
        self.client.user_agent = f"scoregate/{__version__}"
        self.loaded_at = loaded_at
        self._calls = 0
        self._retired = False

    @asynccontextmanager
    async def used(self) -> AsyncIterator[ApiClient]:
        self._calls += 1
        try:
            yield self.client
        finally:
            self._calls -= 1
            await self._close_if_idle()

    async def retire(self) -> None:
        self._retired = True
        await self._close_if_idle()

    async def _close_if_idle(self) -> None:
        if self._retired and not self._calls:
            await self.client.close()


class Api:
    """`async with await Api.open()` it. Any number of calls at once; a watch has a connection of its own."""

    def __init__(self, login: _Login, namespace: str) -> None:
        self._login = login
        self._renewing = asyncio.Lock()
        self.namespace = namespace
        """The Pod's own in a cluster, else that of the kubeconfig's context, else `default`."""

    @classmethod
    async def open(cls) -> Self:
        """Raises PlatformError where the credentials can't be used; whether the API server is there shows later."""
        login, namespace = await _load()
        return cls(login, namespace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._login.retire()

    async def read(self, path: str, query: Mapping[str, str] | None = None, *, within_s: float = 10.0) -> bytes:
        return await self._call(_Ask("GET", path, query or {}), within_s)

    async def write(
        self,
        method: Literal["POST", "PUT", "PATCH", "DELETE"],
        path: str,
        body: object,
        *,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        within_s: float = 5.0,
    ) -> bytes:
        """`body`: what JSON can be made of, Structs too; None for no body."""
        return await self._call(_Ask(method, path, query or {}, msgspec.to_builtins(body), content_type), within_s)

    async def watch(
        self,
        path: str,
        query: Mapping[str, str],
        *,
        silent_s: float,
        opened: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[bytes, None]:
        """Whole lines; ends when the API server ends it. ApiError for any other end, and after `silent_s` without a
        byte. `opened` is called once the watch is accepted: the first line may be long in coming."""
        ask = _Ask("GET", path, {**query, "watch": "true"})
        with _told_as_api_errors(ask, f"no answer within {OPENING_S:g} s"):
            async with self._asked(ask, OPENING_S) as response:
                opened()
                rest = bytearray()
                while chunk := await _next_chunk(response, ask, silent_s):
                    for line in _split(chunk, rest, ask):
                        yield line
                if rest:
                    raise ApiError(ask.call, "the stream was cut in the middle of a line")

    async def _call(self, ask: _Ask, within_s: float) -> bytes:
        with _told_as_api_errors(ask, f"no answer within {within_s:g} s"):
            async with asyncio.timeout(within_s), self._asked(ask, within_s) as response:
                return await _body(response, ask, MAX_BODY_BYTES)

    @asynccontextmanager
    async def _asked(self, ask: _Ask, within_s: float) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer of success, its head read. After a 401, and where there is no TLS, nothing was done: it is asked
        once more with credentials loaded anew, which may have rotated."""
        for is_last in (False, True):
            login = self._login
            async with login.used() as client:
                try:
                    response = await _answered(client, ask, within_s)
                except ApiError as error:
                    refusal = error
                else:
                    try:
                        yield response
                        return
                    finally:
                        response.close()  # does nothing to a connection whose answer was read to its end
            is_stale = refusal.status == 401 or isinstance(refusal, _NoTls)
            if is_last or not is_stale or not await self._renewed(login, refusal):
                raise refusal

    async def _renewed(self, refused: _Login, refusal: ApiError) -> bool:
        """Whether there are other credentials now than those that were refused."""
        async with self._renewing:
            if self._login is not refused:
                return True
            if asyncio.get_running_loop().time() - refused.loaded_at < RENEW_S:
                return False
            try:
                self._login, _ = await _load()
            except PlatformError as error:
                raise ApiError(str(refusal), str(error), status=refusal.status, reason=refusal.reason) from error
        await refused.retire()
        return True


async def _load() -> tuple[_Login, str]:
    credentials = await load_credentials()
    try:
        return _Login(credentials, asyncio.get_running_loop().time()), credentials.namespace
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise PlatformError(
            f"the certificates for {credentials.configuration.host} can't be used: {_first_line(error)}; "
            "a CA, a client certificate and its key must be PEM files that belong together"
        ) from None


async def _answered(client: ApiClient, ask: _Ask, within_s: float) -> aiohttp.ClientResponse:
    """One of success, its head read; else ApiError."""
    with _told_as_api_errors(ask, f"no answer within {within_s:g} s"):
        async with asyncio.timeout(within_s):
            response = await _sent(client, ask)
            if 200 <= response.status < 300:
                return response
            try:
                refusal = await _refusal(response, ask)
            finally:
                response.close()
    raise refusal


async def _sent(client: ApiClient, ask: _Ask) -> aiohttp.ClientResponse:
    # Uncompressed: to inflate a page would hold up the event loop for longer than it takes to come.
    headers = {"Accept": "application/json", "Content-Type": ask.content_type, "Accept-Encoding": "identity"}
    response: aiohttp.ClientResponse = await client.call_api(
        ask.path,
        ask.method,
        query_params=list(ask.query.items()),
        header_params=headers,
        body=ask.body,
        auth_settings=["BearerToken"],
        _preload_content=False,
    )
    return response


async def _body(response: aiohttp.ClientResponse, ask: _Ask, limit_bytes: int) -> bytes:
    chunks: list[bytes] = []
    left_bytes = limit_bytes
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        left_bytes -= len(chunk)
        if left_bytes < 0:
            raise ApiError(ask.call, f"the answer has more than {limit_bytes} bytes")
    return b"".join(chunks)


async def _next_chunk(response: aiohttp.ClientResponse, ask: _Ask, silent_s: float) -> bytes:
    """b"" at the end."""
    try:
        async with asyncio.timeout(silent_s):
            return await response.content.readany()
    except TimeoutError:
        raise ApiError(ask.call, f"nothing came for {silent_s:g} s") from None


def _split(chunk: bytes, rest: bytearray, ask: _Ask) -> Iterator[bytes]:
    """The lines that `chunk` ends; what begins another goes to `rest`."""
    *lines, begun = chunk.split(b"\n")
    for line in lines:
        whole = bytes(rest) + line if rest else line
        rest.clear()
        if whole:
            yield whole
    rest += begun
    if len(rest) > MAX_LINE_BYTES:
        raise ApiError(ask.call, f"a line has more than {MAX_LINE_BYTES} bytes")


async def _refusal(response: aiohttp.ClientResponse, ask: _Ask) -> ApiError:
    body = await _body(response, ask, MAX_STATUS_BYTES)
    try:
        status = msgspec.json.decode(body, type=Status)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # a proxy's page, or plain text
        status = Status(message=body[:500].decode(errors="replace"))
    if ask.hides_answer and response.status in (400, 422):
        status = Status(reason=status.reason)
    return status.error(ask.call, response.status, _seconds(response.headers.get("Retry-After")))


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdecimal() else None


@contextmanager
def _told_as_api_errors(ask: _Ask, late: str) -> Iterator[None]:
    """The one place where foreign exceptions become ours."""
    try:
        yield
    except TimeoutError:
        raise ApiError(ask.call, late) from None
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, ssl.SSLError) as error:
        raise _NoTls(ask.call, f"no TLS with the API server: {_first_line(error)}") from None
    except aiohttp.ClientConnectorError as error:
        where = f"{error.host}:{error.port}"
        raise ApiError(ask.call, f"no connection to {where}: {error.strerror or _first_line(error)}") from None
    except aiohttp.ClientPayloadError:
        raise ApiError(ask.call, "the answer was cut short") from None
    except (aiohttp.ClientError, ConfigException, OSError, ValueError) as error:
        raise ApiError(ask.call, f"no answer: {_first_line(error) or type(error).__name__}") from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
