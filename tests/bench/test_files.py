"""files.py: what a benchmark is to write is looked at before it runs."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bench.files import chart_option, json_option, write_json


@click.command()
@json_option
@chart_option
def measure(json_file: Path | None, chart: Path | None) -> None:
    write_json(json_file, {"chart": str(chart)})


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--json", "nowhere/all.json"), "there is no folder 'nowhere'"),
        (("--json", "."), "is a directory"),
        (("--chart", "waits.pdf"), "'waits.pdf': its name must end with .svg or .png"),
        (("--chart", "nowhere/waits.svg"), "there is no folder 'nowhere'"),
    ],
)
def test_where_nothing_can_be_written_nothing_is_measured(words: tuple[str, ...], why: str) -> None:
    result = CliRunner().invoke(measure, words)
    assert result.exit_code == 2
    assert why in " ".join(result.stderr.replace("│", " ").split())


def test_a_picture_wants_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = CliRunner().invoke(measure, ["--chart", "waits.svg"])
    assert "pip install 'scoregate[charts]'" in " ".join(result.stderr.replace("│", " ").split())


def test_figures_are_written_where_that_is_asked(tmp_path: Path) -> None:
    assert CliRunner().invoke(measure, []).exit_code == 0
    file = tmp_path / "all.json"
    assert CliRunner().invoke(measure, ["--json", str(file), "--chart", str(tmp_path / "w.png")]).exit_code == 0
    assert json.loads(file.read_text()) == {"chart": str(tmp_path / "w.png")}
    assert file.read_text().endswith("}\n")
