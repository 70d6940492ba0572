"""Which endpoint, which path on the replica, and which deployment does this request mean?

Pure. A table is built from a snapshot once, never changed, and swapped whole. `match` reads the URL as it was sent,
without decoding: a name is found only in its plain spelling, and what lies behind it reaches the replica byte for
byte.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

from router.core.errors import NoRoute, NotFound
from router.core.model import Deployment, Endpoint

_V2, _V1 = b"/api/v1/endpoint/", b"/api/v1/service/"


class Match(NamedTuple):
    route: EndpointRoute
    path: bytes | None
    """On the replica; None for the deployment's scoring route, which is known only once the deployment is."""
    swagger: bool


class EndpointRoute:
    """One endpoint and its ways to choose a deployment."""

    __slots__ = ("_by_header", "_cumulative", "_weighted", "endpoint")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        by_name = {deployment.name: deployment for deployment in endpoint.deployments}
        weighted = [(by_name[name], weight) for name, weight in endpoint.weights if weight > 0]
        self._by_header = {name.encode(): deployment for name, deployment in by_name.items()}
        self._weighted = [deployment for deployment, _ in weighted]
        self._cumulative = list(accumulate(weight for _, weight in weighted))

    def choose(self, forced: bytes | None, chance: float) -> Deployment:
        """The deployment named by the header `azureml-model-deployment`, else one picked by weight.

        `chance`: uniform in [0, 1). Raises NoRoute.
        """
        if forced is not None:
            deployment = self._by_header.get(forced)
            if deployment is None:
                raise NoRoute
            return deployment
        weighted = self._weighted
        if len(weighted) == 1:
            return weighted[0]
        if not weighted:
            raise NoRoute
        return weighted[bisect_right(self._cumulative, chance * self._cumulative[-1])]


class RouteTable:
    """All endpoints, by URL."""

    __slots__ = ("_by_name", "_exact")

    def __init__(self, endpoints: Iterable[Endpoint] = ()) -> None:
        self._by_name = {endpoint.name.encode(): EndpointRoute(endpoint) for endpoint in endpoints}
        self._exact: dict[bytes, Match] = {}
        for name, route in self._by_name.items():
            for prefix in (_V1, _V2):
                self._exact[prefix + name + b"/score"] = Match(route, None, False)
                self._exact[prefix + name + b"/swagger.json"] = Match(route, b"/swagger.json", True)

    def match(self, path: bytes) -> Match:
        """`path`: raw, without the query. Raises NotFound, naming what is wrong with it."""
        match = self._exact.get(path)
        if match is not None:
            return match
        if path.startswith(_V2):
            name, slash, rest = path[len(_V2) :].partition(b"/")
            route = self._by_name.get(name)
            if route is not None and slash:
                return Match(route, b"/" + rest, False)
        elif path.startswith(_V1):
            name = path[len(_V1) :].partition(b"/")[0]
            route = self._by_name.get(name)
        else:
            raise NotFound("Scoring URLs are /api/v1/endpoint/<name>/score and /api/v1/service/<name>/score.")
        shown = name[:64].decode("ascii", "backslashreplace")
        if route is None:
            raise NotFound(f"There is no endpoint named {shown}.")
        raise NotFound(f"Endpoint {shown} has no such path: score and swagger.json are served.")
