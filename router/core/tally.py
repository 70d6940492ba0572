"""How is something counted so that others can read it, also once who counted is gone?

Pure. Whoever counts opens named cells in a ledger, and from then on adds to them in place: `cells[0] += 1`. A router
of one process has its ledger in plain memory; each worker of several has one in a file that all of them map
(router/ledger.py). The code that counts is the same, and nothing it has added can be lost with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

Name = tuple[str, ...]
"""Of what is counted: its kind, then its labels."""
MOMENTARY = "now "
"""How the kind begins of what is true only while its process lives."""


class Cells(Protocol):
    """Numbers in a row: a list, or a piece of mapped memory."""

    def __getitem__(self, at: int, /) -> float: ...

    def __setitem__(self, at: int, number: float, /) -> None: ...

    def __iter__(self) -> Iterator[float]: ...


class Ledger(Protocol):
    def open(self, name: Name, *sizes: int) -> Sequence[Cells]:
        """A row of so many cells each: zeros, or what a predecessor left under this name."""

    def close(self, name: Name) -> None:
        """What has this name is gone: its cells may be another's. Whoever has them must not write them any more."""


class Memory:
    """The ledger of a process that is the only one."""

    def open(self, name: Name, *sizes: int) -> Sequence[Cells]:
        return [[0] * size for size in sizes]

    def close(self, name: Name) -> None:
        """Nobody else has them."""


class Statuses:
    """How many requests there were, by status. A cell is opened with the first of its status."""

    __slots__ = ("_cells", "_ledger", "_name")

    def __init__(self, ledger: Ledger, name: Name) -> None:
        self._ledger = ledger
        self._name = name
        self._cells: dict[int, Cells] = {}

    def count(self, status: int, times: int = 1) -> None:
        cells = self._cells.get(status)
        if cells is None:
            (cells,) = self._ledger.open((*self._name, str(status)), 1)
            self._cells[status] = cells
        cells[0] += times

    def by_status(self) -> dict[int, int]:
        return {status: int(cells[0]) for status, cells in self._cells.items()}

    def forget(self) -> None:
        """What is counted from now on is in no ledger: a request may end after its deployment is gone."""
        for status in self._cells:
            self._ledger.close((*self._name, str(status)))
        self._ledger, self._cells = Memory(), {}
