"""refusals.py: what the API server refuses is told in the words that administration has for it."""

from __future__ import annotations

import pytest

from router.platforms import PlatformError
from router.platforms.administration import NotPermitted, Unfit, Unknown
from router.platforms.kubernetes.api import ApiError
from router.platforms.kubernetes.refusals import told


def asked(status: int) -> None:
    with told("change it", missing="it is gone", right="ask the owner"):
        raise ApiError("PATCH /x", f"the API server answers {status}", status=status)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (403, NotPermitted, "this process may not change it: the API server answers 403; ask the owner"),
        (404, Unknown, "it is gone"),
        (400, Unfit, "the API server does not change it: the API server answers 400"),
        (422, Unfit, "the API server does not change it: the API server answers 422"),
    ],
)
def test_a_refusal_has_a_meaning(status: int, kind: type[PlatformError], words: str) -> None:
    with pytest.raises(kind) as caught:
        asked(status)
    assert str(caught.value) == words


@pytest.mark.parametrize("status", [0, 401, 409, 429, 500, 503])
def test_what_says_nothing_of_the_change_is_told_as_it_is(status: int) -> None:
    with pytest.raises(ApiError) as caught:
        asked(status)
    assert caught.value.status == status
