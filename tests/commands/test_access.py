"""access.py: which router is asked, with which key, and when a person is asked first."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import click
import pytest
from rich.table import Table

from router.commands.access import add_row, confirm, table_of
from router.tables import print_table
from tests.administered import ADMIN_KEY, Administered
from tests.command_line import failed


class Terminal(io.StringIO):
    """A person who types this."""

    def isatty(self) -> bool:
        return True


async def test_a_router_elsewhere_is_asked_with_the_key_from_environment_or_file(
    router: Administered, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text(f"{ADMIN_KEY}\n")
    (tmp_path / "vault" / "admin-key").unlink()
    shutil.rmtree(tmp_path / "routers")
    for words, env in (
        (("--admin-url", router.internal), {"SCOREGATE_ADMIN_KEY": ADMIN_KEY}),
        (("--admin-url", router.internal, "--admin-key-file", file), {}),
        ((), {"SCOREGATE_ADMIN_URL": router.internal, "SCOREGATE_ADMIN_KEY_FILE": str(file)}),
    ):
        assert "iris" in await router.printed("endpoints", *words, **env)


async def test_a_wrong_key_is_refused_and_not_quoted(router: Administered) -> None:
    message = await router.failed("endpoints", SCOREGATE_ADMIN_KEY="another-key-of-somebody")
    assert message == f"{router.internal}: This is not the administrator's key.\n"


def test_without_a_router_each_command_says_what_to_do(tmp_path: Path) -> None:
    for words in (("key", "show", "iris"), ("token", "iris"), ("endpoints",), ("scale", "iris/blue", "1")):
        message = failed(*words, "--state-dir", tmp_path)
        assert message.startswith(f"No router runs in {tmp_path}: start one with `scoregate up FILE`.")
        assert "kubectl port-forward" in message


def test_the_key_goes_to_no_other_machine_over_plain_http(tmp_path: Path) -> None:
    elsewhere = ("endpoints", "--admin-url", "http://192.0.2.1:9001")
    assert "over plain HTTP" in failed(*elsewhere, SCOREGATE_ADMIN_KEY=ADMIN_KEY)
    anywhere = ("endpoints", "--admin-url", "http://0.0.0.0:1")
    assert "over plain HTTP" in failed(*anywhere, SCOREGATE_ADMIN_KEY=ADMIN_KEY)


@pytest.mark.parametrize(("typed", "is_meant"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_a_person_is_asked_and_may_say_no(
    typed: str, is_meant: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    if is_meant:
        confirm("Remove it?", yes=False)
    else:
        with pytest.raises(click.Abort):
            confirm("Remove it?", yes=False)
    printed = capsys.readouterr()
    assert "Remove it? [y/N]" in printed.err
    assert "Remove" not in printed.out


def test_whoever_says_yes_is_not_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    confirm("Remove it?", yes=True)
    assert capsys.readouterr().err == ""


def test_nothing_in_a_table_is_markup(capsys: pytest.CaptureFixture[str]) -> None:
    table: Table = table_of("Name", "Count", right=("Count",))
    add_row(table, "[bold]a[/bold]", "1")
    print_table(table)
    assert "[bold]a[/bold]      1" in capsys.readouterr().out
