"""What does somebody see who types `scoregate up`?

I/O: writes to the console it is given.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from router.core.keys import Keys
from router.core.model import Endpoint
from router.platforms.local.keeper import ReplicaStatus
from router.platforms.local.plan import worth_a_word
from router.platforms.local.state import end_of_log
from router.platforms.local.supervisor import Supervisor

REDRAW_S = 0.1
LOG_LINES = 25
"""Enough for two chained tracebacks of a model server: the first holds the reason."""


async def show_start(supervisor: Supervisor, console: Console) -> None:
    """Show how far each deployment is, until every wished replica is ready.

    Failing replicas are quoted at once. A table that keeps itself current on a terminal, else a line per change.
    """
    began_s = asyncio.get_running_loop().time()
    told: set[tuple[str, int]] = set()
    shown: dict[str, str] = {}
    live = Live(console=console, auto_refresh=False, transient=True)
    with live if console.is_terminal else nullcontext():
        while True:
            seconds = asyncio.get_running_loop().time() - began_s
            statuses = supervisor.replicas()
            _quote_failures(statuses, told, console)
            progress = {key: _progress(key, wished, statuses) for key, wished in supervisor.wished.items()}
            if console.is_terminal:
                live.update(_table(progress, seconds), refresh=True)
            else:
                _print_changes(progress, shown, seconds, console)
            if _all_ready(supervisor.wished, statuses):
                return
            await asyncio.sleep(REDRAW_S)


def summary(
    endpoints: Sequence[Endpoint],
    keys: Mapping[str, Keys],
    public_url: str,
    admin_url: str,
    sample: str,
    logs: Path,
) -> str:
    """What to do now. `keys` by endpoint name, for those that ask for one; `sample` is a request's JSON body; `logs` is
    in the state directory.

    Each `curl` command is one line: it must not be wrapped, so that it works when pasted.
    """
    here = _option(logs.parent)
    blocks = [_endpoint_block(endpoint, keys.get(endpoint.name), public_url, sample, here) for endpoint in endpoints]
    rest = [f"metrics   {admin_url}/metrics", f"logs      {logs}"]
    if scaled := [d.key for endpoint in endpoints for d in endpoint.deployments if d.scale is not None]:
        rest.append(f"scaling   {', '.join(scaled)}: why so many? `scoregate explain {scaled[0]}{here}`")
    rest.append("Ctrl-C stops everything.")
    return "\n\n".join(["Scoregate is ready.", *blocks, "\n".join(rest)])


def sample_body(file: Path) -> str:
    """`sample-request.json` beside the endpoints file, on one line; `{}` when there is none."""
    try:
        content = json.loads((file.parent / "sample-request.json").read_bytes())
    except (OSError, ValueError):
        return "{}"
    return json.dumps(content, separators=(",", ":"))


def _option(state_dir: Path) -> str:
    """What a command needs to find this one."""
    return "" if state_dir == Path(".scoregate").absolute() else f" --state-dir {shlex.quote(str(state_dir))}"


def _endpoint_block(endpoint: Endpoint, keys: Keys | None, public_url: str, sample: str, here: str) -> str:
    url = f"{public_url}/api/v1/endpoint/{endpoint.name}/score"
    weights = ", ".join(f"{name} {percent} %" for name, percent in endpoint.weights) or "no traffic"
    lines = [f"endpoint  {endpoint.name} ({weights})", f"url       {url}"]
    token = f"scoregate token {endpoint.name}{here}"
    header = ""
    if endpoint.accepts("jwt") and endpoint.jwt is not None:
        lines.append(f"token     from {endpoint.jwt.issuer}")
        header = '"Authorization: Bearer $TOKEN"'
    if endpoint.accepts("token"):
        lines.append(f"token     `{token}` prints a new one")
        header = f'"Authorization: Bearer $({token})"'
    if keys is not None:
        lines.append(f"key       {keys.primary_key}")
        header = shlex.quote(f"Authorization: Bearer {keys.primary_key}")
    authorized = f"-H {header} " if header else ""
    rest = shlex.join(["-H", "Content-Type: application/json", "-d", sample])
    return "\n".join([*lines, f"try it    curl {url} {authorized}{rest}"])


def _progress(key: str, wished: int, statuses: Sequence[ReplicaStatus]) -> str:
    phases = Counter(status.phase for status in statuses if status.deployment == key)
    ready = phases.pop("ready", 0)
    others = ", ".join(f"{count} {phase}" for phase, count in phases.items())
    return f"{ready} of {wished} ready" + (f" ({others})" if others else "")


def _all_ready(wished: Mapping[str, int], statuses: Sequence[ReplicaStatus]) -> bool:
    ready = Counter(status.deployment for status in statuses if status.phase == "ready")
    return all(ready[key] >= count for key, count in wished.items())


def _table(progress: Mapping[str, str], seconds: float) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), title=f"starting, {seconds:.0f} s", title_justify="left")
    table.add_column("deployment")
    table.add_column("replicas")
    for key, text in progress.items():
        table.add_row(key, text)
    return table


def _print_changes(progress: Mapping[str, str], shown: dict[str, str], seconds: float, console: Console) -> None:
    for key, text in progress.items():
        if shown.get(key) != text:
            shown[key] = text
            console.print(Text(f"{key}: {text}, {seconds:.1f} s"), soft_wrap=True)


def _quote_failures(statuses: Sequence[ReplicaStatus], told: set[tuple[str, int]], console: Console) -> None:
    """The end of a failed replica's log: one per deployment, of a crash loop the 1st, 2nd, 4th... time."""
    for status in statuses:
        failure = (status.deployment, status.restarts)
        if status.fault and failure not in told and worth_a_word(status.restarts):
            told.add(failure)
            quote_log(f"A replica of {status.deployment} failed", status.failed_log, console)


def quote_log(what: str, log: Path | None, console: Console) -> None:
    """Say what happened, where the log is, and how it ends."""
    lines = end_of_log(log, LOG_LINES) if log is not None else []
    end = f"; the end of {log}:" if log is not None else ""
    console.print(Text("\n".join([f"{what}{end}", *(f"  {line}" for line in lines)])), soft_wrap=True)
