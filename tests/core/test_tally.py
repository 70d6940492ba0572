"""tally.py: what is counted is there by its status, and is forgotten when nobody has it any more."""

from __future__ import annotations

from router.core.tally import Memory, Name, Statuses


class Seen(Memory):
    """Which names are open."""

    def __init__(self) -> None:
        self.names: list[Name] = []

    def open(self, name: Name, *sizes: int) -> list[list[float]]:
        self.names.append(name)
        return [[0.0] * size for size in sizes]

    def close(self, name: Name) -> None:
        self.names.remove(name)


def test_memory_gives_zeros_in_the_pieces_that_were_asked_for() -> None:
    assert [list(cells) for cells in Memory().open(("a",), 2, 1)] == [[0, 0], [0]]


def test_statuses_are_counted_each_by_itself() -> None:
    statuses = Statuses(Memory(), ("requests", "iris", "blue"))
    for status in (200, 404, 200):
        statuses.count(status)
    statuses.count(503, 4)
    assert statuses.by_status() == {200: 2, 404: 1, 503: 4}


def test_a_cell_is_opened_with_the_first_of_its_status_and_closed_when_all_is_forgotten() -> None:
    ledger = Seen()
    statuses = Statuses(ledger, ("requests", "iris", "blue"))
    assert ledger.names == []
    statuses.count(200)
    statuses.count(200)
    statuses.count(404)
    assert ledger.names == [("requests", "iris", "blue", "200"), ("requests", "iris", "blue", "404")]
    statuses.forget()
    assert ledger.names == []
    assert statuses.by_status() == {}
    statuses.count(200)
    assert ledger.names == [], "of what is gone nothing is counted any more"
