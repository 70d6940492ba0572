"""journal.py: what was decided is in the file, whole, once, within bounds; and a broken line is named."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoscaler import journal as journal_module
from autoscaler.journal import BadLine, Journal, JournalError, journal_file, journal_of, older, read
from autoscaler.observation import Observation
from autoscaler.records import Decided, Sized, SizeTerms, Terms
from autoscaler.self_observation import SelfScaling, SizeDecision
from router.core.model import Deployment
from tests.autoscaler.nouns import KEY, decision, deployment, seen
from tests.autoscaler.self_scaled import seen as size_seen
from tests.autoscaler.self_scaled import size

BLUE = deployment()
DEFAULTS = SelfScaling()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "decisions"


@pytest.fixture
def file(folder: Path) -> Path:
    return folder / "iris.blue.jsonl"


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    one = Journal(folder)
    yield one
    one.close()


def note(journal: Journal, at_s: float, in_flight: int = 0, noun: Deployment = BLUE, **figures: object) -> None:
    journal.append(noun, seen(at_s, in_flight=in_flight, **figures), decision(), "keep", "")


def decided(file: Path) -> list[Observation]:
    return [record.seen for record in read(file) if isinstance(record, Decided)]


def moments(file: Path) -> list[float]:
    return [each.at_s for each in decided(file)]


def test_a_file_begins_with_its_terms_and_holds_what_was_decided(journal: Journal, file: Path) -> None:
    noun = deployment(concurrency=4, min_instances=0)
    before = time.time() - 0.01  # noqa: TID251 - it is compared with what is written
    journal.append(noun, seen(1.0, in_flight=3), decision(2, "for 3"), "ask", "quota")
    terms, record = read(file)
    assert isinstance(terms, Terms)
    assert (terms.deployment, terms.concurrency, terms.settings) == (KEY, 4, noun.scale)
    assert isinstance(record, Decided)
    assert (record.seen, record.decision) == (seen(1.0, in_flight=3), decision(2, "for 3"))
    assert (record.outcome, record.fault) == ("ask", "quota")
    assert before <= terms.time == record.time <= time.time() + 0.01  # noqa: TID251 - it is rounded


def test_nobody_else_can_read_it(journal: Journal, folder: Path, file: Path) -> None:
    note(journal, 0.0)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder, file)]
    assert modes == [0o700, 0o700, 0o600]


def test_nothing_new_is_not_said_again_but_once_a_minute(journal: Journal, file: Path) -> None:
    for at_s in range(130):
        note(journal, float(at_s), starting=(float(at_s),), ready=0, heard_s=at_s - 0.5)
    assert moments(file) == [0.0, 60.0, 120.0]


def test_what_differs_in_anything_but_time_is_said(journal: Journal, file: Path) -> None:
    note(journal, 0.0)
    note(journal, 1.0, in_flight=1)
    note(journal, 2.0, in_flight=1, starting=(2.0,))
    note(journal, 3.0, in_flight=1, starting=(3.0, 1.0))
    journal.append(BLUE, seen(4.0, in_flight=1, starting=(4.0, 2.0)), decision(2), "keep", "")
    journal.append(BLUE, seen(5.0, in_flight=1, starting=(5.0, 3.0)), decision(2), "ask", "")
    journal.append(BLUE, seen(6.0, in_flight=1, starting=(6.0, 4.0)), decision(2), "ask", "no")
    journal.append(BLUE, seen(7.0, in_flight=1, starting=(7.0, 5.0)), decision(2), "ask", "no")
    assert moments(file) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_a_clock_that_began_anew_is_news(journal: Journal, file: Path) -> None:
    note(journal, 100.0)
    note(journal, 1.0)
    assert moments(file) == [100.0, 1.0]


def test_new_terms_come_before_what_is_decided_under_them(journal: Journal, file: Path) -> None:
    for concurrency in (1, 1, 2, 2):
        note(journal, 0.0, noun=deployment(concurrency=concurrency))
    kinds = [(type(record), getattr(record, "concurrency", None)) for record in read(file)]
    assert kinds == [(Terms, 1), (Decided, None), (Terms, 2), (Decided, None)]


def test_each_deployment_has_its_file_and_a_new_process_goes_on_in_it(folder: Path, file: Path) -> None:
    for _ in range(2):
        journal = Journal(folder)
        note(journal, 0.0)
        note(journal, 0.0, noun=deployment("red"))
        journal.close()
    assert sorted(os.listdir(folder)) == ["iris.blue.jsonl", "iris.red.jsonl"]
    assert [type(record) for record in read(file)] == [Terms, Decided] * 2


def test_files_are_bounded_and_each_is_enough_by_itself(
    journal: Journal, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_FILE_BYTES", 2_000)
    for number in range(60):
        note(journal, float(number), in_flight=number)
    assert sorted(os.listdir(file.parent)) == ["iris.blue.jsonl", "iris.blue.jsonl.1"]
    assert max(file.stat().st_size, older(file).stat().st_size) <= 2_000
    for part in (older(file), file):
        assert isinstance(next(iter(read(part))), Terms)
    kept = moments(older(file)) + moments(file)
    assert kept == [float(number) for number in range(60)][-len(kept) :]
    assert len(kept) > 10


def test_a_line_that_was_not_finished_is_cut_off(folder: Path, file: Path) -> None:
    first = Journal(folder)
    note(first, 0.0)
    first.close()
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"type":"decision","ti')
    assert moments(file) == [0.0]
    second = Journal(folder)
    note(second, 1.0)
    second.close()
    assert file.read_bytes().startswith(whole)
    assert [type(record) for record in read(file)] == [Terms, Decided, Terms, Decided]


def test_a_disk_that_is_full_once_costs_what_was_said_meanwhile(
    journal: Journal, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(journal, 0.0)
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[: len(data) // 2]))
    with pytest.raises(OSError, match="the disk is full"):
        note(journal, 1.0, in_flight=1)
    monkeypatch.undo()
    note(journal, 2.0, in_flight=2)
    assert moments(file) == [0.0, 2.0]
    assert not [record for record in read(file) if isinstance(record, BadLine)]


def test_a_file_that_was_removed_is_made_anew(journal: Journal, file: Path) -> None:
    note(journal, 0.0)
    file.unlink()
    note(journal, 1.0)
    assert [type(record) for record in read(file)] == [Terms, Decided]


def test_a_folder_that_can_not_be_made_is_an_error_until_it_can(folder: Path, file: Path) -> None:
    folder.parent.write_text("in the way")
    journal = Journal(folder)
    with pytest.raises(OSError, match="File exists"):
        note(journal, 0.0)
    folder.parent.unlink()
    note(journal, 1.0)
    assert moments(file) == [1.0]
    journal.close()


def test_figures_are_rounded_to_what_says_something(journal: Journal, file: Path) -> None:
    note(journal, 1.23456, starting=(2.34567,), start_s=3.45678, heard_s=0.98765, held_seconds_total=4.56789)
    (observation,) = decided(file)
    assert (observation.at_s, observation.starting) == (1.235, (2.346,))
    assert (observation.start_s, observation.held_seconds_total, observation.heard_s) == (3.457, 4.568, 0.988)


def test_what_is_forgotten_is_closed_and_its_file_stays(journal: Journal, file: Path) -> None:
    note(journal, 0.0)
    opened = len(os.listdir("/proc/self/fd"))
    journal.forget(KEY)
    journal.forget("iris/unknown")
    assert len(os.listdir("/proc/self/fd")) == opened - 1
    assert moments(file) == [0.0]


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"type":"other"}', b'{"type":"decision","time":1}', b"\xff", b""])
def test_a_bad_line_is_named_with_its_place_and_the_others_are_read(journal: Journal, file: Path, line: bytes) -> None:
    note(journal, 0.0)
    head, tail = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(head + line + b"\n" + tail)
    terms, bad, record = read(file)
    assert isinstance(bad, BadLine)
    assert bad.complaint.startswith(f"{file}, line 2: ")
    assert isinstance(terms, Terms)
    assert isinstance(record, Decided)


def test_a_file_that_is_no_journal_ends_soon(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(3 * 2**20))
    with pytest.raises(JournalError, match="zeros, line 1: it must be at most"):
        list(read(tmp_path / "zeros"))
    with pytest.raises(JournalError, match=r"none can't be read: No such file"):
        list(read(tmp_path / "none"))
    with pytest.raises(JournalError, match="can't be read: Is a directory"):
        list(read(tmp_path))


def test_a_deployment_is_found_by_its_name_or_key(tmp_path: Path) -> None:
    for name in ("iris.blue.jsonl", "iris.blue.jsonl.1", "iris.red.jsonl", "wine.blue.jsonl"):
        (tmp_path / name).write_text("")
    assert journal_of(tmp_path, "red") == ("iris/red", journal_file(tmp_path, "iris/red"))
    assert journal_of(tmp_path, "wine/blue") == ("wine/blue", tmp_path / "wine.blue.jsonl")
    with pytest.raises(JournalError, match="called blue; say which: iris/blue, wine/blue"):
        journal_of(tmp_path, "blue")
    with pytest.raises(JournalError, match=r"on pink .* there are: iris/blue, iris/red, wine/blue"):
        journal_of(tmp_path, "pink")
    with pytest.raises(JournalError, match=r"No decision is recorded in .*scoregate up FILE"):
        journal_of(tmp_path / "none", "blue")


# -- the router's own size --------------------------------------------------------------------------------------------


def note_size(journal: Journal, at_s: float, settings: SelfScaling = DEFAULTS, fault: str = "") -> None:
    decision = SizeDecision(size=size(), step="stay", reason=f"at {at_s}")
    journal.append_size(settings, size_seen(at_s), decision, "keep", fault)


def test_decisions_on_the_router_are_all_in_a_file_of_their_own(journal: Journal, folder: Path) -> None:
    note_size(journal, 0.0)
    note_size(journal, 0.0, fault="no right")
    note(journal, 1.0)
    terms, first, second = read(folder / "router.jsonl")
    assert isinstance(terms, SizeTerms)
    assert terms.settings == SelfScaling()
    assert isinstance(first, Sized)
    assert isinstance(second, Sized)
    assert (first.seen, first.fault, second.fault) == (size_seen(0.0), "", "no right")
    assert len(decided(folder / "iris.blue.jsonl")) == 1


def test_other_settings_of_the_router_are_written_down(journal: Journal, folder: Path) -> None:
    for settings in (SelfScaling(), SelfScaling(), SelfScaling(mean_ms=2.0)):
        note_size(journal, 0.0, settings)
    kinds = [type(each).__name__ for each in read(folder / "router.jsonl")]
    assert kinds == ["SizeTerms", "Sized", "Sized", "SizeTerms", "Sized"]


def test_a_full_file_of_the_router_becomes_the_older_one(
    journal: Journal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_FILE_BYTES", 2000)
    for at_s in range(20):
        note_size(journal, float(at_s))
    file = folder / "router.jsonl"
    assert file.stat().st_size <= 2000
    assert [type(next(read(each))).__name__ for each in (file, older(file))] == ["SizeTerms", "SizeTerms"]


def test_router_is_the_router_whatever_deployments_are_called(journal: Journal, folder: Path) -> None:
    note_size(journal, 0.0)
    note(journal, 0.0, noun=deployment("router"))
    assert journal_of(folder, "router") == ("router", folder / "router.jsonl")
    assert journal_of(folder, "iris/router") == ("iris/router", folder / "iris.router.jsonl")


def test_a_journal_of_the_router_that_can_not_be_written_is_opened_anew(journal: Journal, folder: Path) -> None:
    note_size(journal, 0.0)
    (folder / "router.jsonl").unlink()
    note_size(journal, 1.0)
    assert [each.seen.at_s for each in read(folder / "router.jsonl") if isinstance(each, Sized)] == [1.0]
