"""Which endpoint, path and deployment a request means, against the rules of the contract."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from router.core.errors import NoRoute, NotFound
from router.core.model import Endpoint
from router.core.routes import EndpointRoute, RouteTable
from tests.core.nouns import an_endpoint

NO_ROUTE = (
    "No route found or no valid deployments to route to, please check that the endpoint has at least one deployment "
    "with positive weight values or use a deployment specific header to route."
)
V1, V2 = b"/api/v1/service/", b"/api/v1/endpoint/"
NAMES = ("blue", "green", "red", "black")


@st.composite
def weightings(draw: st.DrawFn) -> dict[str, int]:
    """Percent for each deployment, 100 in all."""
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=3, max_size=3)))
    bounds = [0, *cuts, 100]
    return {name: high - low for name, low, high in zip(NAMES, bounds, bounds[1:], strict=False)}


# -- deployments -----------------------------------------------------------------------------------------------


@given(weightings())
def test_each_deployment_gets_its_weight_in_the_long_run(weights: dict[str, int]) -> None:
    route = EndpointRoute(an_endpoint(weights=weights))
    sweep = [(number + 0.5) / 1_000 for number in range(1_000)]
    shares = Counter(route.choose(None, chance).name for chance in sweep)
    assert {name: shares[name] for name in NAMES} == {name: 10 * weight for name, weight in weights.items()}


@given(weightings(), st.floats(0, 1, exclude_max=True))
def test_a_deployment_without_weight_is_never_chosen_and_reached_by_header(
    weights: dict[str, int], chance: float
) -> None:
    route = EndpointRoute(an_endpoint(weights=weights))
    assert weights[route.choose(None, chance).name] > 0
    for name in NAMES:
        assert route.choose(name.encode(), chance).name == name


@pytest.mark.parametrize("chance", [0.0, 1.0 - 2**-53])
def test_the_ends_of_chance_are_somebody(chance: float) -> None:
    route = EndpointRoute(an_endpoint(weights={"blue": 0, "green": 1, "red": 99, "black": 0}))
    assert route.choose(None, chance).name == ("red" if chance else "green")


@pytest.mark.parametrize(("chance", "name"), [(0.25 - 2**-53, "blue"), (0.25, "green"), (0.75, "red")])
def test_a_share_begins_exactly_where_the_one_before_it_ends(chance: float, name: str) -> None:
    route = EndpointRoute(an_endpoint(weights={"blue": 25, "green": 50, "red": 25}))
    assert route.choose(None, chance).name == name


@pytest.mark.parametrize("forced", [b"pink", b"", b"Blue", b"blue ", b"blu\xe9", b"blue, blue"])
def test_an_unknown_deployment_is_no_route(forced: bytes) -> None:
    with pytest.raises(NoRoute) as failure:
        EndpointRoute(an_endpoint()).choose(forced, 0.5)
    assert (failure.value.status, failure.value.message) == (404, NO_ROUTE)


def test_no_positive_weight_and_none_forced_is_no_route() -> None:
    route = EndpointRoute(an_endpoint(weights={"blue": 0, "green": 0}))
    with pytest.raises(NoRoute, match="No route found"):
        route.choose(None, 0.5)
    assert route.choose(b"green", 0.5).name == "green"


# -- URLs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def table() -> RouteTable:
    return RouteTable([an_endpoint("iris"), an_endpoint("iris2")])


@pytest.mark.parametrize("prefix", [V1, V2])
@pytest.mark.parametrize("name", ["iris", "iris2"])
def test_both_prefixes_reach_the_same_endpoints(table: RouteTable, prefix: bytes, name: str) -> None:
    score = table.match(prefix + name.encode() + b"/score")
    assert (score.route.endpoint.name, score.path, score.swagger) == (name, None, False)
    swagger = table.match(prefix + name.encode() + b"/swagger.json")
    assert (swagger.route.endpoint.name, swagger.path, swagger.swagger) == (name, b"/swagger.json", True)


@pytest.mark.parametrize(
    "path",
    [
        b"/", b"//", b"/v1/chat/completions", b"/v2/models/a/infer", b"/a%2Fb", b"/%2e%2e/x", b"/../x", b"/./score",
        b"/score/", b"/Score", b"/score;a=b", b"//score", b"/%73core", b"/a\xffb", b"/swagger.json/", b"/iris/score",
    ],
)  # fmt: skip
def test_other_paths_reach_the_replica_byte_for_byte(table: RouteTable, path: bytes) -> None:
    match = table.match(V2 + b"iris" + path)
    assert (match.route.endpoint.name, match.path, match.swagger) == ("iris", path, False)


@given(st.binary(max_size=40))
def test_any_path_behind_an_endpoint_is_its_own_and_untouched(rest: bytes) -> None:
    assume(rest not in (b"score", b"swagger.json"))
    match = RouteTable([an_endpoint("iris")]).match(V2 + b"iris/" + rest)
    assert (match.path, match.swagger) == (b"/" + rest, False)


@pytest.mark.parametrize(
    "path",
    [
        b"", b"/", b"*", b"/score", b"/api/v1/endpoint", b"/api/v1/endpoint/", b"/api/v1/endpoint//score",
        b"/api/v1/endpoint/iris", b"/api/v1/endpoint/Iris/score", b"/api/v1/endpoint/ir%69s/score",
        b"/api/v1/endpoint/iris%2Fscore", b"/api/v1/endpoint/../endpoint/iris/score", b"//api/v1/endpoint/iris/score",
        b"/API/v1/endpoint/iris/score", b"/api/v2/endpoint/iris/score", b"/api/v1/endpoint/rose/score",
        b"/api/v1/service/iris", b"/api/v1/service/iris/", b"/api/v1/service/iris/other", b"/api/v1/service/rose/score",
        b"/api/v1/service/iris/score/", b"/api/v1/endpoint/\xff\x00/score", b"/api/v1/service/iris/../iris/score",
    ],
)  # fmt: skip
def test_what_is_no_url_of_an_endpoint_is_not_found(table: RouteTable, path: bytes) -> None:
    with pytest.raises(NotFound) as failure:
        table.match(path)
    assert failure.value.status == 404
    assert failure.value.message.isascii()


@given(st.binary(max_size=200))
def test_no_path_makes_match_fail_otherwise(path: bytes) -> None:
    for prefix in (b"", V1, V2):
        with pytest.raises(NotFound) as failure:
            RouteTable().match(prefix + path)
        assert len(failure.value.message) < 400


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(NotFound, match=r"^There is no endpoint named rose\.$"):
        RouteTable().match(V2 + b"rose/score")


def test_a_table_is_swapped_whole_and_never_changed() -> None:
    endpoints: list[Endpoint] = [an_endpoint("iris", weights={"blue": 100})]
    old = RouteTable(endpoints)
    endpoints[0] = an_endpoint("iris", weights={"green": 100})
    endpoints.append(an_endpoint("rose"))
    new = RouteTable(endpoints)
    assert old.match(V2 + b"iris/score").route.choose(None, 0.5).name == "blue"
    assert new.match(V2 + b"iris/score").route.choose(None, 0.5).name == "green"
    with pytest.raises(NotFound):
        old.match(V1 + b"rose/score")
    with pytest.raises(AttributeError):
        old.extra = 1  # type: ignore[attr-defined]
