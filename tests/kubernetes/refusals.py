"""How does a Kubernetes API server say no?

Pure. Each refusal is a `Status` object with the code, reason, message and details that v1.20 and v1.36 send.
"""

from __future__ import annotations

from typing import Any

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
REQUIRED = "FieldValueRequired"
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
TOKEN_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results."
)


class Refusal(Exception):
    """Answered as a `Status`; `status` is its body."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        details: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s
        self.status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata or {},
            "status": "Failure",
            "message": message,
            "reason": REASONS.get(code, "") if reason is None else reason,
            **({} if details is None else {"details": details}),
            "code": code,
        }


class PageNotFound(Exception):
    """A path below a group or version that is not installed: 404 in plain text, no `Status`."""


def _details(plural: str, group: str, name: str) -> dict[str, Any]:
    return {"name": name, **({"group": group} if group else {}), "kind": plural}


def qualified(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(plural: str, group: str, name: str) -> Refusal:
    return Refusal(404, f'{qualified(plural, group)} "{name}" not found', details=_details(plural, group, name))


def no_such_resource() -> Refusal:
    return Refusal(404, "the server could not find the requested resource", details={})


def method_not_allowed() -> Refusal:
    return Refusal(405, "the server does not allow this method on the requested resource", details={})


def already_exists(plural: str, group: str, name: str) -> Refusal:
    message = f'{qualified(plural, group)} "{name}" already exists'
    return Refusal(409, message, reason="AlreadyExists", details=_details(plural, group, name))


def conflict(plural: str, group: str, name: str, what: str = MODIFIED) -> Refusal:
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {what}'
    return Refusal(409, message, details=_details(plural, group, name))


def invalid(subject: str, group: str, name: str, field: str, what: str, *, why: str = "FieldValueInvalid") -> Refusal:
    """`subject`: a kind or a plural, as the server words it; `what`: "Invalid value: -2: must be ..."."""
    causes = [{"reason": why, "message": what, "field": field}]
    message = f'{qualified(subject, group)} "{name}" is invalid: {field}: {what}'
    return Refusal(422, message, details={**_details(subject, group, name), "causes": causes})


def bad_request(message: str) -> Refusal:
    return Refusal(400, message)


def unsupported_media_type(known: bool, accepted: tuple[str, ...]) -> Refusal:
    """`known`: a patch, but of a form that this kind does not take."""
    if not known:
        return Refusal(415, "415: Unsupported Media Type", details={})
    forms = ", ".join(accepted)
    message = f"the body of the request was in an unknown format - accepted media types include: {forms}"
    return Refusal(415, message)


def unauthorized() -> Refusal:
    return Refusal(401, "Unauthorized")


def forbidden(verb: str, plural: str, group: str, namespace: str) -> Refusal:
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    message = (
        f'{qualified(plural, group)} is forbidden: User "system:anonymous" cannot {verb} resource "{plural}" '
        f'in API group "{group}" {where}'
    )
    return Refusal(403, message, details={**({"group": group} if group else {}), "kind": plural})


def expired(revision: int, oldest: int) -> Refusal:
    return Refusal(410, f"too old resource version: {revision} ({oldest})")


def token_expired(fresh: str) -> Refusal:
    return Refusal(410, TOKEN_TOO_OLD, metadata={"continue": fresh})


def too_large(revision: int, present: int) -> Refusal:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {revision}, current: {present}"
    return Refusal(504, message, details={"causes": [cause], "retryAfterSeconds": 1}, retry_after_s=1)


def not_in_the_fake(what: str) -> Refusal:
    """A real server can do it: a test that needs it must hear so, and not of another result."""
    return Refusal(501, f"the fake API server does not do {what}", reason="NotImplemented")
