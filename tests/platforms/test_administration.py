"""administration.py: errors are the platform's, and what is sealed is not shown. What platforms do alike is in
tests/contract/test_administration.py."""

from __future__ import annotations

import pytest
from rich.pretty import pretty_repr

from router.platforms import PlatformError
from router.platforms.administration import Conflict, NotPermitted, Sealed, Unfit, Unknown


@pytest.mark.parametrize("error", [Unknown, Conflict, Unfit, NotPermitted])
def test_who_looks_for_no_difference_catches_all(error: type[PlatformError]) -> None:
    with pytest.raises(PlatformError, match="so it is"):
        raise error("so it is")


def test_what_is_sealed_is_not_shown() -> None:
    sealed = Sealed(b"very secret", "7")
    for shown in (repr(sealed), str(sealed), f"{sealed}", pretty_repr(sealed), repr([sealed])):
        assert "secret" not in shown
    assert "version='7'" in repr(sealed)
    assert sealed == (b"very secret", "7")
