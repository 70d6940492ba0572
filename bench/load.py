"""What does a server do under load whose arrivals don't wait for it? `python -m bench.load URL`; see --help.

I/O: the server, the terminal, the file of `--json`; signals.

    python -m bench.load http://127.0.0.1:8080/score --rate 50 --seconds 30
    python -m bench.load http://127.0.0.1:8080/score --arrivals step --rate 5 --high-rate 50 --at-s 10 --seconds 60
    python -m bench.load http://127.0.0.1:8080/score --trace azure-llm-code-2023.csv --speed 10 --limit-s 120

From Python: `await generate(Plan(url=..., moments_s=arrivals.poisson(50, 30, seed=0)))` of `bench.openloop`.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec
import uvloop
import yarl
from rich.console import Console

from bench import load_view
from bench.load_options import Chosen, Number, arrival_options, choose
from bench.openloop import Plan, generate
from bench.tally import Report

ALL_FINE, SOME_FAILED, INTERRUPTED = 0, 1, 130
FILE_WIDTH = 120
"""Columns of the table where it does not go to a terminal: nothing is cut."""
WITH_BODY = ("POST", "PUT", "PATCH")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): *([\t\x20-\x7e\x80-\xff]*)")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _url(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    try:
        url = yarl.URL(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise click.BadParameter(f"{text!r} does not begin with http:// or https:// and a host")
    return text


def _method(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    if not _METHOD.fullmatch(text):
        raise click.BadParameter(f"{text!r} is not the name of a method")
    return text.upper()


def _key(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"[\x21-\x7e]+", text):
        raise click.BadParameter("a key has at least one character, and only visible ones of ASCII")  # it is not shown
    return text


def _headers(_context: click.Context, _parameter: click.Parameter, lines: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for line in lines:
        if not (match := _HEADER.fullmatch(line)):
            raise click.BadParameter(f"{line!r} is not of the form 'Name: value'")
        headers[match[1]] = match[2]
    return headers


def _body(_context: click.Context, _parameter: click.Parameter, text: str | None) -> bytes | None:
    if text is None or not text.startswith("@"):
        return None if text is None else text.encode()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise click.BadParameter(f"{text!r}: what follows @ is a file that can be read: {error.strerror}") from None


def _try_to_write(file: Path) -> None:
    """Before the run, not after it. Raises BadParameter."""
    try:
        file.open("ab").close()
    except OSError as error:
        rule = f"'{file}' must be a file that can be written: {error.strerror}"
        raise click.BadParameter(rule, param_hint="'--json'") from None


@click.command()
@click.argument("url", callback=_url)
@arrival_options
@click.option("--method", callback=_method, default="POST", show_default=True)
@click.option("--body", callback=_body, metavar="TEXT|@FILE", help="Default: {} with POST, PUT and PATCH, else none.")
@click.option("--key", callback=_key, help="Sent as `Authorization: Bearer KEY`.")
@click.option("--header", "headers", callback=_headers, multiple=True, metavar="'NAME: VALUE'", help="May be repeated.")
@click.option("--timeout-s", type=Number(), default=60.0, show_default=True, help="For one request.")
@click.option(
    "--max-in-flight",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="A request that would be one more is not sent, and reported.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures here.")
def main(url: str, **options: Any) -> None:
    """Send requests to URL at their intended times, whatever the replies do (an open loop).

    Latency counts from the intended send time, so that a stall is charged for all requests that were due in it.

    \b
    python -m bench.load http://127.0.0.1:8080/api/v1/endpoint/iris/score --rate 50 --seconds 30 --key KEY
    python -m bench.load URL --arrivals step --rate 5 --high-rate 50 --at-s 10 --seconds 60 --body @input.json
    python -m bench.load URL --arrivals onoff --rate 20 --on-s 5 --off-s 15 --seconds 120 --json load.json
    python -m bench.load URL --trace azure-llm-code-2023.csv --speed 10 --limit-s 120

    Exit code: 0 every reply is 2xx; 1 a request failed, or could not be sent; 2 unusable arguments; 130 interrupted,
    with the report of what was done so far.
    """
    chosen = choose(options)
    plan = _plan(url, chosen, options)
    if options["json_file"]:
        _try_to_write(options["json_file"])
    report = uvloop.run(_run(plan))
    _show(plan, report)
    if options["json_file"]:
        options["json_file"].write_bytes(_json(plan, chosen, report))
    sys.exit(INTERRUPTED if report.interrupted else ALL_FINE if report.all_fine else SOME_FAILED)


def _plan(url: str, chosen: Chosen, options: dict[str, Any]) -> Plan:
    method, body = options["method"], options["body"]
    if body is None and method in WITH_BODY:
        body = b"{}"
    headers = {} if body is None else {"Content-Type": "application/json"}
    if options["key"]:
        headers["Authorization"] = f"Bearer {options['key']}"
    return Plan(
        url=url,
        moments_s=chosen.moments_s,
        seconds=chosen.seconds,
        method=method,
        headers=headers | options["headers"],
        body=body,
        timeout_s=options["timeout_s"],
        max_in_flight=options["max_in_flight"],
    )


async def _run(plan: Plan) -> Report:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with load_view.progress_on(Console(stderr=True, highlight=False), plan.seconds) as on_progress:
        return await generate(plan, on_progress, stop)


def _show(plan: Plan, report: Report) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    console.print(f"{plan.method} {plan.url}", markup=False, soft_wrap=True)
    console.print(load_view.table(report))
    console.print(load_view.sentence(report), markup=False)


def _json(plan: Plan, chosen: Chosen, report: Report) -> bytes:
    """Without the headers: they may hold a key."""
    about = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "url": plan.url,
        "method": plan.method,
        "arrivals": {"kind": chosen.kind, **chosen.settings},
        "timeout_s": plan.timeout_s,
        "max_in_flight": plan.max_in_flight,
    }
    encoded = msgspec.json.encode(about | msgspec.structs.asdict(report), enc_hook=str)  # a Path of the trace
    return msgspec.json.format(encoded) + b"\n"


if __name__ == "__main__":
    main()
