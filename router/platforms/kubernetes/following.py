"""How does this process keep up with a collection of Kubernetes objects?

I/O: list and watch calls, one task. reflector.py says what to ask next and what is news; here are the deadlines,
the pauses between tries, and what is said when the API server can't be followed. A failure of whatever kind ends
in another try, never in forgetting.

Pauses: none after the normal end of a watch, nor before the first new list after an expired version; else 0.1 s,
doubled with each failure up to 10 s, jittered, and never shorter than a Retry-After of up to 30 s. Decoding and
telling are cut into slices of a few milliseconds: between two, everything else has its turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Annotated, Generic, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from router.platforms import UP_TO_DATE, Standing
from router.platforms.kubernetes.api import Api, ApiError, Status
from router.platforms.kubernetes.reflector import Change, Identity, Reflector

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
LONGEST_RETRY_AFTER_S = 30.0
LIST_S = 10.0
"""For the first try at a page; each failure in a row gives the next as much more, up to a minute."""
LONGEST_LIST_S = 60.0
WATCH_S = 30.0
GRACE_S = 5.0
"""By how much a watch may outlive the time that it was opened for."""
BRIEF_S = 1.0
"""A watch that ends sooner, without an event, is not opened again at once."""
QUIET_WATCHES = 4
"""After so many in a row without a line, a new list shows whether the API server went back in time, as one does that
is restored from a backup: its watch of a version from the future is silent."""
FIRST_ABSENT_S = 1.0
LONGEST_ABSENT_S = 15.0
GONE_AFTER_S = 60.0
"""An API server that starts may not know its custom resources yet: only a 404 that lasts says that there are none."""
SLICE_S = 0.003

log = logging.getLogger("scoregate.platform")


class Named(Protocol):
    """What every object's metadata say."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


class Described(Protocol):
    @property
    def metadata(self) -> Named: ...


T = TypeVar("T", bound=Described)


class Collection(NamedTuple, Generic[T]):
    path: str
    """`/api/v1/pods` or `/api/v1/namespaces/x/pods`."""
    kind: type[T]
    """A msgspec Struct with just the fields that are read."""
    field_selector: str = ""
    label_selector: str = ""
    optional: bool = False
    """A 404 means that there are none: the custom resource is not installed."""

    @property
    def name(self) -> str:
        *_, namespace, plural = self.path.split("/")
        return f"{plural} in {namespace}" if "/namespaces/" in self.path else plural

    def selectors(self) -> dict[str, str]:
        both = {"fieldSelector": self.field_selector, "labelSelector": self.label_selector}
        return {name: selector for name, selector in both.items() if selector}


class _Metadata(Struct, rename="camel"):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class _Bare(Struct):
    """As much of an object as is needed to name it."""

    metadata: _Metadata


class _Version(Struct, rename="camel"):
    resource_version: str


class _Mark(Struct):
    """A bookmark's object."""

    metadata: _Version


class _ListMetadata(Struct, rename={"resource_version": "resourceVersion", "token": "continue"}):
    resource_version: Annotated[str, Meta(min_length=1)]
    token: str = ""


class _Page(Struct):
    metadata: _ListMetadata
    items: list[Raw] | None = None


class _Event(Struct):
    type: str
    object: Raw


_BARE = msgspec.json.Decoder(_Bare)
_BOOKMARK = msgspec.json.Decoder(_Mark)
_PAGE = msgspec.json.Decoder(_Page)
_EVENT = msgspec.json.Decoder(_Event)
_STATUS = msgspec.json.Decoder(Status)
_News = tuple[Iterable[Change[T]], str]
"""Changes to tell, and the version that is reached by them."""
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)


class Following(Generic[T]):
    """`changed(key, object)` is called for each difference only, with None for an object that is gone; one that was
    made anew under its name is first told as gone."""

    def __init__(
        self,
        api: Api,
        collection: Collection[T],
        changed: Callable[[str, T | None], None],
        *,
        chance: Callable[[], float],
    ) -> None:
        self._api = api
        self._collection = collection
        self._changed = changed
        self._chance = chance
        self._decoder = msgspec.json.Decoder(collection.kind)
        self._reflector: Reflector[T] = Reflector()
        self._skipped: set[str] = set()
        self._failures = 0
        """In a row, since something came."""
        self._expired = False
        """A version was too old, and since then nothing came."""
        self._quiet_watches = 0
        self._absences = 0
        self._absent_since: float | None = None
        self._sound_at = 0.0
        self._reason = ""
        self._slice_ends = 0.0

    @property
    def name(self) -> str:
        return self._collection.name

    @property
    def synced(self) -> bool:
        """The first list is complete."""
        return self._reflector.synced

    def standing(self, now: float) -> Standing:
        """`now`: the event loop's time."""
        return Standing(max(0.0, now - self._sound_at), self._reason) if self._reason else UP_TO_DATE

    async def run(self) -> None:
        """Until cancelled."""
        self._sound_at = _now()
        while True:
            try:
                pause_s = await (self._list() if self._reflector.lists else self._watch())
            except ApiError as error:
                pause_s = await self._pause_after(error)
            except Exception as error:  # unforeseen: whoever stopped here would seem up to date for ever
                pause_s = self._pause_after_fault(error)
            await asyncio.sleep(pause_s)

    async def _list(self) -> float:
        """One page."""
        within_s = min(LONGEST_LIST_S, LIST_S * (1 + self._failures))
        query = self._collection.selectors() | self._reflector.list_query()
        body = await self._api.read(self._collection.path, query, within_s=within_s)
        try:
            page = _PAGE.decode(body)
        except _UNREADABLE as error:
            raise self._nonsense("a list", error) from None
        self._absences, self._absent_since = 0, None
        for raw in page.items or ():
            news, _ = self._put(raw)
            await self._tell(news)
        await self._tell(self._reflector.page_ends(page.metadata.resource_version, page.metadata.token))
        self._sound_at = _now()
        return 0.0

    async def _watch(self) -> float:
        opened_at = _now()
        came = False
        timeout_s = round(WATCH_S * (0.8 + 0.4 * self._chance()))
        query = self._collection.selectors() | self._reflector.watch_query() | {"timeoutSeconds": str(timeout_s)}
        lines = self._api.watch(self._collection.path, query, silent_s=timeout_s + GRACE_S, opened=self._is_well)
        async with aclosing(lines):
            async for line in lines:
                await self._take(line)
                came = True
                self._something_came()
        self._sound_at = _now()
        self._quiet_watches = 0 if came else self._quiet_watches + 1
        if self._quiet_watches >= QUIET_WATCHES:
            self._quiet_watches = 0
            self._reflector.list_anew()
        if came or _now() - opened_at >= BRIEF_S:
            self._something_came()
            return 0.0
        return self._pause()

    async def _take(self, line: bytes) -> None:
        """One line of a watch."""
        try:
            event = _EVENT.decode(line)
            if event.type == "ERROR":
                raise self._broken_off(_STATUS.decode(event.object))
            news, version = self._read(event)
        except _UNREADABLE as error:
            raise self._nonsense("an event", error) from None
        await self._tell(news)
        if version:
            self._reflector.reached(version)

    def _read(self, event: _Event) -> _News[T]:
        match event.type:
            case "ADDED" | "MODIFIED":
                return self._put(event.object)
            case "DELETED":
                identity = _identity(_BARE.decode(event.object))
                self._skipped.discard(identity.key)
                return self._reflector.drop(identity.key), identity.version
            case "BOOKMARK":
                return (), _BOOKMARK.decode(event.object).metadata.resource_version
            case _:
                return (), ""

    def _put(self, raw: Raw) -> _News[T]:
        """An object that can't be read is skipped; the version is "" where not even its name can be."""
        noun: T | None = None
        try:
            noun = self._decoder.decode(raw)
            identity = _identity(noun)
        except _UNREADABLE as error:
            try:
                identity = _identity(_BARE.decode(raw))
            except _UNREADABLE:
                self._skip("one without a name", error)
                return (), ""
            self._skip(identity.key, error)
        else:
            self._skipped.discard(identity.key)
        return self._reflector.put(identity, noun), identity.version

    async def _tell(self, changes: Iterable[Change[T]]) -> None:
        for key, noun in changes:
            try:
                self._changed(key, noun)
            except Exception:  # unforeseen, and no reason to hear nothing more of all others
                log.exception("%s: %s can't be taken in", self._collection.name, key)
            await self._let_others_run()
        await self._let_others_run()

    async def _let_others_run(self) -> None:
        """If the slice is over."""
        if _now() >= self._slice_ends:
            await asyncio.sleep(0)
            self._slice_ends = _now() + SLICE_S

    def _skip(self, name: str, error: Exception) -> None:
        """Said once, until it can be read again or is gone."""
        if name not in self._skipped:
            self._skipped.add(name)
            log.error("%s: %s is left out, for it can't be read: %s", self._collection.name, name, error)

    def _broken_off(self, status: Status) -> ApiError:
        """The watch says why it can't go on: it is not asked for again from where it was."""
        self._reflector.list_anew()
        return status.error(f"GET {self._collection.path}", status.code or 0)

    def _nonsense(self, what: str, error: Exception) -> ApiError:
        self._reflector.list_anew()
        return ApiError(f"GET {self._collection.path}", f"the API server sends {what} that can't be read: {error}")

    async def _pause_after(self, error: ApiError) -> float:
        self._reflector.refused(error.status)
        if error.status == 404 and self._collection.optional:
            if self._absent_since is None:
                self._absent_since = _now()
            if not len(self._reflector) or _now() - self._absent_since >= GONE_AFTER_S:
                return await self._pause_without_any()
        else:
            self._absent_since = None
        if error.status == 410 and not self._expired:
            self._expired = True
            self._failures = 0
            return 0.0
        self._say(error.what)
        return max(self._pause(), self._bidden(error))

    def _pause_after_fault(self, error: Exception) -> float:
        self._reflector.list_anew()
        log.error("%s can't be followed", self._collection.name, exc_info=error)
        self._reason = f"{self._collection.name}: a fault of the router: {type(error).__name__}: {error}"
        return self._pause()

    async def _pause_without_any(self) -> float:
        await self._tell(self._reflector.forget())
        self._is_well()
        self._failures = 0
        self._absences += 1
        return self._jittered(min(LONGEST_ABSENT_S, FIRST_ABSENT_S * 2.0 ** min(self._absences - 1, 16)))

    def _pause(self) -> float:
        """After one more failure."""
        self._failures += 1
        return self._jittered(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures - 1, 16)))

    def _jittered(self, whole_s: float) -> float:
        return whole_s * (0.5 + 0.5 * self._chance())

    def _bidden(self, error: ApiError) -> float:
        """As long as the API server bids to wait, and a little longer: not all come at once."""
        return min(error.retry_after_s or 0.0, LONGEST_RETRY_AFTER_S) * (1.0 + 0.2 * self._chance())

    def _say(self, what: str) -> None:
        reason = f"{self._collection.name}: {what}"
        if reason != self._reason:
            log.warning("%s; going on with what is known", reason)
            self._reason = reason

    def _something_came(self) -> None:
        self._failures = 0
        self._expired = False
        self._sound_at = _now()

    def _is_well(self) -> None:
        self._sound_at = _now()
        if self._reason:
            log.info("%s: the API server is followed again", self._collection.name)
            self._reason = ""


def _identity(thing: Described) -> Identity:
    metadata = thing.metadata
    return Identity(f"{metadata.namespace}/{metadata.name}", metadata.uid, metadata.resource_version)


def _now() -> float:
    return asyncio.get_running_loop().time()
