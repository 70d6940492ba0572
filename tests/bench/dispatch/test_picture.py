"""picture.py: of each load a panel, of each contender a line, and the ideal queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.dispatch import picture
from bench.dispatch.live import Course
from bench.dispatch.load import Load
from bench.dispatch.picture import IDEAL, draw
from bench.dispatch.sweep import TAIL, Wait

NO_WAIT = Wait(p50_s=0.0, p99_s=0.0, mean_s=0.0)


def course(contender: str, share: float = 0.9, tail_s: list[float] | None = None) -> Course:
    return Course(
        contender=contender,
        load=Load(replicas=12, share=share),
        requests=100,
        failures={},
        path_ms=0.5,
        late_p99_ms=4.0,
        wait=NO_WAIT,
        ideal=NO_WAIT,
        tail_s=tail_s or [],
        ideal_tail_s=[wait_s / 2 for wait_s in tail_s or []],
        most_in_flight=1,
        overlaps=0,
        cpu_us=123.4,
    )


def test_each_load_has_its_contenders_and_the_ideal_queue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn: list[tuple[object, ...]] = []
    monkeypatch.setattr(picture, "draw_tails", lambda *words: drawn.append(words))
    tail = [0.001 * each for each in range(len(TAIL))]
    found = [course(contender, share, tail) for share in (0.7, 0.9) for contender in ("scoregate-6x1", "haproxy")]
    draw(tmp_path / "w.svg", found, {"scoregate-6x1": "Ours", "haproxy": "HAProxy"})
    [(file, panels, _)] = drawn
    assert file == tmp_path / "w.svg"
    assert isinstance(panels, dict)
    assert [name.rpartition(" ")[2] for name in panels] == ["0.7", "0.9"]
    for panel in panels.values():
        assert list(panel) == ["Ours", "HAProxy", IDEAL]
        assert panel["Ours"][2] == (2.0, TAIL[2])
        assert panel[IDEAL][2] == (1.0, TAIL[2])


def test_who_served_nobody_has_an_empty_line(tmp_path: Path) -> None:
    draw(tmp_path / "w.svg", [course("haproxy")], {"haproxy": "HAProxy"})
    assert (tmp_path / "w.svg").read_bytes().startswith(b"<?xml")
