"""In which steps does a client score, and get its keys and tokens?

Pure. What there is to do comes out of a generator, step by step, and what came of it goes back in: so that a client
which waits and one which awaits are the same one. Who does the steps is in __init__.py.

1. A credential that was given is sent as it is. Else, with access to the administration, the endpoint says what it
   takes: its primary key, or a token, which is replaced once it is due.
2. One that the router refuses is fetched anew, once: it may have been regenerated, or revoked; the model has not seen
   the request. A new primary key may come before the router has heard of it: then the secondary is good.
3. While the next token can't be had, the present one is good until it expires.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeVar

from router.administrator import calls
from router.administrator.calls import AdministrationError, Call
from router.administrator.shapes import EndpointView, KeysView, TokenV1
from router.client.scoring import Replied, Send, is_refused, is_sendable, scoring, swagger, value
from router.core.model import AuthMode
from router.core.rules import is_name

AGAIN_S = 30.0
"""So long after a token could not be had, the next is asked for."""
Result = TypeVar("Result")


class Credential(NamedTuple):
    """Times in seconds since the epoch."""

    text: str
    spare: str | None = None
    """Another one, where it is refused."""
    refresh_at_s: float = math.inf
    expires_at_s: float = math.inf

    def __repr__(self) -> str:
        return "Credential(…)"


class Renew(NamedTuple):
    """Do the steps of `renewal(stale)`, and one such at a time."""

    stale: Credential | None


Step = Send | Call[Any] | Renew
"""A request to the endpoint, which gives Replied; a call of the administration, which gives its reply; or Renew."""
Steps = Generator[Step, Any, Result]


class WebserviceSteps:
    """`may_ask`: whether there is access to the administration. `clock`: seconds since the epoch."""

    def __init__(
        self, name: str, *, key: str | None, token: str | None, may_ask: bool, clock: Callable[[], float]
    ) -> None:
        if not is_name(name):
            raise ValueError(f"{name[:40]!r} is not the name of an endpoint")
        if key is not None and token is not None:
            raise ValueError("a key and a token are given, but one of them is sent")
        for what, credential in (("key", key), ("token", token)):
            if credential is not None and not is_sendable(credential):
                raise ValueError(f"the {what} is empty, or has characters other than printable ASCII without spaces")
        self.name = name
        self._given = key if key is not None else token
        self._may_ask = may_ask
        self._clock = clock
        self._held: Credential | None = None

    def score(self, input_data: object, deployment: str | None) -> Steps[Any]:
        return self._value(lambda credential: scoring(self.name, input_data, deployment, credential))

    def get_swagger(self) -> Steps[Any]:
        return self._value(lambda credential: swagger(self.name, credential))

    def get_keys(self) -> Steps[tuple[str, str]]:
        keys: KeysView = yield calls.keys(self.name)
        return keys.primary_key, keys.secondary_key

    def regen_key(self, key: Literal["Primary", "Secondary"], set_key: str | None) -> Steps[None]:
        if key.lower() not in ("primary", "secondary"):
            raise ValueError(f"the key is {key[:40]!r}, but it must be Primary or Secondary")
        yield calls.regenerate_key(self.name, key.lower(), set_key)

    def get_token(self) -> Steps[tuple[str, datetime]]:
        token: TokenV1 = yield calls.token_v1(self.name)
        return token.access_token, datetime.fromtimestamp(token.refresh_after, UTC)

    def renewal(self, stale: Credential | None) -> Steps[None]:
        if self._held is not stale:
            return  # somebody else was faster
        try:
            self._held = yield from self._fetched()
        except AdministrationError:
            now_s = self._clock()
            if stale is None or now_s >= stale.expires_at_s:
                raise
            self._held = stale._replace(refresh_at_s=now_s + AGAIN_S)

    def _value(self, request: Callable[[str], Send]) -> Steps[Any]:
        """What the endpoint replies to it."""
        if self._given is not None or not self._may_ask:
            return value((yield request(self._given or "")))
        held = yield from self._current()
        reply: Replied = yield request(held.text)
        if is_refused(reply):
            yield Renew(held)
            reply = yield from self._again(request, held, reply)
        return value(reply)

    def _again(self, request: Callable[[str], Send], refused: Credential, reply: Replied) -> Steps[Replied]:
        fresh = self._held
        assert fresh is not None  # else the step has raised
        for text, spare in ((fresh.text, fresh.spare), (fresh.spare, fresh.text)):
            if text is not None and text != refused.text:
                reply = yield request(text)
                if not is_refused(reply):
                    self._held = fresh._replace(text=text, spare=spare)
                    break
        return reply

    def _current(self) -> Steps[Credential]:
        held = self._held
        if held is None or self._clock() >= held.refresh_at_s:
            yield Renew(held)
        assert self._held is not None  # else the step has raised
        return self._held

    def _fetched(self) -> Steps[Credential]:
        view: EndpointView = yield calls.endpoint(self.name)
        kind = _kind(view)
        if kind == "key":
            keys: KeysView = yield calls.keys(self.name)
            return Credential(keys.primary_key, spare=keys.secondary_key)
        if kind == "token":
            token: TokenV1 = yield calls.token_v1(self.name)
            return Credential(token.access_token, refresh_at_s=token.refresh_after, expires_at_s=token.expiry_on)
        if kind == "none":
            return Credential("")
        message = f"Endpoint {self.name} takes tokens of its issuer: get one there, and give it as token=."
        raise AdministrationError(message, code="NoCredential")


def _kind(view: EndpointView) -> AuthMode:
    """Of the credential to get: the endpoint's own mode's, but for a token of somebody else's."""
    if view.auth_mode != "jwt":
        return view.auth_mode
    return next((mode for mode in ("token", "key") if mode in view.also_accepts), "jwt")
