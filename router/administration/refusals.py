"""Why was an administrator's request not done, in HTTP's terms?

Pure. The one place that knows which error is which status; messages name the thing, the value and the rule, and never
a key.
"""

from __future__ import annotations

from collections.abc import Mapping

from router.core.errors import InternalFault, RouterError
from router.core.keys import BadKey, NoSuchKey
from router.platforms import PlatformError
from router.platforms.administration import Conflict, NotPermitted, Unfit, Unknown

MAX_MESSAGE_CHARACTERS = 1_000

_BY_KIND: tuple[tuple[type[Exception], int, str], ...] = (
    (Unknown, 404, "NotFound"),
    (NoSuchKey, 404, "NotFound"),
    (Conflict, 409, "Conflict"),
    (Unfit, 422, "Unfit"),
    (BadKey, 422, "Unfit"),
    (NotPermitted, 403, "NotPermitted"),
    (PlatformError, 503, "PlatformUnavailable"),
)
"""The first that fits counts."""


class Refusal(Exception):
    """The reply that says so: `status`, `code`, `message`, `headers`."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def shown(self) -> dict[str, dict[str, str]]:
        """The reply's body."""
        message = self.message
        if len(message) > MAX_MESSAGE_CHARACTERS:
            message = message[: MAX_MESSAGE_CHARACTERS - 1] + "…"
        return {"error": {"code": self.code, "message": message}}


def bad_request(message: str) -> Refusal:
    return Refusal(400, "BadRequest", message)


def refusal_of(error: Exception) -> Refusal | None:
    """None for an error that nobody foresaw: the log has to have it."""
    if isinstance(error, Refusal):
        return error
    for kind, status, code in _BY_KIND:
        if isinstance(error, kind):
            return Refusal(status, code, str(error))
    if isinstance(error, RouterError):
        headers = {name.decode(): value.decode() for name, value in error.headers}
        return Refusal(error.status, error.code, error.message, headers)
    return None


def fault() -> Refusal:
    """The router's own."""
    error = InternalFault()
    return Refusal(error.status, error.code, error.message)
