"""What can be asked of a router's administration?

Pure. Each call of the HTTP API as data: its method, its path, what it sends and what its reply is read as. Who sends it
(one that waits, one that awaits) is no matter here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from router.administrator.shapes import (
    DeploymentView,
    Drained,
    EndpointView,
    KeysView,
    Level,
    LogLevel,
    ReplicaView,
    Revoked,
    SigningKeyView,
    TokenV1,
    TokenV2,
)
from router.core.model import RateLimit

ROOT = "/admin/v1"

Reply = TypeVar("Reply")


class Call(NamedTuple, Generic[Reply]):
    """One request. `kind`: what its reply is."""

    method: str
    path: str
    kind: type[Reply]
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"Call({self.method} {self.path})"  # the body may hold a key


class AdministrationError(Exception):
    """It was not done, or nobody knows; the message says why, and what to do about it.

    `status` is the reply's, None where there was none. `code` is the API's, as in `Conflict`; `Unreachable` where there
    was no reply, `BadReply` where it was no router's, `NoAccess` where no request could be made.
    """

    def __init__(self, message: str, *, code: str, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status


def endpoints() -> Call[list[EndpointView]]:
    return Call("GET", f"{ROOT}/endpoints", list[EndpointView])


def endpoint(name: str) -> Call[EndpointView]:
    return Call("GET", _endpoint(name), EndpointView)


def deployment(endpoint: str, name: str) -> Call[DeploymentView]:
    return Call("GET", _deployment(endpoint, name), DeploymentView)


def replicas(endpoint: str, deployment: str) -> Call[list[ReplicaView]]:
    return Call("GET", f"{_deployment(endpoint, deployment)}/replicas", list[ReplicaView])


def decisions(endpoint: str, deployment: str, last: int) -> Call[list[Any]]:
    """The autoscaler's, the newest last."""
    return Call("GET", f"{_deployment(endpoint, deployment)}/decisions?last={last}", list[Any])


def scale(endpoint: str, deployment: str, replicas: int, for_s: int) -> Call[DeploymentView]:
    """So many by hand, for so long."""
    body = _json({"replicas": replicas, "forSeconds": for_s})
    return Call("PUT", f"{_deployment(endpoint, deployment)}/scale", DeploymentView, body)


def release(endpoint: str, deployment: str) -> Call[DeploymentView]:
    """The load sets the number again."""
    return Call("DELETE", f"{_deployment(endpoint, deployment)}/scale", DeploymentView)


def keys(endpoint: str) -> Call[KeysView]:
    return Call("GET", f"{_endpoint(endpoint)}/keys", KeysView)


def regenerate_key(endpoint: str, key: str, value: str | None = None, version: str | None = None) -> Call[KeysView]:
    """`key` is `primary`, `secondary` or a name; without a value it is a random one. `version`: the one that the keys
    must have now, else it is a conflict."""
    return Call("POST", f"{_key(endpoint, key)}/regenerate", KeysView, _json({}, keyValue=value, version=version))


def put_key(
    endpoint: str,
    name: str,
    *,
    version: str,
    value: str | None = None,
    expires_at: datetime | UnsetType | None = UNSET,
    rate_limit: RateLimit | UnsetType | None = UNSET,
) -> Call[KeysView]:
    """Make a named key, or change one. What is not given stays as it is, None takes it away; a new key without a value
    is a random one."""
    body = _json(
        {"expiresAt": expires_at, "rateLimit": rate_limit, "version": version},
        keyValue=value,
    )
    return Call("PUT", _key(endpoint, name), KeysView, body)


def remove_key(endpoint: str, name: str) -> Call[KeysView]:
    """A named one."""
    return Call("DELETE", _key(endpoint, name), KeysView)


def token_v1(endpoint: str, subject: str | None = None) -> Call[TokenV1]:
    return Call("POST", f"{_endpoint(endpoint)}/token?api=v1", TokenV1, _json({}, subject=subject))


def token_v2(endpoint: str, subject: str | None = None) -> Call[TokenV2]:
    return Call("POST", f"{_endpoint(endpoint)}/token?api=v2", TokenV2, _json({}, subject=subject))


def revoke(endpoint: str, token_id: str | None) -> Call[Revoked]:
    """One token; None: all that were issued until now."""
    return Call("DELETE", f"{_endpoint(endpoint)}/tokens", Revoked, _json({}, tokenId=token_id))


def signing_keys() -> Call[list[SigningKeyView]]:
    return Call("GET", f"{ROOT}/signing-keys", list[SigningKeyView])


def rotate_signing_keys() -> Call[list[SigningKeyView]]:
    return Call("POST", f"{ROOT}/signing-keys/rotate", list[SigningKeyView])


def set_traffic(endpoint: str, traffic: Mapping[str, int], version: str | None = None) -> Call[EndpointView]:
    """`version`: the `traffic_version` that it must have now, else it is a conflict."""
    return Call("PUT", f"{_endpoint(endpoint)}/traffic", EndpointView, _json({"traffic": traffic}, version=version))


def drain(replica: str) -> Call[Drained]:
    return Call("POST", f"{ROOT}/replicas/{_part(replica)}/drain", Drained)


def undo_drain(replica: str) -> Call[Drained]:
    return drain(replica)._replace(method="DELETE")


def log_level() -> Call[LogLevel]:
    return Call("GET", f"{ROOT}/log-level", LogLevel)


def set_log_level(level: Level) -> Call[LogLevel]:
    return Call("PUT", f"{ROOT}/log-level", LogLevel, _json({"level": level}))


def read(call: Call[Reply], status: int, content: bytes) -> Reply:
    """What the reply says. Raises AdministrationError."""
    if status >= 300:
        raise _refusal(status, content)
    try:
        return msgspec.json.decode(content, type=call.kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # whose text might hold a piece of a key
        raise _no_router(status) from None


def _refusal(status: int, content: bytes) -> AdministrationError:
    try:
        error = msgspec.json.decode(content, type=_Refusal).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _no_router(status)
    return AdministrationError(error.message, code=error.code, status=status)


class _Error(msgspec.Struct, frozen=True):
    code: str
    message: str


class _Refusal(msgspec.Struct, frozen=True):
    error: _Error


def _no_router(status: int) -> AdministrationError:
    message = f"What answers there, with status {status}, is not the internal port of a router that can be administered"
    return AdministrationError(f"{message}.", code="BadReply", status=status)


def _endpoint(name: str) -> str:
    return f"{ROOT}/endpoints/{_part(name)}"


def _deployment(endpoint: str, name: str) -> str:
    return f"{_endpoint(endpoint)}/deployments/{_part(name)}"


def _key(endpoint: str, name: str) -> str:
    return f"{_endpoint(endpoint)}/keys/{_part(name)}"


def _part(text: str) -> str:
    """One part of a path, whatever is in it: `..` would lead elsewhere, and an empty one name something else."""
    quoted = quote(text, safe="")
    return quoted.replace(".", "%2E") if quoted.strip(".") == "" else quoted


def _json(body: Mapping[str, Any], **where_given: Any) -> bytes:
    given = {name: value for name, value in where_given.items() if value is not None}
    return msgspec.json.encode({name: value for name, value in {**body, **given}.items() if value is not UNSET})
