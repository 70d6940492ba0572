"""How does what real processes did read in a terminal?

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from bench.dispatch.cost import ONE, Cost
from bench.dispatch.faults import Faults
from bench.dispatch.idle import Idle
from bench.dispatch.live import Course
from bench.dispatch.view import TINY_MS, described
from bench.report import Spread
from router.core.circle import LEASE_S

AIM = 1.3
"""p99 of ours over that of the ideal queue."""
OURS = "scoregate"


def waits(courses: Sequence[Course], titles: Mapping[str, str]) -> Table:
    drawn = _table("Wait in the queue: p50, p99 ms", "load", "contender")
    for heading in (
        "ideal",
        "measured",
        "p99 x ideal",
        "most at once",
        "overlaps",
        "failed",
        "path ms",
        "late p99 ms",
        "CPU µs",
    ):
        drawn.add_column(heading, justify="right")
    for course in courses:
        drawn.add_row(
            described(course.load),
            titles[course.contender],
            f"{1000 * course.ideal.p50_s:.1f}, {1000 * course.ideal.p99_s:.1f}",
            f"{1000 * course.wait.p50_s:.1f}, {1000 * course.wait.p99_s:.1f}",
            _told(course),
            str(course.most_in_flight),
            str(course.overlaps),
            str(sum(course.failures.values())),
            f"{course.path_ms:.2f}",
            f"{course.late_p99_ms:.1f}",
            f"{course.cpu_us:.0f}",
        )
    return drawn


def verdict(courses: Iterable[Course]) -> str:
    ours = [course for course in courses if course.contender.startswith(OURS) and not _is_tiny(course)]
    if not ours:
        return "Aim: not shown, ours did not run or nobody had to wait"
    worst = max(ours, key=lambda course: course.ratio)
    held = sum(course.ratio <= AIM for course in ours)
    told = f"{described(worst.load)}, {worst.contender}"
    return f"Aim, p99 at most {AIM} x the ideal: held in {held} of {len(ours)}; worst {worst.ratio:.2f} ({told})"


def _told(course: Course) -> str:
    if _is_tiny(course):
        return f"+{1000 * (course.wait.p99_s - course.ideal.p99_s):.1f} ms"
    return f"{course.ratio:.2f}"


def _is_tiny(course: Course) -> bool:
    """Or nobody was served."""
    return not 1000 * course.ideal.p99_s >= TINY_MS


def limits(courses: Iterable[Course]) -> str:
    over = [course for course in courses if course.contender.startswith(OURS) and course.most_in_flight > 1]
    if not over:
        return "Limit: behind ours no replica ever had more than one request"
    return f"Limit: BROKEN in {len(over)} runs: {', '.join(described(course.load) for course in over)}"


def faults(found: Faults) -> Table:
    drawn = _table(f"Instances killed while serving: {described(found.load)}, {found.requests:,} requests", "kill")
    drawn.add_column("longest wait at the others ms", justify="right")
    for number, (kill, wait_ms) in enumerate(zip(found.kills, found.waits_ms, strict=True), start=1):
        drawn.add_row(f"{number}: {'the owner' if kill.was_owner else 'a borrower'}", f"{wait_ms:.0f}")
    return drawn


def bound(found: Faults) -> str:
    seen = f"{len(found.overlaps_s)} overlaps, most at once {found.most_in_flight}"
    if found.overlaps_s:
        seen += f", the last began {1000 * max(found.overlaps_s):.0f} ms after a kill"
    if found.lasted_s:
        seen += f", the longest lasted {1000 * max(found.lasted_s):.0f} ms"
    held = "HELD" if not found.beyond else f"BROKEN {found.beyond} times"
    failed = f"Failed: {found.failed_there} of the killed instances, {found.failed_elsewhere} of others"
    return f"Bound, none begins later than {LEASE_S:g} s after a kill: {held}; {seen}\n{failed}"


def costs(found: Sequence[Cost]) -> Table:
    drawn = _table("Cost of sharing, where nobody waits for a permit", "routers x processes", "connections")
    for heading in ("CPU µs/request", "x 1 x 1", "requests/s", "p50 µs", "p99 µs", "failed"):
        drawn.add_column(heading, justify="right")
    alone = {cost.connections: cost for cost in found if cost.layout == ONE}
    for cost in found:
        drawn.add_row(
            cost.layout,
            str(cost.connections),
            _spread(cost.cpu_us, 1),
            f"{cost.cpu_us.median / alone[cost.connections].cpu_us.median:.2f}",
            _spread(cost.requests_per_s, 0),
            _spread(cost.p50_us, 0),
            _spread(cost.p99_us, 0),
            str(cost.failed),
        )
    return drawn


def idles(found: Sequence[Idle]) -> Table:
    drawn = _table("Routers without a request", "routers x workers")
    for heading in ("% of a core, all", "each worker"):
        drawn.add_column(heading, justify="right")
    for idle in found:
        drawn.add_row(idle.layout, _spread(idle.core_percent, 2), f"{idle.core_percent.median / idle.workers:.2f}")
    return drawn


def _spread(of: Spread, decimals: int) -> str:
    median, low, high = (f"{figure:,.{decimals}f}" for figure in (of.median, of.low, of.high))
    return median if low == high else f"{median} ({low}..{high})"


def _table(title: str, *headings: str) -> Table:
    drawn = Table(title=title, title_justify="left", box=None, header_style="bold")
    for heading in headings:
        drawn.add_column(heading)
    return drawn
