"""What do `scoregate key ...` do?

I/O: the terminal, a router's administration. A key is printed where it is asked for, or has just been made; then it
stands alone on standard output, and what there is to say of it goes to standard error.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import click
from msgspec import UNSET

from router.administrator import Administrator, calls
from router.administrator.shapes import KeysView
from router.commands import spelling
from router.commands.access import add_row, administers, confirm, print_json, table_of, yes
from router.commands.spelling import duration, moment, shown
from router.core.keys import NamedKey
from router.core.model import RateLimit
from router.options import Command, option
from router.tables import print_table

_LONGEST_LINE = 4_096
_TWO = ("primary", "secondary")


@click.group()
def key() -> None:
    """Show or change the keys of an endpoint.

    It has a primary and a secondary one, so that one can be replaced while clients use the other; and any number with
    names, one for each consumer, who can be limited and cut off alone.
    """


_endpoint = click.argument("endpoint")
_name = click.argument("name")
_value = option("--key-value", help="The new key, instead of a random one; `-` reads it from standard input.")


def _settings(command: Command) -> Command:
    """What a named key has besides itself."""
    options = [
        option(
            "--expires-in", callback=duration, metavar="30d", help="Valid for so long: seconds, minutes, hours, days."
        ),
        option("--expires-at", callback=moment, metavar="TIME", help="Valid until then, as in 2027-01-31T00:00:00Z."),
        option(
            "--rate",
            type=float,
            callback=spelling.rate,
            metavar="N",
            help="Requests a second that each router takes; beyond it 429.",
        ),
        option(
            "--burst",
            type=click.IntRange(min=1),
            metavar="N",
            help="Requests at once, after a rest; else a second's worth.",
        ),
    ]
    for each in reversed(options):
        command = each(command)
    return command


@key.command()
@_endpoint
@click.argument("name", required=False)
@administers
def show(administrator: Administrator, endpoint: str, name: str | None, as_json: bool) -> None:
    """Print all keys of ENDPOINT, or one alone, as a script wants it.

    NAME is primary, secondary, or that of a named key.
    """
    keys = administrator.ask(calls.keys(endpoint))
    if as_json:
        print_json(keys)
    elif name is not None:
        click.echo(_one(keys, endpoint, name))
    else:
        _print_all(keys)


@key.command()
@_endpoint
@click.argument("name", default="primary")
@_value
@administers
def regenerate(administrator: Administrator, endpoint: str, name: str, key_value: str | None, as_json: bool) -> None:
    """Replace one key of ENDPOINT, and print the new one.

    NAME is primary, secondary, or that of a named key. The others stay valid; no request is lost.
    """
    keys = administrator.ask(calls.regenerate_key(endpoint, name, _given(key_value)))
    _print_new(keys, endpoint, name, as_json)


@key.command()
@_endpoint
@_name
@_value
@_settings
@administers
def add(
    administrator: Administrator,
    endpoint: str,
    name: str,
    key_value: str | None,
    expires_in: int | None,
    expires_at: datetime | None,
    rate: float | None,
    burst: int | None,
    as_json: bool,
) -> None:
    """Give ENDPOINT one more key, and print it.

    NAME is the consumer's, whom metrics and log know by it.
    """
    expiry, limit = _expiry(expires_in, expires_at), _limit(None, rate, burst)
    if expiry is not None and _is_over(expiry):
        raise click.UsageError(f"{shown(expiry)} is over: the key would open nothing.")
    present = administrator.ask(calls.keys(endpoint))
    if name in present.named_keys or name in _TWO:
        raise click.ClickException(f"{endpoint} has a key {name}: `key change` or `key regenerate` is for that.")
    put = calls.put_key(
        endpoint, name, version=present.version, value=_given(key_value), expires_at=expiry, rate_limit=limit
    )
    keys = administrator.ask(put)
    _print_new(keys, endpoint, name, as_json)


@key.command()
@_endpoint
@_name
@_settings
@option("--no-expiry", is_flag=True, help="Valid until it is removed.")
@option("--no-rate", is_flag=True, help="No limit.")
@administers
def change(
    administrator: Administrator,
    endpoint: str,
    name: str,
    expires_in: int | None,
    expires_at: datetime | None,
    rate: float | None,
    burst: int | None,
    no_expiry: bool,
    no_rate: bool,
    as_json: bool,
) -> None:
    """Change how long a named key is valid, or its limit.

    The key itself stays, and so does what no option speaks of.
    """
    expiry = _expiry(expires_in, expires_at)
    if (no_expiry and expiry is not None) or (no_rate and (rate is not None or burst is not None)):
        raise click.UsageError("--no-expiry and --no-rate take away what the other options set: give one of them.")
    if not (no_expiry or no_rate or expiry or rate is not None or burst is not None):
        raise click.UsageError("Nothing is given that should change.")
    present = administrator.ask(calls.keys(endpoint))
    if (named := present.named_keys.get(name)) is None:
        raise _unnamed(name) if name in _TWO else _unknown(present, endpoint, name)
    put = calls.put_key(
        endpoint,
        name,
        version=present.version,
        expires_at=None if no_expiry else expiry or UNSET,
        rate_limit=None if no_rate else _limit(named.rate_limit, rate, burst) or UNSET,
    )
    keys = administrator.ask(put)
    if as_json:
        print_json(keys)
    else:
        click.echo(f"{endpoint}: {name} {_described(keys.named_keys[name])}.")


@key.command()
@_endpoint
@_name
@yes
@administers
def remove(administrator: Administrator, endpoint: str, name: str, yes: bool, as_json: bool) -> None:
    """Remove a named key of ENDPOINT: its consumer is cut off, no other."""
    confirm(f"Whoever uses the key {name} of {endpoint} will be refused. Remove it?", yes)
    keys = administrator.ask(calls.remove_key(endpoint, name))
    if as_json:
        print_json(keys)
    else:
        click.echo(f"{endpoint}: {name} is removed.")


def _given(value: str | None) -> str | None:
    return sys.stdin.readline(_LONGEST_LINE).strip() if value == "-" else value


def _expiry(expires_in: int | None, expires_at: datetime | None) -> datetime | None:
    if expires_in is not None and expires_at is not None:
        raise click.UsageError("--expires-in and --expires-at say the same: give one of them.")
    if expires_in is None:
        return expires_at
    now = datetime.now(UTC)  # noqa: TID251 - keys end by the calendar
    return now.replace(microsecond=0) + timedelta(seconds=expires_in)


def _limit(present: RateLimit | None, rate: float | None, burst: int | None) -> RateLimit | None:
    if rate is None and burst is None:
        return present
    if rate is None and present is None:
        raise click.UsageError("--burst goes with --rate.")
    kept = present or RateLimit(requests_per_second=0)
    return RateLimit(
        requests_per_second=kept.requests_per_second if rate is None else rate,
        burst=kept.burst if burst is None else burst,
    )


def _one(keys: KeysView, endpoint: str, name: str) -> str:
    known = {"primary": keys.primary_key, "secondary": keys.secondary_key}
    if name in known:
        return known[name]
    if (named := keys.named_keys.get(name)) is None:
        raise _unknown(keys, endpoint, name)
    return named.key


def _unknown(keys: KeysView, endpoint: str, name: str) -> click.ClickException:
    known = ", ".join([*_TWO, *sorted(keys.named_keys)])
    return click.ClickException(f"{endpoint} has no key {name!r}: known are {known}.")


def _unnamed(name: str) -> click.ClickException:
    return click.ClickException(
        f"The {name} key has neither an end nor a limit: `key regenerate` replaces it, and `key add` gives a consumer "
        "one of its own."
    )


def _print_new(keys: KeysView, endpoint: str, name: str, as_json: bool) -> None:
    if as_json:
        print_json(keys)
        return
    click.echo(_one(keys, endpoint, name))
    if (named := keys.named_keys.get(name)) is not None:
        click.echo(f"{endpoint}: {name} {_described(named)}.", err=True)


def _described(named: NamedKey) -> str:
    limit = _rate(named.rate_limit) or "without a limit"
    if named.expires_at is None:
        return f"is valid until it is removed, {limit}"
    if _is_over(named.expires_at):
        return f"opens nothing since {shown(named.expires_at)}"
    return f"is valid until {shown(named.expires_at)}, {limit}"


def _is_over(expires_at: datetime) -> bool:
    return expires_at <= datetime.now(UTC)  # noqa: TID251 - keys end by the calendar


def _rate(limit: RateLimit | None) -> str:
    if limit is None:
        return ""
    burst = "" if limit.burst is None else f", {limit.burst} at once"
    return f"{limit.requests_per_second:g} requests/s{burst}"


def _end(expires_at: datetime | None) -> str:
    if expires_at is None:
        return ""
    return f"{shown(expires_at)}, over" if _is_over(expires_at) else shown(expires_at)


def _print_all(keys: KeysView) -> None:
    table = table_of("Name", "Key", "Expires", "Limit")
    add_row(table, "primary", keys.primary_key, "", "")
    add_row(table, "secondary", keys.secondary_key, "", "")
    for name, named in sorted(keys.named_keys.items()):
        add_row(table, name, named.key, _end(named.expires_at), _rate(named.rate_limit))
    print_table(table)
