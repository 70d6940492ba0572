"""options.py: options that several commands have, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from router.options import as_json, cluster_settings, in_cluster, option, state_dir
from router.platforms import ClusterSettings

seen: dict[str, Any] = {}


@click.command()
@option("--platform", default="kubernetes")
@in_cluster
@state_dir("Where things are.")
@as_json
def command(
    platform: str, namespaces: tuple[str, ...], namespace: str | None, adopt_v1: bool, vault: str, **rest: Any
) -> None:
    seen.update(rest, cluster=cluster_settings(platform, namespaces, namespace, adopt_v1, vault))


def run(*words: str, **env: str) -> Result:
    seen.clear()
    return CliRunner().invoke(command, words, env=env, catch_exceptions=False)


def test_where_nothing_is_said_all_of_the_cluster_is_looked_at() -> None:
    assert run().exit_code == 0
    assert seen == {"cluster": ClusterSettings(), "state_dir": Path(".scoregate"), "as_json": False}


def test_help_shows_what_is_when_an_option_is_not_given() -> None:
    text = " ".join(run("--help").output.split())
    assert "default: (all)" in text
    assert "default: (this process's own)" in text
    assert 'default: ""' not in text


@pytest.mark.parametrize("way", ["flags", "environment"])
def test_what_is_looked_at_in_a_cluster(way: str) -> None:
    flags = ("--namespaces", "models, other,models", "--namespace", "home", "--no-adopt-v1", "--vault", "mine")
    environment = {
        "SCOREGATE_NAMESPACES": "models, other,models",
        "SCOREGATE_NAMESPACE": "home",
        "SCOREGATE_ADOPT_V1": "false",
        "SCOREGATE_VAULT": "mine",
    }
    result = run(*flags) if way == "flags" else run(**environment)
    assert result.exit_code == 0, result.output
    assert seen["cluster"] == ClusterSettings(("models", "other"), home="home", adopt_v1=False, vault="mine")


def test_namespaces_may_be_given_one_by_one() -> None:
    assert run("--namespaces", "a", "--namespaces", "b,c").exit_code == 0
    assert seen["cluster"].namespaces == ("a", "b", "c")


@pytest.mark.parametrize(
    "words",
    [
        ("--namespaces", "Models"),
        ("--namespaces", "a,-b"),
        ("--namespaces", "a_b"),
        ("--namespaces", "a" * 64),
        ("--namespace", "a.b"),
        ("--namespace", "a\n"),
    ],
)
def test_what_is_no_namespace_is_a_usage_error(words: tuple[str, str]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert f"Invalid value for '{words[0]}'" in result.output
    assert "must be the name of a namespace" in result.output


@pytest.mark.parametrize("name", ["", "Vault", "a_b", "-a", "a" * 254])
def test_what_is_no_name_of_an_object_is_a_usage_error(name: str) -> None:
    result = run("--vault", name)
    assert result.exit_code == 2
    assert "must be the name of a Kubernetes object" in " ".join(result.output.split())


@pytest.mark.parametrize("words", [("--namespaces", "a"), ("--namespace", "a"), ("--no-adopt-v1",), ("--vault", "a")])
def test_options_of_a_cluster_say_nothing_elsewhere(words: tuple[str, ...]) -> None:
    result = run("--platform", "local", *words)
    assert result.exit_code == 2
    assert f"{words[0]} is for --platform kubernetes; the platform is local." in result.output


def test_a_pod_of_its_own_is_a_routers_in_a_cluster() -> None:
    assert cluster_settings("kubernetes", (), None, True, "v", "router-1").pod == "router-1"
    with pytest.raises(click.UsageError, match="--pod is for --platform kubernetes; the platform is static"):
        cluster_settings("static", (), None, True, ClusterSettings().vault, "router-1")
