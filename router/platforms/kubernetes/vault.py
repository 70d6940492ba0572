"""Where are an installation's own secrets in a cluster?

I/O: one Secret in the namespace where routers run, made empty by whoever installs them: so nobody needs the right to
make Secrets there. An entry is a field of its data. A write carries the version that was read, of the entry and of the
Secret; the Secret's own may change because another entry did, and then the write is tried again.

Who follows keeps what was last read while the Secret can't be, also while it is gone: a vault that somebody deleted by
mistake must not bring revoked tokens back to life.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec
from msgspec import Struct

from router.platforms import PlatformError
from router.platforms.administration import Conflict, Sealed, VaultName
from router.platforms.kubernetes.api import MERGE_PATCH, Api, ApiError
from router.platforms.kubernetes.following import Collection, Following
from router.platforms.kubernetes.objects import Metadata
from router.platforms.kubernetes.refusals import TRIES, told

VAULT_TYPE = "scoregate.io/vault"
LOOK_S = 0.5
"""How often who waits for the first list looks whether it was empty."""
RIGHT = "its account needs get, list, watch and patch of this Secret, as the chart's and kustomize's have"

log = logging.getLogger("scoregate.platform")

Start = Callable[[Coroutine[Any, Any, None]], object]
"""Runs something for as long as the platform is open."""


class VaultSecret(Struct, frozen=True, kw_only=True):
    metadata: Metadata
    data: dict[str, bytes] | None = None

    def __repr__(self) -> str:
        return f"VaultSecret({self.metadata.key})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("key", self.metadata.key)]

    def entry(self, name: VaultName) -> Sealed | None:
        content = (self.data or {}).get(name)
        return None if content is None else Sealed(content, hashlib.sha256(content).hexdigest()[:16])


class SecretVault:
    """One for each process; `start` runs what it follows the Secret with, from the first that asks on."""

    def __init__(self, api: Api, namespace: str, name: str, start: Start) -> None:
        self._api = api
        self._folder = f"/api/v1/namespaces/{namespace}/secrets"
        self._path = f"{self._folder}/{name}"
        self._name = name
        self._where = f"Secret {name} in namespace {namespace}"
        self._missing = (
            f"there is no {self._where}, which holds this installation's own secrets: make an empty one with "
            f"`kubectl -n {namespace} create secret generic {name} --type {VAULT_TYPE}`"
        )
        self._start = start
        self._following: Following[VaultSecret] | None = None
        self._seen: VaultSecret | None = None
        self._changed = asyncio.Event()

    async def read(self, name: VaultName) -> Sealed | None:
        """Raises Unknown where there is no such Secret, NotPermitted, PlatformError."""
        return (await self._present(f"read {name} in {self._where}")).entry(name)

    async def write(self, name: VaultName, content: bytes, version: str | None) -> None:
        """Raises as `read`, and Conflict."""
        what = f"write {name} into {self._where}"
        for _ in range(TRIES):
            present = await self._present(what)
            entry = present.entry(name)
            if (None if entry is None else entry.version) != version:
                break
            data = {name: base64.b64encode(content).decode()}
            change = {"metadata": {"resourceVersion": present.metadata.resource_version}, "data": data}
            try:
                with told(what, missing=self._missing, right=RIGHT):
                    await self._api.write("PATCH", self._path, change, content_type=MERGE_PATCH)
                return
            except ApiError as error:
                if error.status != 409:
                    raise
        raise Conflict(f"{name} in {self._where} was changed meanwhile: read it again")

    async def follow(self, name: VaultName) -> AsyncIterator[Sealed | None]:
        following = self._followed()
        while self._seen is None and not following.synced:
            await self._news(LOOK_S)
        if self._seen is None:
            log.warning("%s", self._missing)
        entry = self._entry(name)
        yield entry
        while True:
            changed = self._changed
            if (now := self._entry(name)) != entry:
                entry = now
                yield entry
            else:
                await changed.wait()

    def _entry(self, name: VaultName) -> Sealed | None:
        return None if self._seen is None else self._seen.entry(name)

    async def _present(self, what: str) -> VaultSecret:
        with told(what, missing=self._missing, right=RIGHT):
            answer = await self._api.read(self._path)
        try:
            return msgspec.json.decode(answer, type=VaultSecret)
        except (msgspec.MsgspecError, UnicodeDecodeError):  # whose text might quote the Secret
            raise PlatformError(f"GET {self._path}: the API server's answer is no Secret") from None

    def _followed(self) -> Following[VaultSecret]:
        if self._following is None:
            collection = Collection(self._folder, VaultSecret, field_selector=f"metadata.name={self._name}")
            self._following = Following(self._api, collection, self._tell, chance=random.random)
            self._start(self._following.run())
        return self._following

    def _tell(self, _: str, secret: VaultSecret | None) -> None:
        if secret is None:
            log.error("%s is gone, going on with what it held: %s", self._where, self._missing)
            return
        self._seen = secret
        self._changed.set()
        self._changed = asyncio.Event()

    async def _news(self, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._changed.wait()
        except TimeoutError:
            return
