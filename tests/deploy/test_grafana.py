"""deploy/grafana: a dashboard that Grafana can lay out, for any data source, whose every panel says what it shows."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.rules import DASHBOARD, dashboard, filled, needs_promtool, promtool, queries

PANELS: list[dict[str, Any]] = dashboard()["panels"]
SHOWING = [panel for panel in PANELS if panel["type"] != "row"]
UNITS = {"reqps", "percentunit", "short", "s", "Bps", "bytes", "cps"}
WIDTH = 24


def everything(node: object) -> list[dict[str, Any]]:
    """All objects within."""
    if isinstance(node, dict):
        return [node, *(found for value in node.values() for found in everything(value))]
    return [found for value in node for found in everything(value)] if isinstance(node, list) else []


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    at = panel["gridPos"]
    return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}


def test_ids_and_titles_are_each_panel_s_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({panel["title"] for panel in SHOWING}) == len(SHOWING)


def test_no_panel_lies_on_another_or_leaves_the_grid() -> None:
    for one, other in combinations(PANELS, 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    assert all(0 <= x < WIDTH for panel in PANELS for x, _ in cells(panel))


def test_the_grid_has_no_hole() -> None:
    """Grafana would move panels up into it."""
    covered = set().union(*map(cells, PANELS))
    assert covered == {(x, y) for x in range(WIDTH) for y in range(max(y for _, y in covered) + 1)}


def test_the_rows_are_what_an_operator_looks_for() -> None:
    rows = [panel["title"] for panel in PANELS if panel["type"] == "row"]
    assert rows == ["Overview", "Latency", "Replicas", "Routers", "Platform"]
    assert all(panel["gridPos"]["w"] == WIDTH for panel in PANELS if panel["type"] == "row")


def test_the_data_source_is_chosen_by_who_looks() -> None:
    sources = [found["datasource"] for found in everything(dashboard()) if "datasource" in found]
    assert {source["uid"] for source in sources} == {"${datasource}", "-- Grafana --"}
    assert all("datasource" in target for panel in SHOWING for target in panel["targets"])


def test_the_variables_choose_what_is_shown() -> None:
    variables = {variable["name"]: variable for variable in dashboard()["templating"]["list"]}
    assert list(variables) == ["datasource", "namespace", "endpoint", "deployment", "router"]
    text = DASHBOARD.read_text()
    assert set(re.findall(r"\$\{?([a-z]\w*)", text)) == set(variables), "each is used, and no other"
    assert dashboard()["schemaVersion"] >= 39
    assert "__inputs" not in dashboard()


@pytest.mark.parametrize("panel", SHOWING, ids=lambda panel: panel["title"])
def test_every_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    unit = panel["fieldConfig"]["defaults"].get("unit") or panel["options"]["yAxis"]["unit"]
    assert unit in UNITS
    ids = [target["refId"] for target in panel["targets"]]
    assert len(set(ids)) == len(ids) > 0


@pytest.mark.parametrize("panel", SHOWING, ids=lambda panel: panel["title"])
def test_a_panel_s_unit_is_that_of_its_figures(panel: dict[str, Any]) -> None:
    unit = panel["fieldConfig"]["defaults"].get("unit") or panel["options"]["yAxis"]["unit"]
    for expr in (target["expr"] for target in panel["targets"]):
        if "_seconds" in expr and "cpu" not in expr:
            assert unit == "s"
        if "_ratio" in expr or ") / sum(" in expr:
            assert unit == "percentunit"
        if "_bytes_total" in expr:
            assert unit == "Bps"


@needs_promtool
def test_every_query_is_promql(tmp_path: Path) -> None:
    asked = [{"record": f"panel:{number}", "expr": filled(query.expr)} for number, query in enumerate(queries())]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": asked}]}))
    code, said = promtool("check", "rules", file)
    assert code == 0, said
    assert f"{len(asked)} rules found" in said
