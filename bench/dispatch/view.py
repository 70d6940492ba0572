"""How does what the simulation of many routers found read in a terminal?

Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table

from bench.dispatch.load import Load
from bench.dispatch.play import Layout
from bench.dispatch.scale import Recovery, Size, Steady
from bench.dispatch.sweep import IDEAL, Cell, Estimate

AIM = 1.15
"""p99 of ours over that of the ideal queue, at a load of AIMED_SHARE and AIMED_MEAN_S, with AIMED_LINK_S one way."""
AIMED_SHARE, AIMED_MEAN_S, AIMED_LINK_S = 0.9, 0.1, 0.0005
TINY_MS = 5.0
"""Where the ideal p99 is below it, a ratio says nothing: the difference is told."""


def tables(cells: Sequence[Cell]) -> Iterator[Table]:
    layouts = list(dict.fromkeys(cell.layout for cell in cells if cell.layout is not None))
    by_load: dict[Load, list[Cell]] = {}
    for cell in cells:
        by_load.setdefault(cell.load, []).append(cell)
    yield _waits(by_load, layouts)
    yield _costs(by_load, layouts)
    yield _rivals(by_load)


def verdict(cells: Iterable[Cell]) -> str:
    aimed = [
        cell
        for cell in cells
        if cell.layout is not None
        and (cell.load.share, cell.load.mean_s, cell.layout.far_s) == (AIMED_SHARE, AIMED_MEAN_S, AIMED_LINK_S)
    ]
    if not aimed:
        return "Aim: not shown, nothing at that load was played"
    worst = max(aimed, key=lambda cell: cell.ratio.mean)
    held = sum(cell.ratio.mean <= AIM for cell in aimed)
    told = f"{described(worst.load)}, {worst.layout.title if worst.layout else ''}"
    return f"Aim, p99 at most {AIM} x the ideal at 0.9: held in {held} of {len(aimed)}; worst {_ratio(worst)} ({told})"


def described(load: Load) -> str:
    return f"{load.lengths} {1000 * load.mean_s:g} ms, {load.replicas} replicas, load {load.share:g}"


def _waits(by_load: dict[Load, list[Cell]], layouts: Sequence[Layout]) -> Table:
    drawn = _table("Wait of ours, and its p99 over that of one ideal queue", "load", "ideal p50, p99 ms")
    for layout in layouts:
        drawn.add_column(f"{layout.title}, {1000 * layout.far_s:g} ms", justify="right")
    for load, cells in by_load.items():
        best = next(cell for cell in cells if cell.policy == IDEAL)
        ours = [cell for cell in cells if cell.layout is not None]
        figures = f"{best.p50_ms.mean:.1f}, {_with_error(best.p99_ms)}"
        drawn.add_row(described(load), figures, *(_told(cell, best) for cell in ours))
    return drawn


def _costs(by_load: dict[Load, list[Cell]], layouts: Sequence[Layout]) -> Table:
    drawn = _table("Messages for a request; share of requests that were served at once", "load")
    for layout in layouts:
        drawn.add_column(f"{layout.title}, {1000 * layout.far_s:g} ms", justify="right")
    for load, cells in by_load.items():
        ours = [cell for cell in cells if cell.layout is not None]
        drawn.add_row(described(load), *(f"{cell.messages_per_request:.2f}; {cell.at_once:.0%}" for cell in ours))
    return drawn


def _rivals(by_load: dict[Load, list[Cell]]) -> Table:
    drawn = _table("Wait where nothing is shared: p99 over that of one ideal queue", "load", "ideal p50, p99 ms")
    rivals = [cell.policy for cell in next(iter(by_load.values())) if cell.layout is None and cell.policy != IDEAL]
    for name in rivals:
        drawn.add_column(name, justify="right")
    for load, cells in by_load.items():
        by_policy = {cell.policy: cell for cell in cells if cell.layout is None}
        best = by_policy[IDEAL]
        figures = f"{best.p50_ms.mean:.1f}, {best.p99_ms.mean:.1f}"
        drawn.add_row(described(load), figures, *(_told(by_policy[name], best) for name in rivals))
    return drawn


def _table(title: str, first: str, *figures: str) -> Table:
    drawn = Table(title=title, title_justify="left", box=None, header_style="bold")
    drawn.add_column(first)
    for each in figures:
        drawn.add_column(each, justify="right")
    return drawn


def _told(cell: Cell, best: Cell) -> str:
    if best.p99_ms.mean < TINY_MS:
        return f"+{cell.p99_ms.mean - best.p99_ms.mean:.1f} ms"
    return _ratio(cell)


def _ratio(cell: Cell) -> str:
    error = "" if math.isnan(cell.ratio.error) else f" ±{cell.ratio.error:.2f}"
    return f"{cell.ratio.mean:.2f}{error}"


def _with_error(estimate: Estimate) -> str:
    return f"{estimate.mean:.1f}" + ("" if math.isnan(estimate.error) else f" ±{estimate.error:.1f}")


def steady(size: Size, found: Steady) -> Table:
    title = (
        f"{size.instances} instances, {size.deployments} deployments of {size.replicas} replicas, load {size.share:g}"
    )
    drawn = Table(title=title, title_justify="left", box=None, show_header=False)
    for what, figure in (
        ("requests", f"{found.requests:,}"),
        ("wait p50, p99", f"{found.p50_ms:.1f}, {found.p99_ms:.1f} ms"),
        ("messages for a request", f"{found.messages_per_request:.2f}"),
        ("bytes for a request, signs of life included", f"{found.bytes_per_request:.0f}"),
        ("frames for a request, signs of life included", f"{found.frames_per_request:.2f}"),
        ("signs of life, an instance, a second", f"{found.beats_per_instance_s:.0f}"),
        ("served at once", f"{found.at_once:.0%}"),
        ("CPU for a request, all instances", f"{found.cpu_us_per_request:.0f} µs"),
        (
            f"CPU of the busiest ({found.busiest_owns} owned), for each request of theirs",
            f"{found.busiest_us_per_request:.0f} µs",
        ),
        ("CPU of the busiest", f"{found.busiest_share:.1%} of a core"),
        ("most in flight in a replica", str(found.most_in_flight)),
    ):
        drawn.add_row(what, figure)
    return drawn


def recoveries(found: Iterable[Recovery]) -> Table:
    drawn = _table("After", "event", "lent again after s")
    for heading in (
        "normal after s",
        "p99 before ms",
        "longest wait ms",
        "most in a replica",
        "over until s",
        "lost",
        "views",
    ):
        drawn.add_column(heading, justify="right")
    for each in found:
        drawn.add_row(
            each.event,
            "" if each.lent_again_s is None else f"{each.lent_again_s:.3f}",
            f"{each.normal_s:.1f}",
            f"{each.p99_before_ms:.1f}",
            f"{each.worst_ms:.0f}",
            str(each.most_in_flight),
            f"{each.over_s:.2f}",
            str(each.lost),
            f"{each.views:,}",
        )
    return drawn
