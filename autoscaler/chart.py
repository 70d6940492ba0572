"""How does a load, and what laws make of it, look as a picture?

I/O: writes an SVG or PNG file. matplotlib is an optional part of the installation and loaded only to draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which people who see fewer colours tell apart, too; and no line is told by its colour alone."""
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LEAST_SHARE = 0.1
"""Percent: below it the axis of the late share is linear down to 0, above it logarithmic."""
_LEAST_WAIT_MS = 1.0
"""Who waits less is drawn here: the axis is logarithmic."""


class ChartError(Exception):
    """A picture that can't be drawn; the message says what to do about it."""


class Series(NamedTuple):
    """A line of steps: each value holds until the next time. One `unit`, one panel."""

    name: str
    unit: str
    times_s: Sequence[float]
    values: Sequence[float]


Curves = Mapping[str, Sequence[tuple[float, float, str]]]
"""Per law, in the order in which they are joined: share of late requests (0..1), replica-hours, label or ""."""


Tail = Sequence[tuple[float, float]]
"""Waits in milliseconds, and the share (0..1] of requests that waited longer."""


def draw_timeline(path: Path, series: Sequence[Series], title: str) -> None:
    """Panels over each other with one time axis. Raises ChartError."""
    units = list(dict.fromkeys(each.unit for each in series))
    figure, grid = _figure(path, rows=max(1, len(units)), columns=1, title=title)
    from matplotlib.ticker import MaxNLocator

    scale_s, unit_of_time = _time_unit(max((time for each in series for time in each.times_s), default=0.0))
    for number, (axes, unit) in enumerate(zip(grid, units, strict=False)):
        for at, each in enumerate(each for each in series if each.unit == unit):
            times = [time_s / scale_s for time_s in each.times_s]
            axes.step(times, each.values, where="post", label=each.name, **_look(at, markers=False))
        axes.set_ylabel(unit)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
        if number:
            axes.sharex(grid[0])
    grid[-1].set_xlabel(f"time ({unit_of_time})")
    _save(figure, path)


def draw_tails(path: Path, panels: Mapping[str, Mapping[str, Tail]], title: str) -> None:
    """Share of requests that waited longer, against the wait, one curve per name; the lower left is best. Raises
    ChartError."""
    columns = min(3, max(1, len(panels)))
    figure, grid = _figure(path, rows=-(-max(1, len(panels)) // columns), columns=columns, title=title)
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    for axes, (panel, tails) in zip(grid, panels.items(), strict=False):
        axes.set_title(panel)
        for name, tail in tails.items():
            waits_ms, shares = [max(_LEAST_WAIT_MS, wait_ms) for wait_ms, _ in tail], [100 * share for _, share in tail]
            axes.plot(waits_ms, shares, label=name, **_look(names.index(name), markers=False))
        if any(tails.values()):  # nothing has no logarithm
            axes.set_xscale("log")
            axes.set_yscale("log")
        axes.set_xlabel("wait (ms)")
        axes.set_ylabel("requests that wait longer (%)")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda figure, _: f"{figure:g}")
    _finish(figure, grid, len(panels))
    _save(figure, path)


def draw_frontier(path: Path, curves: Curves | Mapping[str, Curves], title: str) -> None:
    """Late share against replica-hours, one curve per law; the lower left is best. For several panels give the curves
    of each by its title. Raises ChartError."""
    panels = _panels(curves)
    columns = min(3, max(1, len(panels)))
    figure, grid = _figure(path, rows=-(-max(1, len(panels)) // columns), columns=columns, title=title)
    laws = list(dict.fromkeys(law for panel in panels.values() for law in panel))
    for axes, (name, panel) in zip(grid, panels.items(), strict=False):
        axes.set_title(name)
        for law, points in panel.items():
            _draw_curve(axes, law, points, laws.index(law))
        axes.set_xscale("symlog", linthresh=_LEAST_SHARE)
        axes.margins(x=0.1, y=0.15)
        axes.set_xlim(left=-_LEAST_SHARE / 10)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("late requests (%)")
        axes.set_ylabel("replica-hours")
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:g}")
    _finish(figure, grid, len(panels))
    _save(figure, path)


def _finish(figure: Figure, grid: Sequence[Axes], used: int) -> None:
    """One legend for all panels; those that are not used are not seen."""
    known: dict[str, Any] = {}
    for axes in grid[:used]:
        lines, names = axes.get_legend_handles_labels()
        known |= {name: line for name, line in zip(names, lines, strict=True) if name not in known}
    if known:
        figure.legend(list(known.values()), list(known), loc="outside right upper")
    for axes in grid[used:]:
        axes.set_visible(False)


def _draw_curve(axes: Axes, law: str, points: Sequence[tuple[float, float, str]], at: int) -> None:
    shares, hours = [100 * late for late, _, _ in points], [hours for _, hours, _ in points]
    axes.plot(shares, hours, label=law, **_look(at, markers=True))
    for share, hour, (_, _, label) in zip(shares, hours, points, strict=True):
        axes.annotate(label, (share, hour), xytext=(4, 4), textcoords="offset points", fontsize=7)


def _panels(curves: Curves | Mapping[str, Curves]) -> Mapping[str, Curves]:
    if any(isinstance(each, Mapping) for each in curves.values()):
        return curves  # type: ignore[return-value]  # as it was just seen
    return {"": curves}  # type: ignore[dict-item]


def _look(at: int, *, markers: bool) -> dict[str, Any]:
    look = {"color": _COLOURS[at % len(_COLOURS)], "linestyle": _DASHES[at % len(_DASHES)], "linewidth": 1.4}
    return look | {"marker": _MARKERS[at % len(_MARKERS)], "markersize": 4} if markers else look


def _time_unit(longest_s: float) -> tuple[float, str]:
    if longest_s > 3 * 3600:
        return 3600.0, "h"
    return (60.0, "min") if longest_s > 300 else (1.0, "s")


def _figure(path: Path, *, rows: int, columns: int, title: str) -> tuple[Figure, list[Axes]]:
    """Needs no display and leaves no state behind: not made by pyplot."""
    if path.suffix not in FORMATS:
        raise ChartError(f"{path} can't be drawn: its name must end with {' or '.join(FORMATS)}")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ChartError("pictures want matplotlib, which is not installed: pip install 'scoregate[charts]'") from None
    figure = Figure(figsize=(4.0 + 5.0 * columns, 1.0 + 3.5 * rows), layout="constrained")
    figure.suptitle(title)
    grid = [axes for row in figure.subplots(rows, columns, squeeze=False) for axes in row]
    for axes in grid:
        axes.grid(True, alpha=0.3)
    return figure, grid


def _save(figure: Figure, path: Path) -> None:
    """The same picture is the same file."""
    import matplotlib

    metadata = {"Date": None} if path.suffix == ".svg" else None
    try:
        with matplotlib.rc_context({"svg.hashsalt": "scoregate"}):
            figure.savefig(path, dpi=120, metadata=metadata)
    except OSError as error:
        raise ChartError(f"{path} can't be written: {error.strerror}") from error
