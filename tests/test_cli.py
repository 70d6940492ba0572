"""cli.py: every command reads well, and every option reaches what it is for, from a flag or the environment."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoints
from pathlib import Path

import click
import pytest

from router import __version__, cli
from router.config import RouterConfig
from router.platforms import ClusterSettings, PlatformError
from router.workers import worker
from tests.command_line import failed, run
from tests.router_process import declare


def commands(group: click.Command = cli.main, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that name it, those that other packages add included."""
    yield path, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None, name
            yield from commands(command, *path, name)


COMMANDS = dict(commands())
OPTIONS = {
    (*path, option.opts[0]): option
    for path, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option) and option.name not in ("help", "version")
}


def test_the_commands_are_those_that_the_docs_name() -> None:
    assert {" ".join(path) for path in COMMANDS} == {
        "",
        "up",
        "router",
        "check",
        "status",
        "endpoints",
        "replicas",
        "decisions",
        "key",
        "key show",
        "key regenerate",
        "key add",
        "key change",
        "key remove",
        "token",
        "revoke",
        "signing-keys",
        "traffic",
        "scale",
        "drain",
        "log-level",
        "autoscaler",
        "autoscaler run",
        "explain",
        "replay",
        "import",
        "import azureml",
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_says_what_a_command_does_in_lines_that_fit(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    assert (COMMANDS[path].help or "-").split(".")[0].split("\n")[0] in " ".join(result.stdout.split())
    assert max(map(len, result.stdout.splitlines())) <= 110
    assert run(*path, "-h").stdout == result.stdout


def test_the_first_page_says_where_to_start_and_lists_every_command() -> None:
    text = run("--help").stdout
    assert all(
        f"scoregate {words} " in text
        for words in ("up FILE", "check FILE", "status", "explain NAME", "key show NAME", "import azureml FILE")
    )
    groups = [line for line in text.splitlines() if line.startswith("Commands ")]
    assert groups == [
        "Commands that run things:",
        "Commands for declarations:",
        "Commands that show things:",
        "Commands that administer:",
    ]
    lists = text.partition(groups[0])[2]
    assert "..." not in lists  # no first sentence is cut
    listed = [line.split()[0] for line in lists.splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted(path[0] for path in COMMANDS if len(path) == 1)  # one line each


def test_a_command_of_no_group_is_listed_last(monkeypatch: pytest.MonkeyPatch) -> None:
    greet = Added("greet", click.Command("greet", short_help="Says hello."))
    monkeypatch.setattr(cli, "entry_points", lambda **_: EntryPoints([greet]))  # type: ignore[list-item]
    assert run("--help").stdout.endswith("More commands:\n  greet  Says hello.\n")


@pytest.mark.parametrize(("path", "option"), OPTIONS.items(), ids=[" ".join(path) for path in OPTIONS])
def test_help_shows_each_option_with_what_it_is_for_and_its_variable(
    path: tuple[str, ...], option: click.Option
) -> None:
    variable = "SCOREGATE_" + path[-1].removeprefix("--").replace("-", "_").upper()
    assert option.envvar == variable
    assert option.help
    text = " ".join(run(*path[:-1], "--help").stdout.split())
    assert path[-1] in text
    assert f"env var: {variable}" in text
    assert " ".join(option.help.split()) in text


def test_the_version_is_the_packages() -> None:
    assert run("--version").stdout == f"scoregate, version {__version__}\n"


def test_an_unknown_command_or_option_is_a_usage_error() -> None:
    assert run("serve").exit_code == run("status", "--nope").exit_code == run("key", "rotate").exit_code == 2


class Added:
    """Stands for an entry point."""

    def __init__(self, name: str, found: click.Command | None) -> None:
        self.name = name
        self.loaded = 0
        self._found = found

    def load(self) -> click.Command:
        self.loaded += 1
        if self._found is None:
            raise ImportError("no module named autoscaler")
        return self._found


def test_an_added_command_is_loaded_when_it_is_asked_for_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    greet = click.Command("greet", callback=lambda: click.echo("hello"))
    added = {"greet": Added("greet", greet), "broken": Added("broken", None), "check": Added("check", None)}

    def found(group: str, name: str | None = None) -> EntryPoints:
        assert group == "scoregate.commands"
        return EntryPoints(each for each in added.values() if name in (None, each.name))  # type: ignore[misc]

    monkeypatch.setattr(cli, "entry_points", found)
    assert run("greet").stdout == "hello\n"
    assert [each.loaded for each in added.values()] == [1, 0, 0]
    assert failed("broken").startswith("The command broken can't be loaded: no module named autoscaler")
    assert run("check", "--help").exit_code == 0
    assert added["check"].loaded == 0


# -- options of a router -------------------------------------------------------------------------------------

ROUTER_OPTIONS = {path[-1]: option for path, option in OPTIONS.items() if path[0] == "router"}
VALUES: dict[str, tuple[str, object]] = {
    "--platform": ("local", "local"),
    "--host": ("::1", "::1"),
    "--admin-host": ("::1", "::1"),
    "--peer-host": ("::1", "::1"),
    "--access-log": ("off", "off"),
    "--state-dir": ("here", Path("here")),
    "--tls-dir": ("certificate", Path("certificate")),
    "--plain-http": ("refuse", "refuse"),
    "--trusted-proxies": ("10.0.0.0/8", cli.networks("10.0.0.0/8")),
}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[RouterConfig]:
    """The configurations of the routers that commands start; none really does."""
    seen: list[RouterConfig] = []

    def note(config: RouterConfig, cluster: ClusterSettings) -> None:
        seen.append(config)
        assert (cluster == ClusterSettings()) == (config.platform != "kubernetes")

    monkeypatch.setattr(cli, "_route", note)
    return seen


IN_CLUSTER = {"--namespaces", "--namespace", "--adopt-v1", "--vault", "--pod"}
"""They are tested in test_options.py."""


WITH_OTHERS = {"--client-ca", "--allow-insecure-connections", "--proxy-protocol"}


@pytest.mark.parametrize("option", sorted(set(ROUTER_OPTIONS) - {"--file"} - WITH_OTHERS - IN_CLUSTER))
@pytest.mark.parametrize("from_environment", [False, True], ids=["flag", "environment"])
def test_each_option_reaches_the_router(started: list[RouterConfig], option: str, from_environment: bool) -> None:
    given, expected = VALUES.get(option, ("4321", 4_321))
    variable = ROUTER_OPTIONS[option].envvar
    result = run("router", **{str(variable): given}) if from_environment else run("router", option, given)
    assert result.exit_code == 0, result.output
    (config,) = started
    name = option.removeprefix("--").replace("-", "_")
    assert getattr(config if hasattr(config, name) else config.limits, name) == expected


def test_options_of_https(started: list[RouterConfig]) -> None:
    assert run("router", "--tls-dir", "t", "--client-ca", "c", "--plain-http", "redirect").exit_code == 0
    assert run("router", SCOREGATE_TLS_DIR="t", SCOREGATE_CLIENT_CA="c").exit_code == 0
    assert [(config.tls_dir, config.client_ca) for config in started] == [(Path("t"), Path("c"))] * 2
    assert [config.plain_http for config in started] == ["redirect", "refuse"]


def test_the_proxy_protocol_needs_somebody_to_believe(started: list[RouterConfig]) -> None:
    assert run("router", "--proxy-protocol", "--trusted-proxies", "10.0.0.1").exit_code == 0
    variables = {"SCOREGATE_PROXY_PROTOCOL": "true", "SCOREGATE_TRUSTED_PROXIES": "10.0.0.1"}
    assert run("router", **variables).exit_code == 0
    assert run("router").exit_code == 0
    assert [config.proxy_protocol for config in started] == [True, True, False]
    assert failed("router", "--proxy-protocol").startswith("--proxy-protocol needs --trusted-proxies: ")


def test_insecure_connections_are_allowed_by_a_flag_or_the_environment(started: list[RouterConfig]) -> None:
    assert run("router", "--host", "0.0.0.0", "--allow-insecure-connections").exit_code == 0
    assert run("router", "--host", "0.0.0.0", SCOREGATE_ALLOW_INSECURE_CONNECTIONS="true").exit_code == 0
    assert run("router", SCOREGATE_ALLOW_INSECURE_CONNECTIONS="false").exit_code == 0
    assert [config.allow_insecure_connections for config in started] == [True, True, False]
    assert failed("router", "--host", "0.0.0.0").startswith("--host is 0.0.0.0, where keys and data would cross")


def test_up_starts_its_router_with_the_same_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also with those that have no value, or none given."""
    seen: list[list[str]] = []

    async def note(file: Path, state_dir: Path, router_argv: list[str], *_: object) -> int:
        seen.append(router_argv)
        return 0

    monkeypatch.setattr(cli, "run_up", note)
    file = declare(tmp_path / "endpoints.yaml", 1)
    assert run("up", file).exit_code == 0
    assert run("up", file, "--tls-dir", "t", "--allow-insecure-connections", "--port", "1234").exit_code == 0
    plain, secure = seen
    assert "--tls-dir" not in plain
    assert "--allow-insecure-connections" not in plain
    assert secure[secure.index("--tls-dir") + 1] == "t"
    assert secure[secure.index("--port") + 1] == "1234"
    assert "--allow-insecure-connections" in secure
    assert not {"True", "False", "None"} & {*plain, *secure}
    started: list[RouterConfig] = []

    def start(config: RouterConfig, _: ClusterSettings) -> None:
        started.append(config)

    monkeypatch.setattr(cli, "_route", start)
    for words in seen:
        assert run(*words[words.index("router", 3) :]).exit_code == 0
    assert [config.allow_insecure_connections for config in started] == [False, True]


def test_what_a_router_looks_at_in_a_cluster(started: list[RouterConfig]) -> None:
    result = run("router", "--platform", "kubernetes", "--namespaces", "a,b", SCOREGATE_NAMESPACE="home")
    assert result.exit_code == 0, result.output
    assert [config.platform for config in started] == ["kubernetes"]


def test_the_platform_is_opened_with_what_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, dict[str, object]]] = []

    def note(name: str, **given: object) -> None:
        opened.append((name, given))
        raise PlatformError("no cluster here")

    monkeypatch.setattr(worker, "open_platform", note)
    assert failed("router", "--platform", "kubernetes", "--namespaces", "a,b", "--pod", "r-1") == "no cluster here\n"
    ((name, given),) = opened
    assert (name, given["cluster"]) == ("kubernetes", ClusterSettings(namespaces=("a", "b"), pod="r-1"))
    assert given["worker"] == 0
    assert not given.get("scaling")


def test_a_flag_is_stronger_than_the_environment(started: list[RouterConfig]) -> None:
    run("router", "--port", "1234", SCOREGATE_PORT="4321")
    assert started[0].port == 1_234


def test_the_file_of_the_static_platform(started: list[RouterConfig]) -> None:
    for words, env in ((("--file", "f"), {}), ((), {"SCOREGATE_FILE": "f"})):
        assert run("router", "--platform", "static", *words, **env).exit_code == 0
    assert [config.file for config in started] == [Path("f")] * 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--max-headers", "0"), "max_headers is 0; it must be at least 1."),
        (("--max-head-bytes", "1023"), "max_head_bytes is 1023; it must be at least 1024."),
        (("--drain-grace-ms", "-1"), "drain_grace_ms is -1; it must be at least 0."),
        (("--workers", "0"), "--workers is 0; it must be at least 1."),
        (
            ("--workers", "3", "--max-workers", "2"),
            "--max-workers is 2; it must be at least --workers, which is 3.",
        ),
        (
            ("--peer-port", "65534", "--max-workers", "3"),
            "--peer-port is 65534, and each of 3 workers needs one",
        ),
        (("--trusted-proxies", "me"), "trusted proxies are addresses or networks"),
        (("--platform", "static"), "--platform static needs --file"),
        (("--file", "f"), "--file is for --platform static"),
        (
            ("--platform", "kubernetes", "--file", "f"),
            "--file is for --platform static; on the kubernetes platform, `k",
        ),
    ],
)
def test_options_that_can_not_be_are_a_message(
    started: list[RouterConfig], words: tuple[str, ...], message: str
) -> None:
    assert failed("router", *words).startswith(message)
    assert started == []


def test_a_wrong_option_of_up_is_told_before_anything_starts(tmp_path: Path) -> None:
    file = declare(tmp_path / "endpoints.yaml", 1)
    assert failed("up", file, "--max-headers", "0").startswith("max_headers is 0")


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (("--port", "65536"), {}),
        (("--admin-port", "-1"), {}),
        (("--max-headers", "many"), {}),
        (("--platform", "cloud"), {}),
        ((), {"SCOREGATE_PORT": "http"}),
    ],
)
def test_options_of_a_wrong_kind_are_a_usage_error(
    started: list[RouterConfig], words: tuple[str, ...], env: dict[str, str]
) -> None:
    result = run("router", *words, **env)
    assert result.exit_code == 2
    assert "Invalid value for" in result.stderr
    assert started == []
