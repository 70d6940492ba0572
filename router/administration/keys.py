"""Which keys open an endpoint, and how does an administrator change them?

I/O: the platform's administration, which keeps them. The audit line says which key, and never the key: of a name that
is none of the endpoint's, not even that, because it may be a key in the wrong place.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from router.administration.operation import Answer, Call, Operation
from router.administration.parts import Parts
from router.administration.shapes import KeyRegeneration, KeySettings, Limit
from router.administrator.shapes import KeysView
from router.core.keys import Keys, NamedKey, regenerated, with_named, without_named
from router.core.model import RateLimit
from router.platforms.administration import Conflict, Unfit
from router.platforms.keys import new_key

_FIRST_TWO = ("primary", "secondary")
_KEYS = "/endpoints/{endpoint}/keys"


async def show_keys(parts: Parts, call: Call) -> Answer:
    return Answer(_view(await parts.administration.keys(_endpoint(parts, call))))


async def regenerate_key(parts: Parts, call: Call) -> Answer:
    wish: KeyRegeneration = call.body
    which = call.path["key"]

    def change(keys: Keys) -> Keys:
        _tell(call, keys)
        _check_version(keys, wish.version)
        return regenerated(keys, which, new_key() if wish.key_value is None else wish.key_value)

    return Answer(_view(await parts.administration.change_keys(_endpoint(parts, call), change)))


async def put_key(parts: Parts, call: Call) -> Answer:
    wish: KeySettings = call.body
    name = call.path["key"]
    is_new = False

    def change(keys: Keys) -> Keys:
        nonlocal is_new
        _check_named(name)
        _tell(call, keys)
        _check_version(keys, wish.version)
        present = keys.named_keys.get(name)
        is_new = present is None
        changed = with_named(keys, name, _settled(present, wish))
        call.told |= {"key": name, "from": _settings(present), "to": _settings(changed.named_keys[name])}
        return changed

    keys = await parts.administration.change_keys(_endpoint(parts, call), change)
    return Answer(_view(keys), 201 if is_new else 200)


async def remove_key(parts: Parts, call: Call) -> Answer:
    name = call.path["key"]

    def change(keys: Keys) -> Keys:
        _check_named(name)
        _tell(call, keys)
        return without_named(keys, name)

    return Answer(_view(await parts.administration.change_keys(_endpoint(parts, call), change)))


def _endpoint(parts: Parts, call: Call) -> str:
    name = parts.endpoint(call.path["endpoint"]).name
    call.told["endpoint"] = name
    return name


def _tell(call: Call, keys: Keys) -> None:
    name = call.path["key"]
    if name in _FIRST_TWO or name in keys.named_keys:
        call.told["key"] = name


def _check_version(keys: Keys, version: str | None) -> None:
    if version not in (None, keys.version):
        raise Conflict("the keys are others by now: read them again")


def _check_named(name: str) -> None:
    if name in _FIRST_TWO:
        raise Unfit(f"the {name} key can be regenerated, and nothing else: it is no named key")


def _settled(present: NamedKey | None, wish: KeySettings) -> NamedKey:
    """What is not given stays as it is."""
    named = present or NamedKey(key=new_key())
    if wish.key_value is not None:
        named = replace(named, key=wish.key_value)
    if wish.expires_at is not UNSET:
        named = replace(named, expires_at=wish.expires_at)
    if wish.rate_limit is not UNSET:
        named = replace(named, rate_limit=_rate_limit(wish.rate_limit))
    return named


def _rate_limit(limit: Limit | None) -> RateLimit | None:
    return None if limit is None else RateLimit(requests_per_second=limit.requests_per_second, burst=limit.burst)


def _settings(named: NamedKey | None) -> dict[str, Any] | None:
    """All but the key."""
    return None if named is None else {"expiresAt": named.expires_at, "rateLimit": named.rate_limit}


def _view(keys: Keys) -> KeysView:
    return KeysView(
        primary_key=keys.primary_key,
        secondary_key=keys.secondary_key,
        named_keys=dict(keys.named_keys),
        version=keys.version,
    )


OPERATIONS = (
    Operation(
        method="GET",
        path=_KEYS,
        name="showKeys",
        summary="An endpoint's keys.",
        act=show_keys,
        reply=KeysView,
        is_audited=True,
    ),
    Operation(
        method="POST",
        path=f"{_KEYS}/{{key}}/regenerate",
        name="regenerateKey",
        summary="Replace the primary key, the secondary, or a named one.",
        act=regenerate_key,
        reply=KeysView,
        body=KeyRegeneration,
        also=(409, 422),
        is_audited=True,
    ),
    Operation(
        method="PUT",
        path=f"{_KEYS}/{{key}}",
        name="putKey",
        summary="Make a named key, or change one.",
        act=put_key,
        reply=KeysView,
        body=KeySettings,
        also=(201, 409, 422),
        is_audited=True,
    ),
    Operation(
        method="DELETE",
        path=f"{_KEYS}/{{key}}",
        name="removeKey",
        summary="Remove a named key: its consumer is cut off.",
        act=remove_key,
        reply=KeysView,
        also=(409, 422),
        is_audited=True,
    ),
)
