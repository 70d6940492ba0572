"""decisions.py: the end of a journal, as the autoscaler writes it, and whatever else is in its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscaler.journal import Journal, journals
from router.platforms import PlatformError, decisions
from router.platforms.decisions import last_decisions
from tests.autoscaler.nouns import decision, deployment, seen


def line(number: int) -> bytes:
    return json.dumps({"type": "decision", "n": number}).encode() + b"\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "decisions").mkdir()
    return tmp_path / "decisions" / "iris.blue.jsonl"


def numbers(tmp_path: Path, last: int) -> list[int]:
    return [each["n"] for each in last_decisions(tmp_path, "iris", "blue", last)]


def test_what_the_autoscaler_wrote_is_told(tmp_path: Path) -> None:
    journal = Journal(journals(tmp_path))
    for number in range(5):
        journal.append(deployment(), seen(number, wished=number), decision(number, f"because {number}"), "ask", "")
    journal.close()
    told = last_decisions(tmp_path, "iris", "blue", 2)
    assert [each["decision"]["replicas"] for each in told] == [3, 4]
    assert told[1]["decision"]["reason"] == "because 4"
    assert set(told[1]) == {"type", "time", "seen", "decision", "outcome"}


def test_where_nothing_is_recorded_there_is_nothing(tmp_path: Path) -> None:
    assert last_decisions(tmp_path, "iris", "blue", 5) == []
    assert list(tmp_path.iterdir()) == []


def test_the_older_file_says_the_rest(tmp_path: Path, file: Path) -> None:
    file.write_bytes(b'{"type": "terms"}\n' + line(3) + line(4))
    file.with_name("iris.blue.jsonl.1").write_bytes(b'{"type": "terms"}\n' + line(0) + line(1) + line(2))
    assert [numbers(tmp_path, last) for last in (0, 1, 2, 3, 9)] == [[], [4], [3, 4], [2, 3, 4], [0, 1, 2, 3, 4]]
    assert numbers(tmp_path, -1) == []


def test_what_is_no_decision_is_left_out(tmp_path: Path, file: Path) -> None:
    file.write_bytes(line(1) + b'{"type": "terms"}\n{"type\n[]\n"decision"\n\xff\n\n' + line(2) + line(3)[:-1])
    assert numbers(tmp_path, 9) == [1, 2]


def test_it_is_bounded(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(b"".join(line(number) for number in range(1_500)))
    assert numbers(tmp_path, 10**9) == list(range(500, 1_500))
    monkeypatch.setattr(decisions, "MAX_READ_BYTES", 3 * len(line(1_000)) + 5)
    assert numbers(tmp_path, 9) == [1497, 1498, 1499]


def test_a_journal_that_can_not_be_read_is_named(tmp_path: Path, file: Path) -> None:
    file.mkdir()
    with pytest.raises(PlatformError, match=r"iris\.blue\.jsonl can't be read"):
        last_decisions(tmp_path, "iris", "blue", 5)
