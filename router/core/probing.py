"""Is a replica well, by what its probes said so far?

Pure. A replica counts as unwell until proven well. It says three things:

    well     it answered so; `success_threshold` in a row make it well
    unwell   it answered so, or refused; it is unwell at once
    silent   no answer in time; `failure_threshold` in a row make it unwell

Silence is weak evidence: a model server that takes one request at a time can't answer while it scores, and must not
be called dead for working.
"""

from __future__ import annotations

from typing import Literal

from router.core.model import Probe

Answer = Literal["well", "unwell", "silent"]


class ProbeRecord:
    """The answers of one replica to one probe. `well` is the verdict to begin with."""

    def __init__(self, probe: Probe, *, well: bool = False) -> None:
        self._probe = probe
        self._well = well
        self._last: Answer = "well" if well else "unwell"
        self._in_a_row = 0

    def note(self, answer: Answer) -> bool:
        """The verdict with this answer: whether the replica is well."""
        self._in_a_row = self._in_a_row + 1 if answer == self._last else 1
        self._last = answer
        if answer == "unwell":
            self._well = False
        elif answer == "well" and self._in_a_row >= self._probe.success_threshold:
            self._well = True
        elif answer == "silent" and self._in_a_row >= self._probe.failure_threshold:
            self._well = False
        return self._well
