"""Who makes the Secrets with the keys of endpoints that have none?

I/O: a POST for each Secret; where one of its name is there already, a GET of its type. Keys are made here and sent; no
message, log line or repr() holds one, and nothing keeps one.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import math
import random
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from router.platforms import PlatformError
from router.platforms.keys import new_key
from router.platforms.kubernetes.api import Api, ApiError
from router.platforms.kubernetes.cluster import KeysWanted
from router.platforms.kubernetes.keys_secret import KEYS_TYPE, PRIMARY, SECONDARY
from router.platforms.kubernetes.leading.conditions import KeysFault

LOOK_S = 0.5
AT_ONCE = 10
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
SEEN_WITHIN_S = 5.0
"""A Secret that was made and is still missing after so long was deleted meanwhile."""

log = logging.getLogger("scoregate.platform")


class SecretTaken(PlatformError):
    """A Secret of that name is there, but it is not one of keys."""


class _Typed(Struct):
    """Of a Secret nothing but this."""

    type: str = ""


class _Try:
    """How it went with one Secret so far."""

    def __init__(self) -> None:
        self.due_s = 0.0
        self.pause_s = 0.0
        self.fault: KeysFault | None = None


class KeysMaker:
    """`run` it while this process leads. `wanted`: the Secrets that are missing now."""

    def __init__(self, api: Api, wanted: Callable[[], Iterable[KeysWanted]], *, leads: Callable[[], bool]) -> None:
        self._api = api
        self._wanted = wanted
        self._leads = leads
        self._tries: dict[tuple[str, str], _Try] = {}

    def fault(self, namespace: str, secret: str) -> KeysFault | None:
        """How the last try to make this Secret ended, if badly."""
        tried = self._tries.get((namespace, secret))
        return None if tried is None else tried.fault

    async def run(self) -> None:
        """Until it is cancelled."""
        at_once = asyncio.Semaphore(AT_ONCE)
        self._tries.clear()
        async with asyncio.TaskGroup() as group:
            while True:
                missing = _missing(self._wanted()) if self._leads() else {}
                self._tries = {place: self._tries.get(place) or _Try() for place in missing}
                for place, tried in self._tries.items():
                    if tried.due_s <= _now():
                        tried.due_s = math.inf
                        group.create_task(self._make(missing[place], tried, at_once))
                await asyncio.sleep(LOOK_S)

    async def _make(self, wanted: KeysWanted, tried: _Try, at_once: asyncio.Semaphore) -> None:
        where = f"Secret {wanted.secret} in namespace {wanted.namespace}"
        pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * tried.pause_s))
        async with at_once:
            try:
                if self._leads() and await create_keys(self._api, wanted):
                    log.info("%s was made, with two new keys for endpoint %s", where, wanted.endpoint)
                tried.fault, tried.pause_s = None, 0.0
                tried.due_s = _now() + SEEN_WITHIN_S
            except PlatformError as error:
                fault = KeysFault(isinstance(error, SecretTaken), str(error))
                if tried.fault != fault:
                    log.warning("%s can't be made for endpoint %s: %s", where, wanted.endpoint, error)
                tried.fault, tried.pause_s = fault, pause_s
                tried.due_s = _now() + pause_s * random.uniform(0.5, 1.0)


async def create_keys(api: Api, wanted: KeysWanted) -> bool:
    """Whether the Secret was made; if not, somebody else has made it.

    Raises PlatformError: SecretTaken, or that of the call.
    """
    keys = {name: base64.b64encode(new_key().encode()).decode() for name in (PRIMARY, SECONDARY)}
    folder = f"/api/v1/namespaces/{wanted.namespace}/secrets"
    try:
        await api.write("POST", folder, _secret(wanted, keys))
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
    else:
        return True
    is_of_type = _type_of(await api.read(f"{folder}/{wanted.secret}"))
    if is_of_type != KEYS_TYPE:
        raise SecretTaken(
            f"Secret {wanted.secret} in namespace {wanted.namespace} is of type {is_of_type}, but it must be of type "
            f"{KEYS_TYPE}: delete it, or name another in spec.auth.keysSecret."
        )
    return False


def _type_of(answer: bytes) -> str:
    try:
        return msgspec.json.decode(answer, type=_Typed).type
    except (msgspec.MsgspecError, UnicodeDecodeError):  # whose text might quote the Secret
        raise PlatformError("the API server's answer is no Secret") from None


def _secret(wanted: KeysWanted, keys: dict[str, str]) -> dict[str, object]:
    metadata: dict[str, object] = {
        "name": wanted.secret,
        "namespace": wanted.namespace,
        "labels": {"app.kubernetes.io/managed-by": "scoregate", "scoregate.io/endpoint": wanted.endpoint},
    }
    if wanted.owner is not None:  # with which the API server's garbage collector lets it go
        owner = wanted.owner
        reference = {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}
        metadata["ownerReferences"] = [{**reference, "controller": False, "blockOwnerDeletion": False}]
    return {"apiVersion": "v1", "kind": "Secret", "type": KEYS_TYPE, "metadata": metadata, "data": keys}


def _missing(wanted: Iterable[KeysWanted]) -> dict[tuple[str, str], KeysWanted]:
    """Each Secret once. One that several endpoints name must not go with one of them."""
    missing: dict[tuple[str, str], KeysWanted] = {}
    for each in wanted:
        if each.creates:
            place = (each.namespace, each.secret)
            missing[place] = each._replace(owner=None) if place in missing else each
    return missing


def _now() -> float:
    return asyncio.get_running_loop().time()
