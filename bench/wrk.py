"""How is the load made, and what did it see?

I/O: runs wrk, which runs post.lua.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import msgspec

SCRIPT = Path(__file__).with_name("post.lua")


class LoadError(Exception):
    """wrk could not put load on a proxy; the message holds what it said."""


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What wrk counted: the line that post.lua writes."""

    requests: int
    """Replies read to their end, whatever their status."""
    duration_us: int
    p50_us: float
    p99_us: float
    connect: int
    """Connections refused; so are `read`, `write` and `timeout` counts of what failed there."""
    read: int
    write: int
    timeout: int
    status: int
    """Replies of status 400 and above."""

    @property
    def failed(self) -> int:
        return self.connect + self.read + self.write + self.timeout + self.status


def installed() -> bool:
    return shutil.which("wrk") is not None


def version() -> str:
    said = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False).stdout
    return " ".join(said.split()[:2])


def parse(output: str) -> Counts:
    """Raises LoadError where wrk's output does not end with our line, or tells of no reply at all."""
    lines = output.strip().splitlines() or [""]
    try:
        counts = msgspec.json.decode(lines[-1], type=Counts)
    except msgspec.DecodeError as error:
        raise LoadError(f"wrk's last line is not its counts ({error}): {lines[-1]!r}") from error
    if counts.requests == 0:
        raise LoadError(f"not one request was answered: {counts}")
    return counts


def load(url: str, authorization: str | Path, *, connections: int, seconds: int, core: int) -> Counts:
    """POST to `url` over `connections` kept-alive connections, the next request as soon as a reply is there.

    `authorization`: of all requests, or a file with one on each line, which they have in turn. Raises LoadError.
    """
    command = ["taskset", "--cpu-list", str(core), "wrk", "--threads", "1", "--connections", str(connections)]
    command += ["--duration", f"{seconds}s", "--timeout", "10s", "--script", str(SCRIPT)]
    if isinstance(authorization, Path):
        command += [url, "--", str(authorization)]
    else:
        command += ["--header", f"Authorization: {authorization}", url]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, process_group=0)
    if ran.returncode:
        raise LoadError(f"wrk on {url}: exit code {ran.returncode}: {(ran.stderr or ran.stdout).strip()}")
    return parse(ran.stdout)
