"""What may runs have come to?

Pure.
"""

from __future__ import annotations

from bench.sim.sweep import DEFAULT, OURS, Knobs, Result, Run
from bench.sim.world import Outcome


def result(
    law: str, late_share: float, replica_hours: float, knobs: Knobs = DEFAULT, cold_start_s: float = 10.0
) -> Result:
    outcome = Outcome(
        requests=1000,
        unserved=0,
        late_share=late_share,
        mean_wait_s=0.1,
        p99_wait_s=1.25,
        replica_hours=replica_hours,
        changes=12,
    )
    return Result(run=Run(scenario="step", cold_start_s=cold_start_s, law=law, knobs=knobs), outcome=outcome)


RESULTS = [
    result(OURS, 0.10, 10.0),
    result(OURS, 0.02, 14.0, Knobs(30, 3.0)),
    result(OURS, 0.03, 15.0, Knobs(30, 900.0)),
    result("hpa", 0.20, 11.0),
    result("hpa", 0.10, 10.0, Knobs(90)),
    result("kpa", 0.05, 12.5),
    result("kpa", 0.01, 20.0, Knobs(30)),
    result("kpa", 0.10, 11.0, Knobs(50)),
]
"""At one cold start: two points that ours beats, one of them on both axes; one equalled; two open."""
