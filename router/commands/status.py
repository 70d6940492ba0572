"""What does `scoregate status` show of the routers on this machine?

I/O: the state directory, a router's internal port, the terminal. Any of the routers answers for all of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx
import msgspec
from rich.table import Table

from router.commands.spelling import shown
from router.core.model import InstanceStanding, Load
from router.load_page import INSTANCES_HEADER
from router.options import as_json as json_option
from router.options import state_dir as state_dir_option
from router.platforms import PlatformError
from router.platforms.by_hand import ByHandFile
from router.platforms.local.running import age_s
from router.platforms.local.state import RouterPlace, StateDirectory
from router.tables import print_table

_WITHIN_S = 5.0

T = TypeVar("T")


@click.command()
@state_dir_option("Where keys, logs and what runs are kept.")
@json_option
def status(state_dir: Path, as_json: bool) -> None:
    """Show what runs on this machine, and how busy it is.

    In a cluster, `kubectl get inferenceendpoints` does.
    """
    places = StateDirectory(state_dir).living_routers()
    if not places:
        raise PlatformError(
            f"No router runs in {state_dir}: start one with `scoregate up FILE`. "
            "In a cluster, `kubectl get inferenceendpoints` shows what runs."
        )
    here, reply = _asked(places, "/load", state_dir)
    loads = _read(reply, list[Load], here, state_dir)
    instances = _read(_ask(here, "/instances", state_dir), list[InstanceStanding], here, state_dir)
    by_id = {place.id: place for place in places}
    if as_json:
        plain = {
            "scoring": here.public,
            "internal": here.admin,
            "deployments": msgspec.to_builtins(loads),
            "instances": [_plain(each, by_id.get(each.id)) for each in instances],
        }
        click.echo(json.dumps(plain, indent=2))
        return
    print_table(_status_table(loads))
    for line in (*_missing(reply), *_set_by_hand(state_dir, time.time())):  # noqa: TID251 - a hold ends by the calendar
        click.echo(line)
    click.echo()
    print_table(_instances_table(instances, by_id))


def _asked(places: Sequence[RouterPlace], page: str, state_dir: Path) -> tuple[RouterPlace, httpx.Response]:
    """Of the first that answers. Raises what the last of them says."""
    for place in places[:-1]:
        try:
            return place, _ask(place, page, state_dir)
        except PlatformError:
            continue  # it may have just ended, or hang
    return places[-1], _ask(places[-1], page, state_dir)


def _ask(place: RouterPlace, page: str, state_dir: Path) -> httpx.Response:
    try:
        return httpx.get(f"{place.admin}{page}", timeout=_WITHIN_S, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise PlatformError(f"The router of {state_dir} does not answer on {place.admin}: {error}") from None


def _read(reply: httpx.Response, kind: type[T], place: RouterPlace, state_dir: Path) -> T:
    try:
        return msgspec.json.decode(reply.content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise PlatformError(f"What answers on {place.admin} is not the router of {state_dir} any more.") from None


def _plain(instance: InstanceStanding, place: RouterPlace | None) -> dict[str, Any]:
    known = {} if place is None else {"pid": place.pid, "worker": place.index, "upForS": round(age_s(place.started), 1)}
    return {**msgspec.to_builtins(instance), **known}


def _missing(reply: httpx.Response) -> Iterator[str]:
    answered, _, known = reply.headers.get(INSTANCES_HEADER, "").partition("/")
    if answered != known:
        yield f"Only {answered} of {known} instances told their load in time: the figures are of these."


def _set_by_hand(state_dir: Path, now_s: float) -> Iterator[str]:
    file = ByHandFile(state_dir)
    file.look()
    for key, hold in sorted(file.present.holds.items()):
        if hold.until_s > now_s:
            until = datetime.fromtimestamp(hold.until_s, UTC)
            yield f"{key}: held at {hold.replicas} by hand until {shown(until)}"
    for uid in file.present.drained:
        yield f"{uid}: drained by hand; `scoregate drain --undo {uid}` lets it take requests again"


def _status_table(loads: list[Load]) -> Table:
    table = Table(
        box=None,
        header_style="bold",
        caption="Busy: replicas with a request. Refused: for lack of room, by processes that live.",
    )
    for column in ("Endpoint", "Deployment", "Ready"):
        table.add_column(column, no_wrap=True)
    for column in ("Busy", "In flight", "Queued", "Utilization", "Refused"):
        table.add_column(column, justify="right", no_wrap=True)
    for load in sorted(loads, key=lambda load: (load.endpoint, load.deployment)):
        ready = f"{load.ready} of {load.total}" + (f", {load.starting} starting" if load.starting else "")
        figures = (load.busy, load.in_flight, load.queued, f"{load.utilization:.0%}", load.refused_total)
        table.add_row(load.endpoint, load.deployment, ready, *map(str, figures))
    return table


def _instances_table(instances: Sequence[InstanceStanding], places: Mapping[str, RouterPlace]) -> Table:
    table = Table(box=None, header_style="bold", caption="Owns: deployments whose free slots it hands out.")
    for column in ("Instance", "Process", "Up for", "Link"):
        table.add_column(column, no_wrap=True)
    for column in ("Owns", "In flight"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in instances:
        place = places.get(each.id)
        process, up_for = ("", "") if place is None else (str(place.pid), duration(age_s(place.started)))
        in_flight = "?" if each.in_flight is None else str(each.in_flight)
        table.add_row(each.name or each.id, process, up_for, _link(each), str(each.owns), in_flight)
    return table


def _link(instance: InstanceStanding) -> str:
    if instance.is_self:
        return "answers"
    if not instance.up:
        return f"silent for {duration(instance.silent_for_s)}"
    return "up" if instance.view_agrees else "up, sees other instances"


def duration(seconds: float) -> str:
    """The two largest of its units."""
    whole = int(seconds)
    parts = [(whole // 86_400, "d"), (whole // 3_600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next((at for at, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2])
