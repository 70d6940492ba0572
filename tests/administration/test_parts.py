"""administration/parts.py: only what the router knows is asked of a platform."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from router.administration.parts import Parts
from router.platforms import PlatformError
from router.platforms.administration import Unknown
from tests.administration.office import Office
from tests.core.nouns import an_endpoint


@pytest.fixture
def parts() -> Parts:
    office = Office()
    return Parts(office, office.administration, office.tokens, office.revocations)


async def test_what_is_known_is_found(parts: Parts) -> None:
    assert parts.endpoint("iris").name == "iris"
    assert parts.deployment("iris", "green").key == "iris/green"
    assert parts.replica("two").uid == "two"
    assert await parts.load_of(parts.deployment("iris", "blue")) is not None
    assert await parts.load_of(parts.deployment("iris", "green")) is None


@pytest.mark.parametrize("name", ["", "Iris", "iris ", "../iris", "iri"])
def test_what_is_not_known_is_told_with_what_is(parts: Parts, name: str) -> None:
    with pytest.raises(Unknown, match="known are iris, wine"):
        parts.endpoint(name)
    with pytest.raises(Unknown, match="known are blue, green"):
        parts.deployment("iris", name)
    with pytest.raises(Unknown, match="there is no replica"):
        parts.replica(name)


def test_a_list_of_names_is_short() -> None:
    office = Office()
    endpoints = tuple(an_endpoint(f"model-{each:03}") for each in range(50))
    office.platform.publish(replace(office.platform.snapshot, endpoints=endpoints))
    parts = Parts(office, office.administration, office.tokens, office.revocations)
    with pytest.raises(Unknown, match=r"model-000, .*, model-019 and 30 more$"):
        parts.endpoint("iris")
    office.platform.publish(replace(office.platform.snapshot, endpoints=()))
    with pytest.raises(Unknown, match=r"known are none$"):
        parts.endpoint("iris")


def test_before_the_first_snapshot_nothing_is_unknown(parts: Parts) -> None:
    assert isinstance(parts.served, Office)
    parts.served.has_snapshot = False
    for ask in (lambda: parts.endpoint("iris"), lambda: parts.replica("two")):
        with pytest.raises(PlatformError, match="no endpoints are known yet") as told:
            ask()
        assert not isinstance(told.value, Unknown)
