"""ledger.py: what is counted in a file is there for all, also once who counted has been killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.tally import MOMENTARY
from router.ledger import FileLedger, Totals
from router.platforms.local import running
from tests.router_process import ROOT

NOW = MOMENTARY + "load"
COUNTING = """
import sys
from pathlib import Path
from router.ledger import FileLedger
ledger = FileLedger(Path(sys.argv[1]), sys.argv[2])
(counted,) = ledger.open(("counted", "iris"), 1)
(now,) = ledger.open(("now load", "iris"), 1)
for line in sys.stdin:
    counted[0] += int(line)
    now[0] = int(line)
    print(counted[0], flush=True)
"""


class Counting:
    """Another process that counts what it is told."""

    def __init__(self, folder: Path, place: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", COUNTING, str(folder), place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": ROOT},
        )

    def count(self, number: int) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


def test_nothing_is_lost_when_a_process_is_killed_and_its_successor_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = Totals(tmp_path)
    first, second = Counting(tmp_path, "0"), Counting(tmp_path, "1")
    assert (first.count(3), second.count(4)) == (3, 4)
    assert totals.read("counted") == {("iris",): [7.0]}
    assert totals.read(NOW) == {("iris",): [7.0]}
    first.kill()
    assert totals.read("counted") == {("iris",): [7.0]}
    assert totals.read(NOW) == {("iris",): [4.0]}, "what was so at the moment has died with it"
    again = Counting(tmp_path, "0")
    assert again.count(5) == 8, "it goes on where the other was killed"
    assert totals.read("counted") == {("iris",): [12.0]}
    assert totals.read(NOW) == {("iris",): [9.0]}
    assert totals.pids() == [again.process.pid, second.process.pid]
    assert [cells[0] for cells in totals.living(NOW)] == [5, 4]
    with monkeypatch.context() as patched:
        patched.setattr(running, "started", None)  # who lives is asked ten times a second, and nothing is read for it
        assert [cells[0] for cells in totals.living(NOW)] == [5, 4]
    again.kill()
    second.kill()
    assert totals.read("counted") == {("iris",): [12.0]}
    assert totals.living(NOW) == []


def test_what_was_so_at_the_moment_is_zero_for_a_successor(tmp_path: Path) -> None:
    (now, counted) = (FileLedger(tmp_path, "0").open((kind,), 1)[0] for kind in (NOW, "counted"))
    now[0] = counted[0] = 3
    assert FileLedger(tmp_path, "0").open((NOW,), 1)[0][0] == 0
    assert FileLedger(tmp_path, "0").open(("counted",), 1)[0][0] == 3


NAMES = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40), max_size=3)


@given(
    st.lists(
        st.tuples(NAMES, st.lists(st.integers(1, 20), min_size=1, max_size=4), st.booleans()),
        max_size=60,
        unique_by=lambda each: tuple(each[0]),
    )
)
def test_every_name_has_cells_of_its_own_whatever_was_opened_and_closed(
    tmp_path_factory: pytest.TempPathFactory, opened: list[tuple[list[str], list[int], bool]]
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    ledger, totals = FileLedger(folder, "0"), Totals(folder)
    expected = {}
    for number, (labels, sizes, is_closed) in enumerate(opened, 1):
        name = ("kind", *labels)
        values = []
        for piece, size in zip(ledger.open(name, *sizes), sizes, strict=True):
            assert list(piece) == [0.0] * size, "of nobody before"
            for at in range(size):
                piece[at] = number
            values += [float(number)] * size
        if is_closed:
            ledger.close(name)
        else:
            expected[tuple(labels)] = values
        if number % 7 == 0:
            assert totals.read("kind") == expected
    assert totals.read("kind") == expected
    assert Totals(folder).read("kind") == expected, "also for one who has not looked before"


def test_a_ledger_grows_by_files_and_all_of_them_are_gone_on_in(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path, "0")
    for number in range(3_000):
        ledger.open(("kind", f"a-deployment-{number}"), 10)[0][0] = number
    files = sorted(tmp_path.iterdir())
    assert len(files) > 1
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    again = FileLedger(tmp_path, "0")
    assert [again.open(("kind", f"a-deployment-{n}"), 10)[0][0] for n in (0, 1, 2_999)] == [0, 1, 2_999]
    assert sorted(tmp_path.iterdir()) == files
    assert sum(values[0] for values in Totals(tmp_path).read("kind").values()) == sum(range(3_000))


def test_what_is_closed_makes_room(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path, "0")
    for number in range(5_000):
        name = ("kind", f"deployment-{number % 10}-{number % 7}")
        ledger.open(name, 30)[0][5] += 1
        ledger.close(name)
    assert len(list(tmp_path.iterdir())) == 1
    assert Totals(tmp_path).read("kind") == {}


def test_a_name_with_other_cells_than_before_is_refused(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path, "0")
    ledger.open(("kind", "iris"), 2)
    with pytest.raises(ValueError, match=r"\('kind', 'iris'\) has 2 cells in the ledger 0, and not 3"):
        ledger.open(("kind", "iris"), 1, 2)


def test_a_file_that_its_writer_has_not_finished_says_nothing_yet(tmp_path: Path) -> None:
    totals = Totals(tmp_path)
    (tmp_path / "0.0").write_bytes(b"")
    assert totals.read("kind") == {}
    FileLedger(tmp_path, "0").open(("kind", "iris"), 1)[0][0] = 2
    assert totals.read("kind") == {("iris",): [2.0]}


def test_sums_of_counts_never_fall_while_places_come(tmp_path: Path) -> None:
    totals, last = Totals(tmp_path), 0.0
    for place in ("2", "0", "1"):
        (cells,) = FileLedger(tmp_path, place).open(("kind",), 1)
        for _ in range(50):
            cells[0] += 0.1
            total = totals.read("kind")[()][0]
            assert total >= last
            last = total
