"""What do the samples say: how fast, how costly, and was the aim met?

Pure. Medians over rounds, with the lowest and highest beside them; a ratio is one of medians.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import msgspec
from rich.table import Table

from bench.measure import Sample

DIRECT = "direct"
"""The replica without a proxy: only its latency is of interest."""


class Spread(msgspec.Struct, frozen=True):
    median: float
    low: float
    high: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy at one number of connections."""

    proxy: str
    connections: int
    requests_per_s: Spread
    cpu_us: Spread
    """Per request, of user and system time."""
    core_busy: float
    """Median share of the core's time, 0 to 1: well below 1, something else set the requests per second."""
    p50_us: Spread
    p99_us: Spread
    added_p50_us: Spread
    """What it took longer than `direct` in the same round; likewise p99."""
    added_p99_us: Spread
    failed: int


class Aim(msgspec.Struct, frozen=True):
    """`proxy` spends at most `factor` times the CPU per request of `against`."""

    proxy: str
    against: str
    factor: float
    text: str


AIMS = (
    Aim("scoregate", "envoy", 1.3, "at most 1.3 x Envoy"),
    Aim("scoregate", "python", 1 / 3, "at most 1/3 of uvicorn + aiohttp"),
)


class Verdict(msgspec.Struct, frozen=True):
    connections: int
    aim: str
    ratio: float | None
    """Of CPU per request; None where one of the two was not measured."""
    held: bool | None


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def summarize(samples: Iterable[Sample]) -> list[Row]:
    """In the order of first appearance. Each round must have its sample of `direct`."""
    direct: dict[tuple[int, int], Sample] = {}
    grouped: dict[tuple[int, str], list[Sample]] = {}
    for sample in samples:
        grouped.setdefault((sample.connections, sample.proxy), []).append(sample)
        if sample.proxy == DIRECT:
            direct[sample.connections, sample.round] = sample
    return [_row(group, [direct[one.connections, one.round] for one in group]) for group in grouped.values()]


def _row(group: Sequence[Sample], direct: Sequence[Sample]) -> Row:
    return Row(
        proxy=group[0].proxy,
        connections=group[0].connections,
        requests_per_s=spread([one.requests * 1e6 / one.duration_us for one in group]),
        cpu_us=spread([one.cpu_us / one.requests for one in group]),
        core_busy=statistics.median(one.cpu_us / one.duration_us for one in group),
        p50_us=spread([one.p50_us for one in group]),
        p99_us=spread([one.p99_us for one in group]),
        added_p50_us=spread([one.p50_us - to.p50_us for one, to in zip(group, direct, strict=True)]),
        added_p99_us=spread([one.p99_us - to.p99_us for one, to in zip(group, direct, strict=True)]),
        failed=sum(one.failed for one in group),
    )


def cpu_ratio(rows: Iterable[Row], connections: int, proxy: str, against: str) -> float | None:
    cpu_us = {row.proxy: row.cpu_us.median for row in rows if row.connections == connections}
    return cpu_us[proxy] / cpu_us[against] if proxy in cpu_us and against in cpu_us else None


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Each aim at each number of connections."""
    verdicts = []
    for connections in dict.fromkeys(row.connections for row in rows):
        for aim in AIMS:
            ratio = cpu_ratio(rows, connections, aim.proxy, aim.against)
            held = None if ratio is None else ratio <= aim.factor
            verdicts.append(Verdict(connections, aim.text, ratio, held))
    return verdicts


def table(rows: Sequence[Row], connections: int, titles: dict[str, str]) -> Table:
    """`titles` by proxy name."""
    drawn = Table(title=_connections(connections), title_justify="left")
    drawn.add_column("proxy")
    for heading in ("requests/s", "CPU µs/request", "x Envoy", "x Python", "core busy"):
        drawn.add_column(heading, justify="right")
    for heading in ("added p50 µs", "added p99 µs", "failed"):
        drawn.add_column(heading, justify="right")
    for row in rows:
        if row.connections == connections:
            drawn.add_row(titles[row.proxy], *_cells(row, rows))
    return drawn


def _cells(row: Row, rows: Sequence[Row]) -> list[str]:
    if row.proxy == DIRECT:
        alone = [f"from {_figures(of, 0)}" for of in (row.p50_us, row.p99_us)]
        return [_figures(row.requests_per_s, 0), "", "", "", "", *alone, str(row.failed)]
    ratios = [cpu_ratio(rows, row.connections, row.proxy, other) for other in ("envoy", "python")]
    return [
        _figures(row.requests_per_s, 0),
        _figures(row.cpu_us, 1),
        *["" if ratio is None else f"{ratio:.2f}" for ratio in ratios],
        f"{row.core_busy:.0%}",
        _figures(row.added_p50_us, 0),
        _figures(row.added_p99_us, 0),
        str(row.failed),
    ]


def _figures(of: Spread, decimals: int) -> str:
    median, low, high = (f"{figure:,.{decimals}f}" for figure in (of.median, of.low, of.high))
    return median if low == high else f"{median} ({low}..{high})"


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"


def sentence(verdict: Verdict) -> str:
    start = f"Aim with {_connections(verdict.connections)}: CPU per request {verdict.aim}"
    if verdict.ratio is None:
        return f"{start}: not shown, one of the two is absent"
    return f"{start}: {'held' if verdict.held else 'MISSED'}, {verdict.ratio:.2f} x"
