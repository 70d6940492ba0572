"""Credentials, other origins and TLS to replicas, as they are declared."""

from __future__ import annotations

from typing import Any

import pytest

from router.core.declare import DeclarationError, declared_endpoints, effective_settings
from router.core.model import Cors, Endpoint, JwtSettings, ReplicaTls, TokenSettings

ISSUER = "https://login.example.com/tenant/v2.0"
JWT = {"issuer": ISSUER, "audiences": ["api://iris"]}
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def document(*, tls: object = None, **spec: Any) -> dict[str, Any]:
    deployment = {"name": "blue", "addresses": ["10.0.0.5:5001"], "tls": tls}
    return {
        "apiVersion": "scoregate.io/v1",
        "kind": "InferenceEndpoint",
        "metadata": {"name": "iris"},
        "spec": {**spec, "deployments": [deployment]},
    }


def declared(**spec: Any) -> Endpoint:
    (endpoint,) = declared_endpoints([document(**spec)])
    return endpoint


def problems(**spec: Any) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        declared_endpoints([document(**spec)])
    return [problem.removeprefix("iris: ") for problem in caught.value.problems]


def test_tokens_of_our_own_beside_keys() -> None:
    endpoint = declared(auth={"mode": "token", "alsoAccepts": ["key"], "token": {"refreshAfter": 60}})
    assert [endpoint.accepts(mode) for mode in ("key", "token", "jwt", "none")] == [True, True, False, False]
    assert endpoint.token == TokenSettings(refresh_after=60, valid_past_refresh=43_200)
    assert declared(auth={"mode": "key"}).accepts("token") is False


def test_tokens_of_an_issuer() -> None:
    given = {**JWT, "requiredScopes": ["score"], "requiredClaims": {"roles": ["scorer", "admin"]}, "clockSkew": 5}
    endpoint = declared(auth={"mode": "jwt", "jwt": given})
    assert endpoint.jwt == JwtSettings(
        issuer=ISSUER,
        audiences=("api://iris",),
        required_scopes=("score",),
        required_claims={"roles": ("scorer", "admin")},
        clock_skew=5,
    )
    assert "HS256" not in endpoint.jwt.algorithms


def test_other_origins_and_tls_to_replicas() -> None:
    endpoint = declared(cors={"allowOrigins": ["https://app.example.com"]}, tls={"serverName": "iris", "caBundle": PEM})
    assert endpoint.cors == Cors(allow_origins=("https://app.example.com",))
    assert endpoint.deployments[0].tls == ReplicaTls(server_name="iris", ca_bundle=PEM)
    assert declared(tls={}).deployments[0].tls == ReplicaTls()
    assert declared().deployments[0].tls is None


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"auth": {"mode": "none"}},
        {"auth": {"mode": "token", "alsoAccepts": ["key", "jwt"], "jwt": JWT}},
        {"auth": {"mode": "jwt", "jwt": {**JWT, "caBundle": PEM, "requiredClaims": {"roles": ["a"]}}}},
        {"cors": {"allowOrigins": ["*"], "allowHeaders": ["*"], "maxAge": 0}, "tls": {"caBundle": PEM}},
    ],
)
def test_effective_settings_load_again_to_the_same(spec: dict[str, Any]) -> None:
    endpoint = declared(**spec)
    assert declared_endpoints([effective_settings(endpoint)]) == (endpoint,)


@pytest.mark.parametrize(
    ("auth", "problem"),
    [
        ({"mode": "aml_token"}, "spec.auth.mode: 'aml_token', but it must be key, token, jwt or none"),
        (
            {"mode": "none", "alsoAccepts": ["key"]},
            "spec.auth.alsoAccepts[0]: 'key', but it must be left out with mode none, which lets everybody in",
        ),
        (
            {"mode": "key", "alsoAccepts": ["token", "key"]},
            "spec.auth.alsoAccepts[1]: 'key', but it must be another than mode and than those before it",
        ),
        (
            {"mode": "key", "alsoAccepts": ["token", "token"]},
            "spec.auth.alsoAccepts[1]: 'token', but it must be another than mode and than those before it",
        ),
        (
            {"mode": "key", "alsoAccepts": ["none"]},
            "spec.auth.alsoAccepts[0]: 'none', but it must be key, token or jwt",
        ),
        (
            {"mode": "jwt"},
            "spec.auth.jwt: missing, but it is required where tokens of an issuer are accepted",
        ),
        (
            {"mode": "key", "jwt": JWT},
            "spec.auth.jwt: given, but it must be left out where neither mode nor alsoAccepts has jwt",
        ),
        (
            {"mode": "jwt", "jwt": JWT, "token": {}},
            "spec.auth.token: given, but it must be left out where neither mode nor alsoAccepts has token",
        ),
    ],
)
def test_modes_that_do_not_go_together(auth: dict[str, Any], problem: str) -> None:
    assert problems(auth=auth) == [problem]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("issuer", "login.example.com"),
        ("issuer", "http://login.example.com"),
        ("issuer", "http://localhost.example.com"),
        ("issuer", "http://127.0.0.1.example.com/"),
        ("issuer", "https://login.example.com/a b"),
        ("issuer", "https://user:hunter2@login.example.com"),
        ("issuer", "https://login.example.com:123456"),
        ("issuer", "https://"),
        ("jwksUri", "file:///etc/passwd"),
        ("audiences", []),
        ("audiences", ["a b"]),
        ("algorithms", []),
        ("algorithms", ["none"]),
        ("algorithms", ["HS256"]),
        ("clockSkew", 601),
        ("clockSkew", -1),
        ("requiredClaims", {"roles": []}),
        ("requiredScopes", [""]),
        ("requiredScopes", ['a"b']),
        ("requiredScopes", ["a\\b"]),
        ("caBundle", "MIIB"),
    ],
)
def test_what_an_issuer_may_not_be(setting: str, value: object) -> None:
    (problem,) = problems(auth={"mode": "jwt", "jwt": {**JWT, setting: value}})
    assert problem.startswith(f"spec.auth.jwt.{setting}")
    assert ", but it must " in problem


@pytest.mark.parametrize(
    "origin",
    ["app.example.com", "https://app.example.com/", "https://app.example.com/x", "https://", "", "https://a b"],
)
def test_an_origin_is_one_as_browsers_send_it(origin: str) -> None:
    (problem,) = problems(cors={"allowOrigins": [origin]})
    assert problem.startswith("spec.cors.allowOrigins[0]: ")


def test_names_and_numbers_of_cors_and_tls() -> None:
    assert len(problems(cors={"allowOrigins": [], "allowHeaders": ["a b"], "maxAge": 86_401})) == 3
    assert len(problems(tls={"serverName": "a/b", "caBundle": ""})) == 2
    auth = {"mode": "token", "token": {"refreshAfter": 0, "validPastRefresh": 31_622_401}}
    assert problems(auth=auth) == [
        "spec.auth.token.refreshAfter: 0, but it must be 1 to 31622400: a year",
        "spec.auth.token.validPastRefresh: 31622401, but it must be 0 to 31622400: a year",
    ]


def test_http_is_for_this_very_machine() -> None:
    for issuer in ("http://localhost:8081/realms/iris", "http://127.0.0.1", "http://[::1]:80/"):
        assert declared(auth={"mode": "jwt", "jwt": {**JWT, "issuer": issuer}}).jwt is not None
