"""config.py: what can't be is refused with a message that names the setting, the value and the rule."""

from __future__ import annotations

import ipaddress
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from router.config import ConfigError, Limits, RouterConfig, networks

LEAST = {setting.name: setting.metadata["least"] for setting in fields(Limits)}


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_each_limit_takes_its_least_and_refuses_one_less(name: str, least: int) -> None:
    assert getattr(Limits(**{name: least}), name) == least
    with pytest.raises(ConfigError, match=rf"^{name} is {least - 1}; it must be at least {least}\.$"):
        Limits(**{name: least - 1})


def test_every_limit_says_what_it_is() -> None:
    assert all(setting.metadata["help"].endswith(".") for setting in fields(Limits))


def config(**settings: Any) -> RouterConfig:
    return RouterConfig(**{"platform": "static", "state_dir": Path("s"), "file": Path("f")} | settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"file": None}, "--platform static needs --file"),
        ({"platform": "local"}, "--file is for --platform static"),
        ({"connect_timeout_ms": 0}, "connect_timeout_ms is 0; it must be at least 1."),
        ({"replica_idle_ms": 0}, "replica_idle_ms is 0; it must be at least 1."),
        ({"drain_timeout_ms": 0}, "drain_timeout_ms is 0; it must be at least 1."),
        (
            {"host": "0.0.0.0"},
            "--host is 0.0.0.0, where keys and data would cross a network as plain HTTP. Serve HTTPS",
        ),
        ({"host": "::"}, "--host is ::, "),
        ({"host": "10.1.2.3"}, "--host is 10.1.2.3, "),
        ({"host": "router.example"}, "--host is router.example, "),
        ({"client_ca": Path("ca")}, "--client-ca is for HTTPS; it needs --tls-dir."),
        ({"plain_http": "redirect"}, "--plain-http redirect sends clients to HTTPS; it needs --tls-dir."),
        (
            {"tls_dir": Path("t"), "plain_http": "redirect", "allow_insecure_connections": True},
            "--plain-http redirect and --allow-insecure-connections: plain HTTP can't do both.",
        ),
        ({"tls_dir": Path("t"), "tls_port": 8080}, "--port and --tls-port are both 8080; they must differ."),
        ({"drain_grace_ms": -1}, "drain_grace_ms is -1; it must be at least 0."),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config(**settings)
    assert str(refused.value).startswith(message)


def test_the_defaults_are_a_loopback_router_that_drains() -> None:
    made = config()
    assert (made.host, made.port, made.admin_port, made.access_log) == ("127.0.0.1", 8080, 9001, "-")
    assert config(drain_grace_ms=0).drain_grace_ms == 0
    assert config(platform="local", file=None).file is None
    assert made.replica_idle_ms < 2_000, "gunicorn drops an idle connection after 2 s"


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "127.0.0.1"},
        {"host": "127.9.9.9"},
        {"host": "::1"},
        {"host": "localhost"},
        {"host": "0.0.0.0", "allow_insecure_connections": True},
        {"host": "0.0.0.0", "tls_dir": Path("t")},
        {"host": "0.0.0.0", "tls_dir": Path("t"), "allow_insecure_connections": True},
        {"tls_dir": Path("t"), "client_ca": Path("ca"), "plain_http": "redirect"},
        {"tls_dir": Path("t"), "port": 0, "tls_port": 0},
        {"port": 8443},
    ],
)
def test_keys_cross_no_network_in_the_clear_unless_that_is_said(settings: dict[str, Any]) -> None:
    assert config(**settings).host == settings.get("host", "127.0.0.1")


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        config().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        (" , ", ()),
        ("10.0.0.0/8", (ipaddress.ip_network("10.0.0.0/8"),)),
        (" 127.0.0.1 ,::1", (ipaddress.ip_network("127.0.0.1/32"), ipaddress.ip_network("::1/128"))),
    ],
)
def test_networks_are_a_list_with_commas(text: str, expected: tuple[Any, ...]) -> None:
    assert networks(text) == expected


@pytest.mark.parametrize("text", ["proxy", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8;::1"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"trusted proxies are addresses or networks, as in 10\.0\.0\.0/8"):
        networks(text)
