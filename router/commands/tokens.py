"""What do `scoregate token`, `revoke` and `signing-keys` do?

I/O: the terminal, a router's administration.
"""

from __future__ import annotations

import base64
import binascii
import sys

import click
import msgspec

from router.administrator import Administrator, calls
from router.administrator.shapes import TokenV1, TokenV2
from router.commands.access import add_row, administers, confirm, print_json, table_of, yes
from router.commands.spelling import shown
from router.options import option
from router.tables import print_table

_LONGEST_LINE = 16_384


@click.command()
@click.argument("endpoint")
@option("--api", type=click.Choice(["v1", "v2"]), default="v1", help="Azure ML's version that names the JSON fields.")
@option("--subject", metavar="NAME", help="Who it is for: the token's `sub`.")
@administers
def token(administrator: Administrator, endpoint: str, api: str, subject: str | None, as_json: bool) -> None:
    """Issue a token for ENDPOINT, and print it.

    Alone, as a script wants it; --json has the fields that Azure ML's API has.
    """
    issued: TokenV1 | TokenV2
    if api == "v1":
        issued = administrator.ask(calls.token_v1(endpoint, subject))
    else:
        issued = administrator.ask(calls.token_v2(endpoint, subject))
    if as_json:
        print_json(issued)
    else:
        click.echo(issued.access_token)


@click.command()
@click.argument("endpoint")
@click.argument("token", required=False)
@option("--all", "every", is_flag=True, help="Every token that was issued until now.")
@yes
@administers
def revoke(
    administrator: Administrator, endpoint: str, token: str | None, every: bool, yes: bool, as_json: bool
) -> None:
    """Revoke a token of ENDPOINT, or all of them.

    Nobody is served with it from then on. TOKEN is the token itself, its id (`jti`), or `-`, which reads it from
    standard input.
    """
    if every == (token is not None):
        raise click.UsageError("Give a token, or --all.")
    if every:
        confirm(f"Whoever uses a token that was issued for {endpoint} until now will be refused. Revoke all?", yes)
    token_id = None if token is None else _id(sys.stdin.readline(_LONGEST_LINE) if token == "-" else token)
    revoked = administrator.ask(calls.revoke(endpoint, token_id))
    if as_json:
        print_json(revoked)
    else:
        what = "every token" if every else f"the token {revoked.revoked}"
        click.echo(f"{endpoint}: {what} is revoked, as of {shown(revoked.at)}.")


@click.command()
@option("--rotate", is_flag=True, help="Make a new one now, which signs once every router knows it.")
@administers
def signing_keys(administrator: Administrator, rotate: bool, as_json: bool) -> None:
    """Show which keys sign tokens, and when.

    Never the keys themselves: their ids, as they are in a token's header.
    """
    keys = administrator.ask(calls.rotate_signing_keys() if rotate else calls.signing_keys())
    if as_json:
        print_json(keys)
        return
    if not keys:
        click.echo("There is none yet: the first is made once an endpoint takes tokens.", err=True)
        return
    table = table_of("Key", "Made", "Signs from", "Until", "Verifies until")
    for key in keys:
        ends = ("" if at is None else shown(at) for at in (key.signs_until, key.verifies_until))
        add_row(table, key.kid, shown(key.created_at), shown(key.signs_from), *ends)
    print_table(table)


class _Claims(msgspec.Struct, frozen=True):
    jti: str


def _id(token: str) -> str:
    """Of a token what it says of itself: whether that is true does not matter where it shall be refused."""
    token = token.strip()
    if not token:
        raise click.UsageError("The token is empty.")
    parts = token.split(".")
    if len(parts) != 3:
        return token
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(claims, type=_Claims).jti
    except (binascii.Error, msgspec.MsgspecError, UnicodeError, ValueError):
        raise click.UsageError("That is no token of this router's: it has no id (`jti`).") from None
