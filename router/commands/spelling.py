"""How are durations, times, deployments and traffic written on a command line?

Pure. As callbacks of click's, so that what can't be is a usage error that names the value and the rule.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import click

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,10})([smhd])", re.ASCII)
_LONGEST_S = 10 * 365 * 86_400
_MOST_A_SECOND = 1e6
_LONGEST_HOLD_S = 365 * 86_400
_SHARE = re.compile(r"([^=]+)=([0-9]{1,3})%?", re.ASCII)


def duration(_: click.Context, __: click.Parameter, given: str | None) -> int | None:
    """90s, 15m, 1h or 7d to seconds."""
    if given is None:
        return None
    parts = _DURATION.fullmatch(given)
    seconds = int(parts[1]) * _UNITS_S[parts[2]] if parts else 0
    if not 1 <= seconds <= _LONGEST_S:
        raise click.BadParameter(f"{given!r}, but it must be 1s to 3650d, as in 90s, 15m, 1h or 7d.")
    return seconds


def hold(context: click.Context, parameter: click.Parameter, given: str | None) -> int | None:
    """As `duration`, and no longer than a number of replicas is held by hand."""
    seconds = duration(context, parameter, given)
    if seconds is not None and seconds > _LONGEST_HOLD_S:
        raise click.BadParameter(f"{given!r}, but it must be at most 365d.")
    return seconds


def moment(_: click.Context, __: click.Parameter, given: str | None) -> datetime | None:
    """A time with its zone (RFC 3339)."""
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise click.BadParameter(f"{given!r}, but it must be a time with its zone, as in 2027-01-31T00:00:00Z.")
    return found


def rate(_: click.Context, __: click.Parameter, given: float | None) -> float | None:
    """Requests a second."""
    if given is not None and not 0 < given <= _MOST_A_SECOND:
        raise click.BadParameter(f"{given:g}, but it must be above 0 and at most {_MOST_A_SECOND:,.0f}.")
    return given


def deployment(_: click.Context, __: click.Parameter, given: str) -> tuple[str, str]:
    """ENDPOINT/DEPLOYMENT."""
    endpoint, _slash, name = given.partition("/")
    if not endpoint or not name or "/" in name:
        raise click.BadParameter(f"{given!r}, but it must be ENDPOINT/DEPLOYMENT.")
    return endpoint, name


def some(_: click.Context, __: click.Parameter, given: str | None) -> tuple[str | None, str | None]:
    """ENDPOINT/DEPLOYMENT, ENDPOINT for all that it has, or nothing for all there are."""
    endpoint, slash, name = (given or "").partition("/")
    if given is not None and (not endpoint or bool(slash) != bool(name) or "/" in name):
        raise click.BadParameter(f"{given!r}, but it must be ENDPOINT or ENDPOINT/DEPLOYMENT.")
    return endpoint or None, name or None


def traffic(_: click.Context, __: click.Parameter, given: Sequence[str]) -> dict[str, int]:
    """`blue=90 green=10` to percents; in one word, too, as `az ml` wants it."""
    percents: dict[str, int] = {}
    for text in " ".join(given).replace(",", " ").split():
        parts = _SHARE.fullmatch(text)
        if parts is None or int(parts[2]) > 100:
            raise click.BadParameter(f"{text!r}, but it must be DEPLOYMENT=PERCENT, 0 to 100, as in blue=90.")
        if parts[1] in percents:
            raise click.BadParameter(f"{parts[1]} is named twice.")
        percents[parts[1]] = int(parts[2])
    return percents


def shown(at: datetime) -> str:
    """For people, in its own zone, to the second."""
    return at.isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")
