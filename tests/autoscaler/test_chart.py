"""chart.py: a picture has its lines, names and units, and what can't be drawn says why."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from autoscaler.chart import ChartError, Curves, Series, draw_frontier, draw_tails, draw_timeline

CURVES: Curves = {"scoregate": [(0.0, 12.0, "50"), (0.1, 7.0, "90")], "hpa": [(0.2, 15.0, "")]}
LINES = [
    Series("in flight + queued", "requests", [0.0, 60.0, 600.0], [1, 5, 2]),
    Series("recorded", "replicas", [0.0, 60.0, 600.0], [1, 2, 1]),
    Series("scoregate", "replicas", [0.0, 60.0, 600.0], [1, 5, 2]),
]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words stay words in an SVG, so that a test can read them."""
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")


def words(path: Path) -> list[str]:
    root = ElementTree.parse(path).getroot()
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.usefixtures("texts")
def test_a_timeline_names_its_lines_and_units(tmp_path: Path) -> None:
    draw_timeline(tmp_path / "t.svg", LINES, "iris/blue")
    text = words(tmp_path / "t.svg")
    for word in ("iris/blue", "in flight + queued", "recorded", "scoregate", "requests", "replicas", "time (min)"):
        assert text.count(word) == 1, word


@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize(("seconds", "unit"), [(300.0, "s"), (301.0, "min"), (10_801.0, "h")])
def test_time_has_the_unit_that_fits(tmp_path: Path, seconds: float, unit: str) -> None:
    draw_timeline(tmp_path / "t.svg", [Series("a", "requests", [0.0, seconds], [1, 2])], "")
    assert f"time ({unit})" in words(tmp_path / "t.svg")


@pytest.mark.usefixtures("texts")
def test_a_frontier_has_a_panel_for_each_title_and_one_legend(tmp_path: Path) -> None:
    draw_frontier(tmp_path / "f.svg", {"step": CURVES, "ramp": {"hpa": CURVES["hpa"]}}, "frontier")
    text = words(tmp_path / "f.svg")
    for word, times in (("step", 1), ("ramp", 1), ("scoregate", 1), ("hpa", 1), ("late requests (%)", 2), ("50", 1)):
        assert text.count(word) == times, word
    draw_frontier(tmp_path / "one.svg", CURVES, "frontier")
    assert words(tmp_path / "one.svg").count("replica-hours") == 1


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_same_picture_is_the_same_file_and_is_what_its_name_says(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        draw_timeline(tmp_path / (name + suffix), LINES, "iris/blue")
    content = (tmp_path / f"a{suffix}").read_bytes()
    assert content == (tmp_path / f"b{suffix}").read_bytes()
    assert content.startswith(b"\x89PNG" if suffix == ".png" else b"<?xml")


@pytest.mark.usefixtures("texts")
def test_tails_have_a_panel_for_each_load_and_one_legend(tmp_path: Path) -> None:
    tails = {"ours": [(0.0, 1.0), (40.0, 0.1)], "one ideal queue": [(0.0, 1.0), (30.0, 0.1)]}
    draw_tails(tmp_path / "t.svg", {"load 0.7": tails, "load 0.9": tails}, "waits")
    text = words(tmp_path / "t.svg")
    for word in ("waits", "load 0.7", "load 0.9", "ours", "one ideal queue"):
        assert text.count(word) == 1, word
    assert text.count("wait (ms)") == text.count("requests that wait longer (%)") == 2


def test_nothing_to_draw_is_an_empty_picture(tmp_path: Path) -> None:
    draw_tails(tmp_path / "w.png", {}, "")
    draw_timeline(tmp_path / "t.png", [], "")
    draw_frontier(tmp_path / "f.png", {}, "")


def test_what_can_not_be_drawn_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChartError, match=r"must end with \.svg or \.png"):
        draw_timeline(tmp_path / "t.gif", LINES, "")
    with pytest.raises(ChartError, match=r"t\.svg can't be written: No such file"):
        draw_timeline(tmp_path / "none" / "t.svg", LINES, "")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ChartError, match=r"pip install 'scoregate\[charts\]'"):
        draw_timeline(tmp_path / "t.svg", LINES, "")
