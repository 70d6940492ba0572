"""The table's figures are the samples' figures."""

import io

import pytest
from rich.console import Console

from bench import report
from bench.measure import Sample


def _sample(proxy: str, round_number: int, *, cpu_us: float = 0.0, p50_us: float = 100.0, failed: int = 0) -> Sample:
    return Sample(
        proxy=proxy,
        connections=64,
        round=round_number,
        requests=1_000 * round_number,
        duration_us=2_000_000,
        cpu_us=cpu_us * 1_000 * round_number,
        p50_us=p50_us,
        p99_us=2 * p50_us,
        failed=failed,
    )


def _rows(scoregate_us: float = 24.0) -> list[report.Row]:
    samples = []
    for number in (1, 2, 3):
        samples += [
            _sample("direct", number, p50_us=100.0 * number),
            _sample("envoy", number, cpu_us=20.0, p50_us=150.0 * number),
            _sample("python", number, cpu_us=90.0, p50_us=400.0 * number),
            _sample("scoregate", number, cpu_us=scoregate_us + number - 2, p50_us=170.0 * number, failed=number),
        ]
    return report.summarize(samples)


def test_rows_keep_the_order_of_the_run() -> None:
    assert [row.proxy for row in _rows()] == ["direct", "envoy", "python", "scoregate"]


def test_a_row_is_the_median_and_range_of_its_rounds() -> None:
    row = _rows()[-1]
    assert row.requests_per_s == report.Spread(1_000.0, 500.0, 1_500.0)
    assert row.cpu_us == report.Spread(24.0, 23.0, 25.0)
    assert row.failed == 6
    assert row.core_busy == pytest.approx(24e-6 * 2_000 / 2)


def test_latency_is_added_to_that_of_the_replica_alone_in_the_same_round() -> None:
    row = _rows()[-1]
    assert row.p50_us == report.Spread(340.0, 170.0, 510.0)
    assert row.added_p50_us == report.Spread(140.0, 70.0, 210.0)
    assert row.added_p99_us == report.Spread(280.0, 140.0, 420.0)


def test_ratios_are_of_medians_and_none_without_both() -> None:
    assert report.cpu_ratio(_rows(), 64, "scoregate", "envoy") == pytest.approx(1.2)
    assert report.cpu_ratio(_rows(), 64, "scoregate", "nginx") is None
    assert report.cpu_ratio(_rows(), 1, "scoregate", "envoy") is None


@pytest.mark.parametrize(
    ("scoregate_us", "held"),
    [(24.0, [True, True]), (26.0, [True, True]), (28.0, [False, True]), (31.0, [False, False])],
)
def test_the_aims_are_1_3_of_envoy_and_a_third_of_python(scoregate_us: float, held: list[bool]) -> None:
    assert [verdict.held for verdict in report.judge(_rows(scoregate_us))] == held


def test_a_verdict_without_figures_says_so() -> None:
    verdicts = report.judge([row for row in _rows() if row.proxy != "envoy"])
    assert [verdict.held for verdict in verdicts] == [None, True]
    assert "not shown" in report.sentence(verdicts[0])
    assert "held, 0.27 x" in report.sentence(verdicts[1])


def test_a_missed_aim_cannot_be_overlooked() -> None:
    assert "MISSED, 1.55 x" in report.sentence(report.judge(_rows(31.0))[0])


def test_the_table_shows_every_figure_of_a_row() -> None:
    rows = _rows()
    out = Console(file=io.StringIO(), width=200)
    out.print(report.table(rows, 64, {row.proxy: row.proxy.title() for row in rows}))
    assert isinstance(out.file, io.StringIO)
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.file.getvalue().splitlines()]
    cells = {line[0]: line[1:] for line in lines if line}
    assert cells["Scoregate"] == [
        "1,000 (500..1,500)",
        "24.0 (23.0..25.0)",
        "1.20",
        "0.27",
        "2%",
        "140 (70..210)",
        "280 (140..420)",
        "6",
    ]
    assert cells["Direct"][-3:] == ["from 200 (100..300)", "from 400 (200..600)", "0"]
