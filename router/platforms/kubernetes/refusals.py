"""What does a refusal of the API server mean to an administrator?

Pure. One place that turns the ApiErrors of administration into Unknown, NotPermitted and Unfit. A 409 is left to who
asked: it may ask again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from router.platforms.administration import NotPermitted, Unfit, Unknown
from router.platforms.kubernetes.api import ApiError

TRIES = 10
"""A change that somebody else was faster with is begun anew, so often in all."""


@contextmanager
def told(what: str, *, missing: str, right: str) -> Iterator[None]:
    """`what` was to be done, as in "change the keys of iris". `missing`: what a 404 means; `right`: who gives the one
    that a 403 asks for."""
    try:
        yield
    except ApiError as error:
        if error.status == 403:
            raise NotPermitted(f"this process may not {what}: {error.what}; {right}") from error
        if error.status == 404:
            raise Unknown(missing) from error
        if error.status in (400, 422):
            raise Unfit(f"the API server does not {what}: {error.what}") from error
        raise
